"""Bodies and answers of the opportunity's own operations."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from crm_kernel import Money
from crm_records import Date, DecimalNumber, FieldProblem, Id, MoneyField, OptionalId, OptionalInstant
from crm_records import Field as RecordField
from crm_records.models import MAX_ROWS, OptionalRef
from crm_records.routes.bodies import ActorView
from crm_sales.opportunity.lines import LineGiven

_STRICT = ConfigDict(extra="forbid")
#: Lines that one opportunity can have.
MAX_LINES = 200


def _reads(field: RecordField, *, optional: bool) -> PlainValidator:
    """Reads a value as a record's field of that kind does."""

    def validate(raw: Any) -> Any:
        if raw is None and optional:
            return None
        try:
            return field.parse(raw)
        except FieldProblem as problem:
            raise PydanticCustomError(problem.code, "{detail}", {"detail": problem.detail}) from None

    return PlainValidator(validate)


def _text(most: int, *, optional: bool) -> PlainValidator:
    def validate(raw: Any) -> str | None:
        if raw is None and optional:
            return None
        if not isinstance(raw, str):
            raise PydanticCustomError("field.type", "Must be a string")
        text = raw.strip()
        if len(text) > most:
            raise PydanticCustomError("field.too_long", "At most {most} characters", {"most": most})
        if not text and not optional:
            raise PydanticCustomError("field.required", "This field can't be empty")
        return text or None

    return PlainValidator(validate)


_QUANTITY = DecimalNumber("quantity", digits=6, minimum=Decimal("0.000001"), maximum=10**9)
_PERCENT = DecimalNumber("percent", digits=6, minimum=0, maximum=100)
_MONEY = MoneyField("value", minimum=0)
_DAY = Date("closed_on")

Quantity = Annotated[Decimal, _reads(_QUANTITY, optional=False), WithJsonSchema(_QUANTITY.schema())]
Percent = Annotated[Decimal, _reads(_PERCENT, optional=False), WithJsonSchema(_PERCENT.schema())]
OptionalMoney = Annotated[
    Money | None, _reads(_MONEY, optional=True), WithJsonSchema({"anyOf": [_MONEY.schema(), {"type": "null"}]})
]
OptionalDay = Annotated[
    dt.date | None, _reads(_DAY, optional=True), WithJsonSchema({"type": ["string", "null"], "format": "date"})
]
OptionalReason = Annotated[
    str | None, _text(500, optional=True), WithJsonSchema({"type": ["string", "null"], "maxLength": 500})
]
Reason = Annotated[
    str, _text(500, optional=False), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 500})
]


class LineBody(BaseModel):
    """One line. id: of the present line that it is; left out: the next present line of the product, else a new one. unit_price:
    before the discount; the list price unless given. quantity and percents are decimal text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"product_id": "01900000-0000-7000-8000-000000000008", "quantity": "2", "discount_percent": "5"}
            ]
        },
    )

    id: OptionalId = None
    product_id: Id
    quantity: Quantity
    unit_price: OptionalMoney = None
    discount_percent: Percent = Field(default=Decimal(0), json_schema_extra={"default": "0"})
    tax_percent: Percent = Field(default=Decimal(0), json_schema_extra={"default": "0"})

    def given(self) -> LineGiven:
        """As the rules take it."""
        return LineGiven(
            product_id=self.product_id,
            quantity=self.quantity,
            id=self.id,
            unit_price=self.unit_price,
            discount=self.discount_percent,
            tax=self.tax_percent,
        )


Lines = Annotated[list[LineBody], Field(max_length=MAX_LINES)]


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

    reason: Reason
    value: OptionalMoney = None
    closed_on: OptionalDay = None
    occurred_at: OptionalInstant = None


class HoldBody(BaseModel):
    """Why."""

    model_config = _STRICT

    reason: Reason
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
