"""Annotations for the bodies of a slice's own operations: values are read as the fields of records read them."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from crm_kernel.money import Money
from crm_records.fields import Date, DecimalNumber, Field, FieldProblem, MoneyField


def reads(field: Field, *, optional: bool = False) -> PlainValidator:
    """Reads a value as a record's field of that kind does. optional: null is a value too."""

    def validate(raw: Any) -> Any:
        if raw is None and optional:
            return None
        try:
            return field.parse(raw)
        except FieldProblem as problem:
            raise PydanticCustomError(problem.code, "{detail}", {"detail": problem.detail}) from None

    return PlainValidator(validate)


def reads_text(most: int, *, optional: bool = False) -> PlainValidator:
    """Reads a text of at most so many characters, without space around it. optional: nothing but space is null."""

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
_DAY = Date("day")

Quantity = Annotated[Decimal, reads(_QUANTITY), WithJsonSchema(_QUANTITY.schema())]
Percent = Annotated[Decimal, reads(_PERCENT), WithJsonSchema(_PERCENT.schema())]
#: Amounts that are not negative.
RequiredMoney = Annotated[Money, reads(_MONEY), WithJsonSchema(_MONEY.schema())]
OptionalMoney = Annotated[
    Money | None, reads(_MONEY, optional=True), WithJsonSchema({"anyOf": [_MONEY.schema(), {"type": "null"}]})
]
RequiredDay = Annotated[dt.date, reads(_DAY), WithJsonSchema({"type": "string", "format": "date"})]
OptionalDay = Annotated[
    dt.date | None, reads(_DAY, optional=True), WithJsonSchema({"type": ["string", "null"], "format": "date"})
]
#: Why something is done, in words.
RequiredReason = Annotated[str, reads_text(500), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 500})]
OptionalReason = Annotated[
    str | None, reads_text(500, optional=True), WithJsonSchema({"type": ["string", "null"], "maxLength": 500})
]
