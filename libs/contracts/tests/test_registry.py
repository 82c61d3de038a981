"""The registry: examples fit their models, documents are current, incompatible changes are noticed."""

import copy
import json
import uuid

import jsonschema
import pytest

from crm_contracts import Envelope, NotAnEnvelope, registry
from crm_contracts.asyncapi import asyncapi, schema
from crm_contracts.compatibility import breaks
from crm_contracts.generate import main
from crm_kernel.ids import id_time, new_id

from .toys import BOX, release


@pytest.mark.parametrize("name", sorted(registry.events))
def test_the_example_of_every_event_fits_its_model_and_its_schema(name: str) -> None:
    example = registry.examples[name]
    model = registry.events[name].model_validate(example)
    jsonschema.validate(json.loads(model.model_dump_json()), schema(name))


@pytest.mark.parametrize("name", sorted(registry.events))
def test_consumers_ignore_members_that_they_do_not_know(name: str) -> None:
    example = copy.deepcopy(registry.examples[name])
    example["added_later"] = 1
    example["state"]["added_later"] = {"deep": True}
    registry.events[name].model_validate(example)


def test_every_topic_has_one_producer_and_every_event_a_topic_of_it() -> None:
    for name, model in registry.events.items():
        topic = registry.topics[model.topic]
        assert name.startswith(f"crm.{topic.producer}."), name


def test_the_committed_documents_are_current() -> None:
    assert main(["--check"]) == 0


def test_the_asyncapi_document_has_every_event_and_no_dangling_reference() -> None:
    document = asyncapi(version="1")
    assert set(document["components"]["messages"]) == set(registry.events)

    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [r for value in part.values() for r in references(value)]
        if isinstance(part, list):
            return [r for value in part for r in references(value)]
        return []

    found = references(document)
    assert len(found) > 100
    for reference in found:
        place: object = document
        for step in reference.removeprefix("#/").split("/"):
            assert isinstance(place, dict)
            place = place[step.replace("~1", "/").replace("~0", "~")]


def test_the_asyncapi_document_says_of_each_topic_key_partitions_retention_and_of_each_event_an_example() -> None:
    document = asyncapi(version="1")
    topics = {topic.name: topic for topic in registry.topics.values() if topic.numbered}
    assert document["channels"].keys() == topics.keys()
    for name, channel in document["channels"].items():
        kafka = channel["bindings"]["kafka"]
        assert (channel["x-key"], channel["x-producer"]) == ("record id", topics[name].producer)
        assert kafka["partitions"] == topics[name].partitions
        assert kafka["topicConfiguration"]["retention.ms"] == topics[name].retention_days * 86_400_000
        assert channel["messages"]
    for name, message in document["components"]["messages"].items():
        assert message["examples"][0]["payload"] == registry.examples[name]
        assert message["bindings"]["kafka"]["key"]["format"] == "uuid"


def test_the_asyncapi_document_says_which_versions_are_announced_or_superseded() -> None:
    messages = asyncapi(release(2), version="1")["components"]["messages"]
    told = {name: (message["x-recorded"], message["x-newest-version"]) for name, message in messages.items()}
    assert told == {
        f"{BOX}.packed.v1": (True, f"{BOX}.packed.v2"),
        f"{BOX}.packed.v2": (False, f"{BOX}.packed.v2"),
    }


def test_a_schema_that_loses_or_narrows_a_member_is_noticed() -> None:
    old = schema("crm.customers.customer.created.v1")
    assert breaks(old, copy.deepcopy(old)) == []

    gone = copy.deepcopy(old)
    del gone["$defs"]["CustomerState"]["properties"]["phone"]
    assert breaks(old, gone) == ["/state: member phone is gone"]

    retyped = copy.deepcopy(old)
    retyped["$defs"]["CustomerState"]["properties"]["name"]["type"] = "integer"
    assert breaks(old, retyped) == ["/state/name: type ['string'] became ['integer']"]

    demanded = copy.deepcopy(old)
    demanded["$defs"]["CustomerState"]["properties"]["mood"] = {"type": "string"}
    assert breaks(old, demanded) == []
    demanded["$defs"]["CustomerState"]["required"].append("mood")
    assert breaks(old, demanded) == ["/state: new member mood is required"]


def test_an_envelope_survives_its_headers() -> None:
    event_id, write_id = new_id(), new_id()
    sent = Envelope(
        id=event_id,
        type="crm.customers.customer.created.v1",
        source="/crm/customers",
        subject=uuid.uuid4(),
        time=id_time(event_id),
        data=b'{"version":1}',
        sequence=42,
        stream="a",
        write_id=write_id,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    assert Envelope.read(sent.headers(), sent.data) == sent


@pytest.mark.parametrize("missing", ["ce_id", "ce_type", "ce_subject", "ce_time"])
def test_a_record_without_an_attribute_is_no_envelope(missing: str) -> None:
    event_id = new_id()
    sent = Envelope(event_id, "t", "/crm/x", uuid.uuid4(), id_time(event_id), b"{}")
    with pytest.raises(NotAnEnvelope):
        Envelope.read([pair for pair in sent.headers() if pair[0] != missing], b"{}")
