"""Bodies and answers of the opportunity's own operations."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from crm_records import Id, OptionalId, OptionalInstant
from crm_records.annotations import OptionalDay, OptionalMoney, OptionalReason, RequiredReason
from crm_records.models import MAX_ROWS, OptionalRef
from crm_records.routes.bodies import ActorView

_STRICT = ConfigDict(extra="forbid")


class AdvanceBody(BaseModel):
    """To which stage, forward or back. occurred_at: when, if not now; needs the permission to backdate."""

    model_config = _STRICT

    stage_id: Id
    occurred_at: OptionalInstant = None


class WinBody(BaseModel):
    """At what value (as it is unless given) and on which day (that of occurred_at unless given)."""

    model_config = _STRICT

    value: OptionalMoney = None
    closed_on: OptionalDay = None
    occurred_at: OptionalInstant = None


class LoseBody(BaseModel):
    """Why, and on which day."""

    model_config = _STRICT

    reason: RequiredReason
    value: OptionalMoney = None
    closed_on: OptionalDay = None
    occurred_at: OptionalInstant = None


class HoldBody(BaseModel):
    """Why."""

    model_config = _STRICT

    reason: RequiredReason
    occurred_at: OptionalInstant = None


class ReopenBody(BaseModel):
    """When, if not now."""

    model_config = _STRICT

    occurred_at: OptionalInstant = None


class OutcomeRow(BaseModel):
    """One opportunity's outcome; it is named by id or by external_ref."""

    model_config = _STRICT

    id: OptionalId = None
    external_ref: OptionalRef = None
    outcome: Literal["won", "lost", "on_hold"]
    value: OptionalMoney = None
    closed_on: OptionalDay = None
    reason: OptionalReason = None
    occurred_at: OptionalInstant = None


class AdvanceRow(BaseModel):
    """One opportunity's next stage; it is named by id or by external_ref."""

    model_config = _STRICT

    id: OptionalId = None
    external_ref: OptionalRef = None
    stage_id: Id
    occurred_at: OptionalInstant = None


def _rows_of(model: type[BaseModel]) -> Any:
    return Annotated[
        list[Annotated[Any, WithJsonSchema(model.model_json_schema())]], Field(min_length=1, max_length=MAX_ROWS)
    ]


class OutcomesBody(BaseModel):
    """Up to 1,000 outcomes, checked row by row: one that is refused stops no other."""

    model_config = _STRICT

    rows: _rows_of(OutcomeRow)  # type: ignore[valid-type]


class AdvancesBody(BaseModel):
    """Up to 1,000 steps, checked row by row: one that is refused stops no other."""

    model_config = _STRICT

    rows: _rows_of(AdvanceRow)  # type: ignore[valid-type]


class StageVisit(BaseModel):
    """A time in a stage. entered_at, left_at: business time; recorded_at: when the entry was noted. left_at: null while it is in it;
    for a closed one when it was closed. dwell_seconds: how long so far. expected_days: of the stage. regression: it came back."""

    stage_id: uuid.UUID
    stage: str | None
    entered_at: dt.datetime
    left_at: dt.datetime | None
    recorded_at: dt.datetime
    by: ActorView
    from_stage_id: uuid.UUID | None
    regression: bool
    dwell_seconds: int
    expected_days: int | None


class StageHistory(BaseModel):
    """An opportunity's way through its stages, oldest first (SA-3)."""

    items: list[StageVisit]
