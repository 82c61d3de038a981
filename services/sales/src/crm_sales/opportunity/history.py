"""An opportunity's way through its stages, from the facts of the journal (SA-3). Pure."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from crm_sales.opportunity.rules import dwell

Kind = Literal["created", "stage-changed", "won", "lost", "held", "reopened"]


@dataclass(frozen=True)
class Fact:
    """What happened. stage_id: in which stage it is afterwards. actor: who, as events say it. dwell_seconds: as it was noted."""

    kind: Kind
    occurred_at: dt.datetime
    recorded_at: dt.datetime
    actor: dict[str, Any]
    stage_id: uuid.UUID
    from_stage_id: uuid.UUID | None = None
    dwell_seconds: int = 0
    regression: bool = False


@dataclass(frozen=True)
class Visit:
    """A time in a stage. left_at: None while it lasts."""

    stage_id: uuid.UUID
    entered_at: dt.datetime
    recorded_at: dt.datetime
    actor: dict[str, Any]
    from_stage_id: uuid.UUID | None
    regression: bool
    dwell_seconds: int = 0
    left_at: dt.datetime | None = None


def visits(facts: Sequence[Fact], now: dt.datetime) -> list[Visit]:
    """The visits of stages, from facts in their order. Closing ends the last one; reopening goes on with it, as if nothing was."""
    found: list[Visit] = []
    for fact in facts:
        if fact.kind in ("created", "stage-changed"):
            if found:
                found[-1] = replace(found[-1], left_at=fact.occurred_at, dwell_seconds=fact.dwell_seconds)
            found.append(
                Visit(
                    stage_id=fact.stage_id,
                    entered_at=fact.occurred_at,
                    recorded_at=fact.recorded_at,
                    actor=fact.actor,
                    from_stage_id=fact.from_stage_id,
                    regression=fact.regression,
                )
            )
        elif found:
            ended = fact.occurred_at if fact.kind in ("won", "lost") else None
            found[-1] = replace(found[-1], left_at=ended)
    if found:
        last = found[-1]
        found[-1] = replace(last, dwell_seconds=dwell(last.entered_at, last.left_at or now))
    return found
