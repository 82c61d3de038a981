"""What a release promises to those who read its topics, and whether it is kept by what is there now. Pure.

A release freezes it in two files (`python -m crm_web.release`): `topics.json` and `events.json`. Everything is compared with the newest
release only: that one kept what those before it had promised.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crm_contracts.asyncapi import schema
from crm_contracts.compatibility import Schema, breaks
from crm_contracts.registry import Registry, registry
from crm_contracts.versions import fact_of, parts_of

#: What of a schema is for people: changed freely, and not kept.
_FOR_PEOPLE = ("title", "description", "examples", "$id", "$schema")


@dataclass(frozen=True)
class Promises:
    """topics: name → producer, key, numbered, partitions, retention_days, cleanup_policy.

    events: type → topic, emitted, example, schema; the schemas refer to `parts`, the definitions of all.
    """

    topics: dict[str, dict[str, Any]]
    events: dict[str, dict[str, Any]]
    parts: dict[str, Schema]

    def schema(self, type_name: str) -> Schema:
        """The whole schema of an event type. KeyError when there is none."""
        return {**self.events[type_name]["schema"], "$defs": self.parts}

    def documents(self) -> dict[str, Any]:
        """File name → what stands in it."""
        return {"topics.json": self.topics, "events.json": {"parts": self.parts, "types": self.events}}

    @classmethod
    def read(cls, documents: dict[str, Any]) -> "Promises":
        """What `documents` made. KeyError when one is missing."""
        events = documents["events.json"]
        return cls(documents["topics.json"], events["types"], events["parts"])


def promised(known: Registry = registry) -> Promises:
    """What is there now."""
    topics = {
        topic.name: {
            "producer": topic.producer,
            "key": topic.key,
            "numbered": topic.numbered,
            "partitions": topic.partitions,
            "retention_days": topic.retention_days,
            "cleanup_policy": "delete",
        }
        for topic in known.topics.values()
    }
    events: dict[str, dict[str, Any]] = {}
    parts: dict[str, Schema] = {}
    for name, model in known.events.items():
        document = _without_words(schema(name, known))
        for part, told in document.pop("$defs", {}).items():
            # The AsyncAPI document could not be made otherwise either.
            if parts.setdefault(part, told) != told:
                raise ValueError(f"{name}: {part} has the name of another event's part, but not its shape")
        events[name] = {
            "topic": model.topic,
            "emitted": model.emitted,
            "example": known.examples[name],
            "schema": document,
        }
    return Promises(topics, events, parts)


def broken(old: Promises, new: Promises) -> list[str]:
    """What of `old` is not kept by `new`, in words that say what to do; empty: everybody who relies on `old` can go on."""
    return [*_topics(old, new), *_events(old, new), *_emitted(old, new)]


def _topics(old: Promises, new: Promises) -> Iterator[str]:
    for name, before in old.topics.items():
        now = new.topics.get(name)
        if now is None:
            yield f"topic {name} is gone: subscribers wait at it, so it stays"
            continue
        for member in ("producer", "key", "numbered", "cleanup_policy"):
            if before[member] != now[member]:
                yield (
                    f"topic {name}: {member} was {before[member]} and is {now[member]}: "
                    "order and numbering rest on it; make another topic"
                )
        if now["partitions"] < before["partitions"]:
            yield f"topic {name}: {before['partitions']} partitions became {now['partitions']}: Kafka takes none away"
        if now["retention_days"] < before["retention_days"]:
            yield (
                f"topic {name}: {before['retention_days']} days of retention became {now['retention_days']}: "
                "a subscriber that was away in between would lack events"
            )


def _events(old: Promises, new: Promises) -> Iterator[str]:
    for name, before in old.events.items():
        fact, number = parts_of(name)
        if name not in new.events:
            yield f"{name} is gone: journals have it for ever; keep its model and an upcaster, and record {fact}.v{number + 1}"
            continue
        if new.events[name]["topic"] != before["topic"]:
            yield f"{name} is on another topic: {before['topic']} became {new.events[name]['topic']}"
        for words in breaks(old.schema(name), new.schema(name)):
            yield f"{name} {words}: undo it, or make it {fact}.v{number + 1} with an upcaster"


def _emitted(old: Promises, new: Promises) -> Iterator[str]:
    """Consumers of the release before must understand whatever is recorded now."""
    for fact, name in _recorded(new).items():
        if name not in old.events and parts_of(name)[1] > 1:
            yield f"{name} is recorded, but the last release didn't know it: announce it first (emitted=False), record it one release later"
        before = _recorded(old).get(fact)
        if before is not None and parts_of(name)[1] < parts_of(before)[1]:
            yield f"{fact} was recorded as {before} and is again as {name}: readers were told that this is over"
    for fact in sorted(_recorded(old).keys() - _recorded(new).keys()):
        yield f"{fact} is recorded no more: whoever waits for it would wait for ever"


def _recorded(promises: Promises) -> dict[str, str]:
    """Fact → the version in which it is recorded."""
    return {fact_of(name): name for name, told in promises.events.items() if told["emitted"]}


def _without_words(part: Any, *, members: bool = False) -> Any:
    """A schema without what is for people. members: the part's keys are members' names, not words of JSON Schema."""
    if isinstance(part, dict):
        return {
            key: _without_words(value, members=not members and key in ("properties", "$defs"))
            for key, value in part.items()
            if members or key not in _FOR_PEOPLE
        }
    return [_without_words(value) for value in part] if isinstance(part, list) else part
