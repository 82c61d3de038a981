"""The registry: every topic with its producer, consumers and settings, every event type with its model, examples and earlier versions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeVar

import orjson

from crm_contracts.envelope import Envelope
from crm_contracts.events import Event
from crm_contracts.versions import Data, Upcast, applied, fact_of, parts_of

EventT = TypeVar("EventT", bound=type[Event[Any]])
UpcastT = TypeVar("UpcastT", bound=Upcast)

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Topic:
    """A topic: the facts about one kind of record, in order per record.

    producer: the one service that writes it. consumers: the services that read it. partitions: how many; more only when every
    consumer has read everything. retention_days: how long the broker keeps a record.
    """

    name: str
    producer: str
    consumers: tuple[str, ...]
    description: str
    partitions: int = 3
    retention_days: int = 14
    #: Facts about records, numbered by the relay. Control topics (heartbeat, reports, dead letters) are not.
    numbered: bool = True

    @property
    def retention_ms(self) -> int:
        return self.retention_days * DAY_MS

    @property
    def key(self) -> str:
        """What the Kafka key of its records is."""
        return "record id" if self.numbered else "none"


@dataclass
class Registry:
    """All topics and event types that the product knows. Filled by importing crm_contracts.

    upcasters: type → how its data becomes that of the next version of the fact.
    """

    topics: dict[str, Topic] = field(default_factory=dict)
    events: dict[str, type[Event[Any]]] = field(default_factory=dict)
    examples: dict[str, dict[str, Any]] = field(default_factory=dict)
    upcasters: dict[str, Upcast] = field(default_factory=dict)
    #: Fact → its highest version; registered type → the newest of its fact, for the hot path.
    _highest: dict[str, int] = field(default_factory=dict)
    _newest: dict[str, str] = field(default_factory=dict)

    def topic(self, topic: Topic) -> Topic:
        """Register a topic. ValueError when the name is taken."""
        if topic.name in self.topics:
            raise ValueError(f"topic {topic.name} is registered twice")
        self.topics[topic.name] = topic
        return topic

    def event(
        self, type_name: str, topic: Topic, *, example: dict[str, Any], emitted: bool = True
    ) -> Callable[[EventT], EventT]:
        """Class decorator: register an event type on its topic, with an example of its data.

        emitted: whether this release records it. Of each fact it records one version: the newest, unless that one is only announced yet
        (docs/architecture/event-versions.md). ValueError when the type is taken, or its name doesn't begin with the topic's.
        """

        def register(model: EventT) -> EventT:
            if type_name in self.events:
                raise ValueError(f"event {type_name} is registered twice")
            if type_name.rsplit(".", 2)[0] != topic.name or not type_name.rsplit(".v", 1)[-1].isdigit():
                raise ValueError(f"{type_name} is not <topic>.<fact>.v<n> of {topic.name}")
            fact, number = parts_of(type_name)
            model.type = type_name
            model.topic = topic.name
            model.emitted = emitted
            self.events[type_name] = model
            self.examples[type_name] = example
            highest = self._highest[fact] = max(number, self._highest.get(fact, 0))
            self._newest |= dict.fromkeys((f"{fact}.v{n + 1}" for n in range(highest)), f"{fact}.v{highest}")
            return model

        return register

    def upcast(self, *, from_type: str, to: str) -> Callable[[UpcastT], UpcastT]:
        """Decorator: register how data of a version becomes data of the next one.

        The function is pure; it must not change what crm_contracts.versions.UNTOUCHED names. ValueError when the versions don't follow each
        other, one of them isn't registered, or there is one already.
        """

        def register(upcast: UpcastT) -> UpcastT:
            (fact, number), (next_fact, next_number) = parts_of(from_type), parts_of(to)
            if (next_fact, next_number) != (fact, number + 1):
                raise ValueError(f"{to} is not the version after {from_type}")
            unknown = [name for name in (from_type, to) if name not in self.events]
            if unknown:
                raise ValueError(f"{unknown[0]} is not registered")
            if from_type in self.upcasters:
                raise ValueError(f"{from_type} has an upcaster already")
            self.upcasters[from_type] = upcast
            return upcast

        return register

    def consumed_by(self, service: str) -> list[Topic]:
        """The numbered topics a service reads, by name."""
        return sorted((t for t in self.topics.values() if t.numbered and service in t.consumers), key=lambda t: t.name)

    def produced_by(self, service: str) -> list[Topic]:
        """The numbered topics a service writes, by name."""
        return sorted((t for t in self.topics.values() if t.numbered and t.producer == service), key=lambda t: t.name)

    # -- versions ---------------------------------------------------------------------------------------------------

    def newest(self, type_name: str) -> str:
        """The newest version known of the fact that a type tells, also when the type is a later one; the type itself when its fact is
        unknown."""
        known = self._newest.get(type_name)
        if known is not None:
            return known
        fact = fact_of(type_name)
        highest = self._highest.get(fact)
        return type_name if highest is None else f"{fact}.v{highest}"

    def versions(self, type_name: str) -> tuple[str, ...]:
        """All known versions of the fact that a type tells, from the oldest on; the type alone when its fact is unknown."""
        fact = fact_of(type_name)
        return tuple(f"{fact}.v{number + 1}" for number in range(self._highest.get(fact, 0))) or (type_name,)

    def is_later(self, type_name: str) -> bool:
        """Whether the fact is known, but not yet in this version: the event comes from a later release."""
        return type_name not in self.events and self.newest(type_name) != type_name

    def newest_events(self) -> Iterator[type[Event[Any]]]:
        """Of each fact the newest version's model: what readers are given."""
        return (model for name, model in self.events.items() if self.newest(name) == name)

    def upcast_data(self, type_name: str, data: Data) -> tuple[str, Data]:
        """Data in the newest version known, with its type; as it came when it is that, or unknown. Raises UpcastFailed."""
        while (upcast := self.upcasters.get(type_name)) is not None:
            fact, number = parts_of(type_name)
            data = applied(upcast, data, f"the upcaster of {type_name}")
            type_name = f"{fact}.v{number + 1}"
        return type_name, data

    def in_newest_version(self, envelope: Envelope) -> Envelope:
        """An event as readers are given it: in the newest version known, with its id, number and time. Raises UpcastFailed."""
        # Nearly every event is in the newest version: it costs one look-up then.
        if envelope.type not in self.upcasters:
            return envelope
        type_name, data = self.upcast_data(envelope.type, envelope.payload)
        return replace(envelope, type=type_name, data=orjson.dumps(data))

    def problems(self) -> list[str]:
        """What is wrong with the versions, in words: a reader could not be given each event in the newest version, or a fact would be
        recorded in none or in several."""
        found = []
        for fact, highest in self._highest.items():
            names = self.versions(f"{fact}.v{highest}")
            missing = [name for name in names if name not in self.events]
            found += [f"{name} is not registered, {names[-1]} is" for name in missing]
            found += [
                f"{older} has no upcaster to {newer}" for older, newer in pairwise(names) if older not in self.upcasters
            ]
            emitted = [name for name in names if name in self.events and self.events[name].emitted]
            if len(emitted) != 1:
                found.append(f"{fact} is recorded in {' and '.join(emitted) or 'no version'}, not in one")
            topics = {self.events[name].topic for name in names if name in self.events}
            if len(topics) > 1:
                found.append(f"the versions of {fact} are on different topics")
        return found


registry = Registry()
