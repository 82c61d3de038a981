"""What the rows of all facts are made of: moments with their credit, owners, money and its division. Pure; out of plain JSON."""

import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from crm_kernel import Money

Row = dict[str, Any]
Data = Mapping[str, Any]


def is_created(type_name: str) -> bool:
    """Whether an event is about a new record."""
    return type_name.endswith(".created.v1")


def owner_of(data: Data) -> Any:
    """Whose the record is after the event."""
    access = data.get("access")
    return (data["state"] if access is None else access).get("owner_id")


def money_of(value: Data | None) -> Money | None:
    """An amount of the event's."""
    return None if value is None else Money.parse(value["amount"], value["currency"])


def moment(name: str, data: Data, *, tells: bool, **more: Any) -> Row:
    """The columns of a moment; all None when the event doesn't tell it. more: what else there is to say of it, without the prefix."""
    if not tells:
        return _not_told(name, *more)
    told = {"version": data["version"], "at": data["occurred_at"], **credit_of(data.get("credit")), **more}
    return {f"{name}_{column}": value for column, value in told.items()}


@cache
def _not_told(name: str, *more: str) -> Row:
    return {f"{name}_{column}": None for column in ("version", "at", "user_id", "department_id", "path", *more)}


def credit_of(credit: Data | None) -> Row:
    """The columns that say to whom something is credited."""
    if credit is None:
        return {"user_id": None, "department_id": None, "path": None}
    return {
        "user_id": credit["user_id"],
        "department_id": credit.get("department_id"),
        "path": credit.get("department_path", ()),
    }


def weights_of(lines: Sequence[Data], amount: str) -> dict[str, int]:
    """Product → what its lines come to, in minor units. amount: the lines' member that counts."""
    weights: dict[str, int] = {}
    for line in lines:
        minor = Money.parse(line[amount]["amount"], line[amount]["currency"]).minor
        weights[line["product_id"]] = weights.get(line["product_id"], 0) + minor
    return weights


def shares(owner: str, subject: uuid.UUID, value: Money | None, weights: Mapping[str, int]) -> list[Row]:
    """A value divided among products in proportion to their weights; in equal parts when all are 0. Parts add up to it exactly.

    owner: the column that says whose shares they are.
    """
    parts = _divided(value, list(weights.values()))
    return [
        {owner: subject, "product_id": product_id, "value_minor": part}
        for product_id, part in zip(weights, parts, strict=True)
    ]


def _divided(value: Money | None, weights: Sequence[int]) -> Sequence[int | None]:
    if value is None:
        return [None] * len(weights)
    if len(weights) < 2:
        return [value.minor] * len(weights)
    usable = any(weights) and min(weights) >= 0
    return [part.minor for part in (value.allocate(weights) if usable else value.split(len(weights)))]
