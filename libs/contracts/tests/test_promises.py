"""What a release promises of topics and events, and which changes of a toy registry are refused."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from crm_contracts import Registry
from crm_contracts.promises import Promises, broken, promised

from .toys import BOX, release


def frozen(known: Registry) -> Promises:
    """As it is read from a release's files."""
    return Promises.read(orjson.loads(orjson.dumps(promised(known).documents())))


def topic(**given: Any) -> Callable[[Registry], None]:
    def change(known: Registry) -> None:
        known.topics[BOX] = replace(known.topics[BOX], **given)

    return change


def without_topic(known: Registry) -> None:
    del known.topics[BOX]


def without_event(known: Registry) -> None:
    del known.events[f"{BOX}.packed.v1"]


def test_a_registry_keeps_what_it_promised() -> None:
    for number in (1, 2, 3):
        assert broken(frozen(release(number)), promised(release(number))) == []


def test_nothing_for_people_is_kept() -> None:
    documents = promised(release(2)).documents()
    text = orjson.dumps(documents["events.json"]["parts"]).decode()
    assert '"title"' not in text
    assert '"description"' not in text
    # A member may be called like a word of JSON Schema.
    assert "label" in text


@pytest.mark.parametrize(
    "change",
    [
        topic(partitions=6),
        topic(retention_days=30),
        topic(consumers=()),
        topic(description="Other words"),
        lambda known: known.topic(replace(known.topics[BOX], name="crm.toys.bag")),
    ],
    ids=["more partitions", "kept longer", "other consumers", "other words", "another topic"],
)
def test_what_harms_no_subscriber_is_allowed(change: Callable[[Registry], None]) -> None:
    known = release(1)
    change(known)
    assert broken(frozen(release(1)), promised(known)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_topic, f"topic {BOX} is gone: subscribers wait at it, so it stays"),
        (
            topic(producer="shop"),
            f"topic {BOX}: producer was toys and is shop: order and numbering rest on it; make another topic",
        ),
        (
            topic(numbered=False),
            f"topic {BOX}: key was record id and is none: order and numbering rest on it; make another topic",
        ),
        (topic(partitions=2), f"topic {BOX}: 3 partitions became 2: Kafka takes none away"),
        (
            topic(retention_days=7),
            f"topic {BOX}: 14 days of retention became 7: a subscriber that was away in between would lack events",
        ),
        (
            without_event,
            f"{BOX}.packed.v1 is gone: journals have it for ever; keep its model and an upcaster, and record {BOX}.packed.v2",
        ),
    ],
)
def test_what_harms_a_subscriber_is_refused_and_says_what_to_do(change: Callable[[Registry], None], words: str) -> None:
    known = release(1)
    change(known)
    assert words in broken(frozen(release(1)), promised(known))


def test_a_changed_schema_is_refused_and_leads_to_the_next_version() -> None:
    old, new = frozen(release(1)), promised(release(1))
    changed = copy.deepcopy(new.parts)
    del changed["BoxStateV1"]["properties"]["label"]
    assert broken(old, replace(new, parts=changed)) == [
        f"{BOX}.packed.v1 /state: member label is gone: undo it, or make it {BOX}.packed.v2 with an upcaster"
    ]


def test_a_version_is_announced_in_one_release_and_recorded_in_a_later_one() -> None:
    assert broken(frozen(release(1)), promised(release(2))) == []
    assert broken(frozen(release(2)), promised(release(3))) == []
    # Consumers of release 1 would meet what they don't know.
    assert broken(frozen(release(1)), promised(release(3))) == [
        f"{BOX}.packed.v2 is recorded, but the last release didn't know it: announce it first (emitted=False), "
        "record it one release later"
    ]


def test_nobody_goes_back_to_a_version_that_was_left() -> None:
    assert broken(frozen(release(3)), promised(release(2))) == [
        f"{BOX}.packed was recorded as {BOX}.packed.v2 and is again as {BOX}.packed.v1: readers were told that this is over"
    ]


def test_a_fact_does_not_fall_silent() -> None:
    known = release(1)
    known.events[f"{BOX}.packed.v1"].emitted = False
    assert broken(frozen(release(1)), promised(known)) == [
        f"{BOX}.packed is recorded no more: whoever waits for it would wait for ever"
    ]


def test_an_event_does_not_move_to_another_topic() -> None:
    known = release(1)
    known.events[f"{BOX}.packed.v1"].topic = "crm.toys.bag"
    assert broken(frozen(release(1)), promised(known)) == [
        f"{BOX}.packed.v1 is on another topic: {BOX} became crm.toys.bag"
    ]
