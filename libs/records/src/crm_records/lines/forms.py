"""Lines as events and the API carry them, and back. Pure."""

import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from crm_kernel.money import Money
from crm_records.lines.rules import Line, totals_of


def lines_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Lines as events and the API carry them."""
    return [
        {
            "id": str(line.id),
            "product_id": str(line.product_id),
            "quantity": decimal_text(line.quantity),
            "list_price": money_json(line.list_price),
            "unit_price": money_json(line.unit_price),
            "discount_percent": decimal_text(line.discount),
            "tax_percent": decimal_text(line.tax),
            "net": money_json(line.net),
            "tax": money_json(line.tax_amount),
            "total": money_json(line.total),
        }
        for line in lines
    ]


def line_of(state: Mapping[str, Any]) -> Line:
    """A line from the JSON that `lines_json` made of it."""
    prices = (state["list_price"], state["unit_price"])
    list_price, unit_price = (Money.parse(price["amount"], price["currency"]) for price in prices)
    return Line(
        id=uuid.UUID(state["id"]),
        product_id=uuid.UUID(state["product_id"]),
        quantity=Decimal(state["quantity"]),
        list_price=list_price,
        unit_price=unit_price,
        discount=Decimal(state["discount_percent"]),
        tax=Decimal(state["tax_percent"]),
    )


def totals_json(lines: Sequence[Line]) -> dict[str, Any] | None:
    """What the lines come to, as events and the API carry it; None without lines."""
    if not lines:
        return None
    totals = totals_of(lines)
    return {"net": money_json(totals.net), "tax": money_json(totals.tax), "total": money_json(totals.total)}


def parts_of(lines: Sequence[Line]) -> dict[str, Any]:
    """What of a record's state its lines are: the parts `lines` and `totals`."""
    return {"lines": lines_json(lines), "totals": totals_json(lines)}


def decimal_text(value: Decimal) -> str:
    """A number in its one form: "2", "0.5", "1200"; never an exponent."""
    return f"{value.normalize():f}"


def money_json(value: Money) -> dict[str, str]:
    """An amount as the API shows it."""
    return {"amount": value.amount, "currency": value.currency}
