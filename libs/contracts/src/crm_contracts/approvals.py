"""The contract of approvals: each service that has something approved declares the same four facts on a topic of its own."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from crm_contracts.events import Event, Part
from crm_contracts.examples import CUSTOMER, ROOT, USER, sample
from crm_contracts.registry import Registry, Topic
from crm_contracts.registry import registry as product_registry

Status = Literal["pending", "approved", "rejected", "withdrawn"]
Decision = Literal["approve", "reject"]


class ApprovalStepState(Part):
    """Who decides, or has decided, at one step.

    part: steps that several must agree to have one part per approver; otherwise there is one part, and any of its approvers decides.
    decided_on_digest: the digest of the snapshot that was decided on.
    """

    step: int
    part: int = 1
    approvers: list[uuid.UUID]
    decided_by: uuid.UUID | None = None
    decided_at: dt.datetime | None = None
    decision: Decision | None = None
    comment: str | None = None
    decided_on_digest: str | None = None


class ApprovalState(Part):
    """An approval (BI-15). What was submitted is frozen; of it the event tells the digest only (SHA-256, hex), and a title for people.

    subject_type: `billing.contract`. subject_version: the record's version when it was submitted. ended_at: when it was decided
    or withdrawn.
    """

    subject_type: str
    subject_id: uuid.UUID
    subject_version: int
    title: str
    snapshot_digest: str
    submitted_by: uuid.UUID
    submitted_at: dt.datetime
    comment: str | None = None
    status: Status
    current_step: int
    ended_at: dt.datetime | None = None
    steps: list[ApprovalStepState] = Field(default_factory=list)


@dataclass(frozen=True)
class ApprovalEvents:
    """The event types of one service's approvals."""

    topic: Topic
    submitted: type[Event[ApprovalState]]
    approved: type[Event[ApprovalState]]
    rejected: type[Event[ApprovalState]]
    withdrawn: type[Event[ApprovalState]]

    @property
    def service(self) -> str:
        """Whose approvals they are."""
        return self.topic.producer


#: fact → (what it says, status afterwards, the decision of the step).
_FACTS: dict[str, tuple[str, Status, Decision | None]] = {
    "submitted": (
        "A record was submitted for approval (BI-2); the approvers of the first step may decide.",
        "pending",
        None,
    ),
    "approved": ("What was submitted was approved.", "approved", "approve"),
    "rejected": ("What was submitted was rejected; the step's comment says why.", "rejected", "reject"),
    "withdrawn": ("Who had submitted took it back before it was decided.", "withdrawn", None),
}


def approval_events(
    service: str, *, consumers: tuple[str, ...] = (), registry: Registry = product_registry
) -> ApprovalEvents:
    """Declare and register the topic `crm.<service>.approval` and its events. ValueError when the service has them already."""
    topic = registry.topic(
        Topic(
            name=f"crm.{service}.approval",
            producer=service,
            consumers=consumers,
            description=f"Approvals of what {service} has: submitted, approved, rejected, withdrawn.",
            partitions=3,
        )
    )
    types = {fact: _declared(registry, topic, fact) for fact in _FACTS}
    return ApprovalEvents(topic=topic, **types)


def _declared(registry: Registry, topic: Topic, fact: str) -> type[Event[ApprovalState]]:
    words, status, decision = _FACTS[fact]
    name = f"{topic.producer}-approval-{fact}".title().replace("-", "")
    model = type(name, (Event[ApprovalState],), {"__doc__": words, "__module__": __name__})
    declare = registry.event(f"{topic.name}.{fact}.v1", topic, example=_example(topic.producer, status, decision))
    return declare(model)


_DIGEST = "5f0b9c53f1b3a2d64a7e8b1c0d9e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e"


def _example(service: str, status: Status, decision: Decision | None) -> dict[str, Any]:
    at = "2026-03-01T09:00:00Z"
    step: dict[str, Any] = {"step": 1, "part": 1, "approvers": [ROOT]}
    if decision is not None:
        step |= {"decided_by": ROOT, "decided_at": at, "decision": decision, "decided_on_digest": _DIGEST}
    if decision == "reject":
        step["comment"] = "The discount is too high"
    state = {
        "subject_type": f"{service}.contract",
        "subject_id": CUSTOMER,
        "subject_version": 1,
        "title": "CTR-2603-0001 주식회사 예시",
        "snapshot_digest": _DIGEST,
        "submitted_by": USER,
        "submitted_at": at,
        "comment": None,
        "status": status,
        "current_step": 1,
        "ended_at": None if status == "pending" else at,
        "steps": [step],
    }
    changes = {} if status == "pending" else {"status": {"old": "pending", "new": status}}
    access = {"owner_id": USER, "members": [{"user_id": ROOT, "right": "read"}]}
    return sample(state, version=1 if status == "pending" else 2, changes=changes, access=access)
