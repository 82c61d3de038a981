"""Versions of one fact: what is registered how, and what readers are given."""

import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest

from crm_contracts import Envelope, Event, Registry, Topic, records, registry
from crm_contracts.records import STANDARD_FACTS, RecordState, standard_events
from crm_contracts.versions import UNTOUCHED, NewerThanKnown, UpcastFailed, fact_of, parts_of
from crm_kernel.ids import id_time, new_id

from .toys import BOX, BoxState, release

V1, V2, V3 = (f"{BOX}.packed.v{number}" for number in (1, 2, 3))


def envelope(type_name: str, data: dict[str, Any]) -> Envelope:
    event_id = new_id()
    return Envelope(
        event_id,
        type_name,
        "/crm/toys",
        uuid.uuid4(),
        id_time(event_id),
        orjson.dumps(data),
        7,
        "s",
        new_id(),
        topic=BOX,
        partition=1,
    )


def with_third(known: Registry) -> Registry:
    """A third version, which has boxes with a depth."""
    model = type("BoxPackedV3", (Event[BoxState],), {"__module__": __name__})
    known.event(V3, known.topics[BOX], example=known.examples[V2], emitted=False)(model)
    known.upcast(from_type=V2, to=V3)(lambda data: {**data, "state": {**data["state"], "depth": 0}})
    return known


def test_a_type_has_a_fact_and_a_number() -> None:
    assert parts_of("crm.toys.box.packed.v12") == ("crm.toys.box.packed", 12)
    assert fact_of("crm.toys.box.packed.v12") == "crm.toys.box.packed"
    assert fact_of("heartbeat") == "heartbeat"
    for wrong in ("crm.toys.box.packed", "crm.toys.box.packed.v0", "crm.toys.box.packed.v"):
        with pytest.raises(ValueError, match="is no"):
            parts_of(wrong)


def test_readers_are_given_the_newest_version_with_everything_else_as_it_was() -> None:
    known = with_third(release(2))
    old = envelope(V1, {**known.examples[V1], "changes": {"label": {"old": None, "new": "x"}}})
    given = known.in_newest_version(old)
    assert replace(given, type=old.type, data=old.data) == old
    assert given.type == V3
    assert given.payload["state"] == {"width": 30, "height": 40, "depth": 0}
    assert given.payload["changes"] == {"label": {"old": None, "new": "x"}}
    assert known.in_newest_version(envelope(V2, known.examples[V2])).type == V3


def test_what_is_in_the_newest_version_or_unknown_comes_as_it_is() -> None:
    known = release(2)
    for name in (V2, V3, "crm.toys.box.lost.v1"):
        given = envelope(name, known.examples[V2])
        assert known.in_newest_version(given) is given


def test_versions_are_known_by_their_fact() -> None:
    known = release(2)
    assert [known.newest(name) for name in (V1, V2, V3)] == [V2, V2, V2]
    assert known.versions(V1) == known.versions(V3) == (V1, V2)
    assert [known.is_later(name) for name in (V1, V2, V3)] == [False, False, True]
    assert [model.type for model in known.newest_events()] == [V2]
    stranger = "crm.toys.box.lost.v1"
    assert (known.newest(stranger), known.versions(stranger), known.is_later(stranger)) == (
        stranger,
        (stranger,),
        False,
    )


def test_an_upcaster_that_fails_or_changes_what_happened_is_told() -> None:
    known = release(2)
    with pytest.raises(UpcastFailed, match=r"the upcaster of crm\.toys\.box\.packed\.v1: KeyError"):
        known.in_newest_version(envelope(V1, {**known.examples[V1], "state": {}}))
    for member in UNTOUCHED:
        known.upcasters[V1] = lambda data, member=member: {**data, member: "other"}  # type: ignore[misc]
        with pytest.raises(UpcastFailed, match=f"the upcaster of {V1} changes {member}"):
            known.in_newest_version(envelope(V1, known.examples[V1]))


def test_an_upcaster_leads_to_the_next_version_of_the_same_fact() -> None:
    known = with_third(release(2))
    for from_type, to, words in (
        (V1, V3, "is not the version after"),
        (V2, V1, "is not the version after"),
        (V1, "crm.toys.box.lost.v2", "is not the version after"),
        (V3, f"{BOX}.packed.v4", "is not registered"),
        (V1, V2, "has an upcaster already"),
    ):
        with pytest.raises(ValueError, match=words):
            known.upcast(from_type=from_type, to=to)(dict)


def test_versions_that_do_not_fit_together_are_named() -> None:
    for number in (1, 2, 3):
        assert release(number).problems() == []
    assert with_third(release(3)).problems() == []

    alone = release(2)
    del alone.upcasters[V1]
    assert alone.problems() == [f"{V1} has no upcaster to {V2}"]

    gone = release(3)
    del gone.events[V1]
    assert gone.problems() == [f"{V1} is not registered, {V2} is"]

    both = release(2)
    both.events[V2].emitted = True
    assert both.problems() == [f"{BOX}.packed is recorded in {V1} and {V2}, not in one"]

    none = release(1)
    none.events[V1].emitted = False
    assert none.problems() == [f"{BOX}.packed is recorded in no version, not in one"]

    apart = release(2)
    apart.events[V2].topic = "crm.toys.bag"
    assert apart.problems() == [f"the versions of {BOX}.packed are on different topics"]


def test_all_facts_of_a_record_type_get_a_version_together(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Registry()
    monkeypatch.setattr(records, "registry", known)
    topic = known.topic(Topic("crm.toys.doll", "toys", (), "Dolls."))
    times = dict.fromkeys(("created_at", "updated_at"), "2026-03-01T09:00:00Z")
    standard_events(topic, DollStateV1, {"called": "Ann", **times})
    announced = standard_events(topic, DollState, {"name": "Ann", **times}, version=2, emitted=False)
    assert len(known.problems()) == len(STANDARD_FACTS), "each fact needs its upcaster"
    for fact in STANDARD_FACTS:
        old, new = f"crm.toys.doll.{fact}.v1", f"crm.toys.doll.{fact}.v2"
        known.upcast(from_type=old, to=new)(called_is_the_name)
        name, data = known.upcast_data(old, orjson.loads(orjson.dumps(known.examples[old])))
        assert known.events[name].model_validate(data).state.name == "Ann"
        assert (known.events[old].emitted, known.events[new].emitted) == (True, False)
    assert known.problems() == []
    assert announced.created is known.events["crm.toys.doll.created.v2"]


class DollStateV1(RecordState):
    called: str


class DollState(RecordState):
    name: str


def called_is_the_name(data: dict[str, Any]) -> dict[str, Any]:
    state = dict(data["state"])
    return {**data, "state": {**state, "name": state.pop("called")}}


def test_the_products_own_versions_fit_together() -> None:
    assert registry.problems() == []
    for name, example in registry.examples.items():
        newest, data = registry.upcast_data(name, orjson.loads(orjson.dumps(example)))
        registry.events[newest].model_validate(data)


def test_a_later_release_is_no_wrong_value() -> None:
    """Consumers tell it from data that doesn't fit: nothing is wrong with the event."""
    assert not issubclass(NewerThanKnown, ValueError)
