"""The contract of hand-overs (ID-6): what each service says of the records of a leaver that it gives to the successor.

Identity asks (`crm.identity.hand-over`); each service with owners answers on a topic of its own, with the same three facts.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from crm_contracts.events import Event, Part
from crm_contracts.examples import ROOT, USER, sample
from crm_contracts.registry import Registry, Topic
from crm_contracts.registry import registry as product_registry

#: Where the newest ask of a service stands: still at it, nothing left, ended by itself, ended by identity.
HandOverWorkStatus = Literal["running", "done", "failed", "cancelled"]


class HandOverProblem(Part):
    """Why a service could not go on. code: stable (`hand_over.successor_not_active`)."""

    code: str
    title: str
    detail: str


class HandOverWorkState(Part):
    """What one service has done of a hand-over; the subject is the hand-over's id. attempt: the newest ask that it has heard, which
    an outcome is the answer to. moved: record type → how many records have changed hands so far, in all attempts. remaining: record
    type → how many were still the leaver's and open when that was last counted. job_id: the job that does it.
    """

    user_id: uuid.UUID
    successor_id: uuid.UUID
    attempt: int
    status: HandOverWorkStatus
    moved: dict[str, int] = Field(default_factory=dict)
    remaining: dict[str, int] = Field(default_factory=dict)
    asked_by: uuid.UUID
    asked_at: dt.datetime
    ended_at: dt.datetime | None = None
    job_id: uuid.UUID | None = None
    problem: HandOverProblem | None = None


@dataclass(frozen=True)
class HandOverEvents:
    """The event types of one service's part in hand-overs."""

    topic: Topic
    progressed: type[Event[HandOverWorkState]]
    done: type[Event[HandOverWorkState]]
    failed: type[Event[HandOverWorkState]]

    @property
    def service(self) -> str:
        """Whose records are given."""
        return self.topic.producer


#: fact → (what it says, status afterwards).
_FACTS: dict[str, tuple[str, HandOverWorkStatus]] = {
    "progressed": (
        "The ask was heard, or more records have changed hands; at most once a second. `cancelled`: it stopped where it was.",
        "running",
    ),
    "done": ("Nothing open belongs to the leaver any more.", "done"),
    "failed": ("It can't go on; `problem` says why. What has changed hands stays the successor's.", "failed"),
}


def hand_over_events(
    service: str, *, consumers: tuple[str, ...] = ("identity", "analytics"), registry: Registry = product_registry
) -> HandOverEvents:
    """Declare and register the topic `crm.<service>.hand-over` and its events. ValueError when the service has them already.

    consumers: identity, which counts them together, and analytics' log.
    """
    topic = registry.topic(
        Topic(
            name=f"crm.{service}.hand-over",
            producer=service,
            consumers=consumers,
            description=f"What {service} has given of leavers' records to their successors.",
            partitions=1,
        )
    )
    types = {fact: _declared(registry, topic, fact) for fact in _FACTS}
    return HandOverEvents(topic=topic, **types)


def _declared(registry: Registry, topic: Topic, fact: str) -> type[Event[HandOverWorkState]]:
    words, status = _FACTS[fact]
    name = f"{topic.producer}-hand-over-{fact}".title().replace("-", "")
    model = type(name, (Event[HandOverWorkState],), {"__doc__": words, "__module__": __name__})
    return registry.event(f"{topic.name}.{fact}.v1", topic, example=_example(topic.producer, status))(model)


def _example(service: str, status: HandOverWorkStatus) -> dict[str, Any]:
    record = f"{service}.record"
    ended = status != "running"
    problem = {
        "code": "hand_over.successor_not_active",
        "title": "The successor is not active any more",
        "detail": "The successor is not active any more",
    }
    state = {
        "user_id": USER,
        "successor_id": ROOT,
        "attempt": 1,
        "status": status,
        "moved": {record: 1500 if ended else 500},
        "remaining": {record: {"running": 1000, "done": 0}.get(status, 20)},
        "asked_by": ROOT,
        "asked_at": "2026-03-01T09:00:00Z",
        "ended_at": "2026-03-01T09:00:09Z" if ended else None,
        "job_id": "01900000-0000-7000-8000-000000000077",
        "problem": problem if status == "failed" else None,
    }
    return sample(state, version=3)
