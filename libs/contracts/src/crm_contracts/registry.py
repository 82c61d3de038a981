"""The registry: every topic with its producer, consumers and settings, every event type with its model and examples."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from crm_contracts.events import Event

EventT = TypeVar("EventT", bound=type[Event[Any]])

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


@dataclass
class Registry:
    """All topics and event types that the product knows. Filled by importing crm_contracts."""

    topics: dict[str, Topic] = field(default_factory=dict)
    events: dict[str, type[Event[Any]]] = field(default_factory=dict)
    examples: dict[str, dict[str, Any]] = field(default_factory=dict)

    def topic(self, topic: Topic) -> Topic:
        """Register a topic. ValueError when the name is taken."""
        if topic.name in self.topics:
            raise ValueError(f"topic {topic.name} is registered twice")
        self.topics[topic.name] = topic
        return topic

    def event(self, type_name: str, topic: Topic, *, example: dict[str, Any]) -> Callable[[EventT], EventT]:
        """Class decorator: register an event type on its topic, with an example of its data.

        ValueError when the type is taken, or its name doesn't begin with the topic's.
        """

        def register(model: EventT) -> EventT:
            if type_name in self.events:
                raise ValueError(f"event {type_name} is registered twice")
            if type_name.rsplit(".", 2)[0] != topic.name or not type_name.rsplit(".v", 1)[-1].isdigit():
                raise ValueError(f"{type_name} is not <topic>.<fact>.v<n> of {topic.name}")
            model.type = type_name
            model.topic = topic.name
            self.events[type_name] = model
            self.examples[type_name] = example
            return model

        return register

    def consumed_by(self, service: str) -> list[Topic]:
        """The numbered topics a service reads, by name."""
        return sorted((t for t in self.topics.values() if t.numbered and service in t.consumers), key=lambda t: t.name)

    def produced_by(self, service: str) -> list[Topic]:
        """The numbered topics a service writes, by name."""
        return sorted((t for t in self.topics.values() if t.numbered and t.producer == service), key=lambda t: t.name)


registry = Registry()
