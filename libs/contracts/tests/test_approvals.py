"""The contract of approvals, declared for a service by `approval_events`."""

import json

import jsonschema
import pytest

from crm_contracts import Registry
from crm_contracts.approvals import approval_events
from crm_contracts.asyncapi import asyncapi, schema, topic_file


def test_a_service_gets_a_topic_with_four_facts_whose_examples_fit() -> None:
    known = Registry()
    declared = approval_events("billing", consumers=("analytics",), registry=known)
    assert (declared.topic.name, declared.topic.producer) == ("crm.billing.approval", "billing")
    assert declared.topic.consumers == ("analytics",)
    facts = {"submitted": declared.submitted, "approved": declared.approved}
    facts |= {"rejected": declared.rejected, "withdrawn": declared.withdrawn}
    assert known.events == {f"crm.billing.approval.{fact}.v1": model for fact, model in facts.items()}
    for fact, model in facts.items():
        example = known.examples[model.type]
        read = model.model_validate(example)
        jsonschema.validate(json.loads(read.model_dump_json()), schema(model.type, known))
        assert read.state.status == ("pending" if fact == "submitted" else fact)
        assert (read.state.ended_at is None) is (fact == "submitted")
        assert model.__doc__
    assert set(topic_file(declared.topic, known)["events"]) == set(known.events)


def test_the_state_has_no_place_for_what_was_submitted() -> None:
    known = Registry()
    declared = approval_events("billing", registry=known)
    example = json.loads(json.dumps(known.examples[declared.submitted.type]))
    example["state"]["snapshot"] = {"secret": 1}
    assert "secret" not in declared.submitted.model_validate(example).model_dump_json()


def test_several_services_have_approvals_side_by_side_but_each_once() -> None:
    known = Registry()
    names = {approval_events(service, registry=known).approved.__name__ for service in ("billing", "sales")}
    assert names == {"BillingApprovalApproved", "SalesApprovalApproved"}
    assert len(asyncapi(known, version="1")["components"]["messages"]) == 8
    with pytest.raises(ValueError, match="twice"):
        approval_events("billing", registry=known)
