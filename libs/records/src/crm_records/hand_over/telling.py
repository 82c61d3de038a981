"""What is told of a service's part in a hand-over: the row and its event, in one transaction with what they tell of."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

from crm_contracts.hand_overs import HandOverEvents
from crm_database import WriteSession
from crm_events import Step, record
from crm_records.hand_over.rules import HandOver
from crm_records.hand_over.tables import hand_over

Fact = Literal["progressed", "done", "failed"]
#: What of the class stands in the row.
_COLUMNS = tuple(field.name for field in fields(HandOver) if field.name not in ("id", "version", "moved", "remaining"))


async def tell(
    session: WriteSession, events: HandOverEvents, fact: Fact, after: HandOver, *, new: bool = False
) -> None:
    """Write a hand-over's row as it is now, and say so; the row is locked, or new."""
    event = {"progressed": events.progressed, "done": events.done, "failed": events.failed}[fact]
    values = {name: getattr(after, name) for name in _COLUMNS} | {"told_at": session.context.now}
    step = Step(hand_over, after.id, event=event, state=state_of(after), values=values, new=new)
    await record(session, [step])


def state_of(found: HandOver) -> Mapping[str, Any]:
    """A hand-over as its events carry it."""
    return {
        "user_id": found.user_id,
        "successor_id": found.successor_id,
        "attempt": found.attempt,
        "status": found.status,
        "moved": dict(found.moved),
        "remaining": dict(found.remaining),
        "asked_by": found.asked_by,
        "asked_at": found.asked_at,
        "ended_at": found.ended_at,
        "job_id": found.job_id,
        "problem": _problem(found.problem),
    }


def _problem(problem: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if problem is None else {name: problem[name] for name in ("code", "title", "detail")}


def step_of(steps: list[Any], service: str) -> Any | None:
    """A service's step of a hand-over as identity tells of it; None when it has no part."""
    return next((step for step in steps if step.service == service), None)
