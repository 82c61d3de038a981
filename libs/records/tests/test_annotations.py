"""Members of the bodies of slices' own operations are read as record fields are, with their codes."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from crm_kernel import Money
from crm_records.annotations import (
    OptionalDay,
    OptionalMoney,
    OptionalReason,
    Percent,
    Quantity,
    RequiredDay,
    RequiredMoney,
    RequiredReason,
)
from crm_records.lines import LineBody

USD = {"amount": "12.50", "currency": "USD"}


@pytest.mark.parametrize(
    ("annotation", "raw", "value"),
    [
        (RequiredMoney, USD, Money(1250, "USD")),
        (OptionalMoney, USD, Money(1250, "USD")),
        (OptionalMoney, None, None),
        (RequiredDay, "2026-11-23", dt.date(2026, 11, 23)),
        (OptionalDay, None, None),
        (RequiredReason, "  late ", "late"),
        (OptionalReason, "  ", None),
        (OptionalReason, None, None),
        (Quantity, "0.000001", Decimal("0.000001")),
        (Percent, "100", Decimal(100)),
    ],
)
def test_what_is_read(annotation: Any, raw: Any, value: Any) -> None:
    assert TypeAdapter(annotation).validate_python(raw) == value


@pytest.mark.parametrize(
    ("annotation", "raw", "code"),
    [
        (RequiredMoney, None, "field.type"),
        (RequiredMoney, {"amount": "-0.01", "currency": "USD"}, "field.too_small"),
        (OptionalMoney, {"amount": "1.000", "currency": "USD"}, "money.over_precise"),
        (RequiredDay, None, "field.type"),
        (OptionalDay, "23.11.2026", "field.type"),
        (RequiredReason, None, "field.type"),
        (RequiredReason, " ", "field.required"),
        (OptionalReason, 7, "field.type"),
        (OptionalReason, "x" * 501, "field.too_long"),
        (Quantity, "0", "field.too_small"),
        (Quantity, 2, "field.type"),
        (Percent, "100.1", "field.too_large"),
    ],
)
def test_what_is_refused(annotation: Any, raw: Any, code: str) -> None:
    with pytest.raises(ValidationError) as found:
        TypeAdapter(annotation).validate_python(raw)
    assert [error["type"] for error in found.value.errors()] == [code]


def test_a_line_without_prices_has_the_list_price_and_no_discount() -> None:
    body = LineBody.model_validate({"product_id": "01900000-0000-7000-8000-000000000008", "quantity": "2"})
    given = body.given()
    assert (given.quantity, given.unit_price, given.discount, given.tax, given.id) == (2, None, 0, 0, None)
