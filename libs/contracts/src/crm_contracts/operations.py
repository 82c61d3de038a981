"""The contract of operator acts: each service says on a topic of its own what was done to its consumers, by whom, and why (PL-44)."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from crm_contracts.events import Event, Part
from crm_contracts.examples import CUSTOMER, ROOT, sample
from crm_contracts.registry import Registry, Topic
from crm_contracts.registry import registry as product_registry


class OperationState(Part):
    """One act of an operator. It says what was asked for: the service's worker carries it out afterwards.

    kind: `dead_letter.retry`, `dead_letter.discard` or `resync`; more may come. groups: the consumer groups concerned. event_id,
    event_type, subject_id: the dead letter's event and its record. topics, since, types, prune: what is to be told again, of a resync.
    requests: the ids of the resyncs that came of it.
    """

    kind: str
    groups: list[str]
    reason: str | None = None
    asked_by: uuid.UUID
    asked_at: dt.datetime
    event_id: uuid.UUID | None = None
    event_type: str | None = None
    subject_id: uuid.UUID | None = None
    topics: list[str] = Field(default_factory=list)
    since: dt.datetime | None = None
    types: list[str] | None = None
    prune: bool = False
    requests: list[uuid.UUID] = Field(default_factory=list)


@dataclass(frozen=True)
class OperationEvents:
    """The event types of one service's operator acts."""

    topic: Topic
    performed: type[Event[OperationState]]

    @property
    def service(self) -> str:
        """Whose consumers they are about."""
        return self.topic.producer


def operation_events(
    service: str, *, consumers: tuple[str, ...] = ("analytics",), registry: Registry = product_registry
) -> OperationEvents:
    """Declare and register the topic `crm.<service>.operation` and its event. ValueError when the service has them already.

    consumers: analytics alone, whose log is what an audit searches.
    """
    topic = registry.topic(
        Topic(
            name=f"crm.{service}.operation",
            producer=service,
            consumers=consumers,
            description=f"What operators did to the consumers of {service}: dead letters retried or discarded, resyncs asked for.",
            partitions=1,
        )
    )
    model = type(
        f"{service.capitalize()}OperationPerformed",
        (Event[OperationState],),
        {"__doc__": "An operator asked for something; the state says what, who and why.", "__module__": __name__},
    )
    declare = registry.event(f"{topic.name}.performed.v1", topic, example=_example(service))
    return OperationEvents(topic, declare(model))


def _example(service: str) -> dict[str, Any]:
    state = {
        "kind": "dead_letter.discard",
        "groups": [f"{service}.directory"],
        "reason": "The department was deleted by hand",
        "asked_by": ROOT,
        "asked_at": "2026-03-01T09:00:00Z",
        "event_id": "01900000-0000-7000-8000-000000000099",
        "event_type": "crm.identity.department.changed.v1",
        "subject_id": CUSTOMER,
        "topics": [],
        "since": None,
        "types": None,
        "prune": False,
        "requests": [],
    }
    return sample(state)
