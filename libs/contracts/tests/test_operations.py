"""The contract of operator acts, declared for a service by `operation_events`."""

import json

import jsonschema
import pytest

from crm_contracts import Registry, registry
from crm_contracts.asyncapi import schema
from crm_contracts.control import ALL
from crm_contracts.operations import operation_events


def test_a_service_gets_a_topic_with_one_fact_whose_example_fits() -> None:
    known = Registry()
    declared = operation_events("billing", registry=known)
    assert (declared.topic.name, declared.service) == ("crm.billing.operation", "billing")
    assert known.events == {"crm.billing.operation.performed.v1": declared.performed}
    read = declared.performed.model_validate(known.examples[declared.performed.type])
    jsonschema.validate(json.loads(read.model_dump_json()), schema(declared.performed.type, known))
    assert read.state.kind == "dead_letter.discard"
    with pytest.raises(ValueError, match="twice"):
        operation_events("billing", registry=known)


@pytest.mark.requirement("PL-44")
def test_what_operators_do_in_any_service_reaches_the_log_of_all_events() -> None:
    for service in ALL:
        assert "analytics" in registry.topics[f"crm.{service}.operation"].consumers
