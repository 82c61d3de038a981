"""Which members of another service's records a replica keeps, as columns: from an event's JSON to the row, and back."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from crm_database import instant
from crm_kernel.money import Money
from crm_records.fields.references import plain_id

Kind = Literal["text", "integer", "boolean", "date", "instant", "id", "ids", "money", "json"]

_TYPES: Final[Mapping[Kind, Any]] = {
    "text": sa.Text,
    "integer": sa.Integer,
    "boolean": sa.Boolean,
    "date": sa.Date,
    "id": sa.Uuid,
    "ids": lambda: ARRAY(sa.Uuid()),
    "json": JSONB,
}


class Row(Protocol):
    """A row of the driver."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class Column:
    """A member of the contract's state that the replica keeps, under its own name.

    kind: `ids` is a tuple of UUIDs; `money` stands in two columns, `<name>_currency` and `<name>_minor`; `json` keeps a part (lines,
    totals) as it is told. required: NOT NULL; only for members that are never null.
    """

    name: str
    kind: Kind = "text"
    required: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its columns in the table."""
        return (f"{self.name}_currency", f"{self.name}_minor") if self.kind == "money" else (self.name,)

    def columns(self) -> tuple[sa.Column[Any], ...]:
        """Its columns in the table."""
        nullable = not self.required
        if self.kind == "money":
            currency, minor = self.labels
            return (
                sa.Column(currency, sa.Text, nullable=nullable),
                sa.Column(minor, sa.BigInteger, nullable=nullable),
            )
        if self.kind == "instant":
            return (instant(self.name, nullable=nullable),)
        return (sa.Column(self.name, _TYPES[self.kind](), nullable=nullable),)

    def stored(self, told: Any) -> dict[str, Any]:
        """The row's JSON, from the member's. Raises MoneyError for an amount that is none."""
        if self.kind != "money":
            return {self.name: told}
        amount = None if told is None else Money.parse(told["amount"], told["currency"])
        currency, minor = self.labels
        return {
            currency: None if amount is None else amount.currency,
            minor: None if amount is None else amount.minor,
        }

    def loaded(self, row: Row) -> Any:
        """The value of a row: str, int, bool, date, datetime, UUID, tuple[UUID, …], Money, JSON; or None."""
        if self.kind == "money":
            currency, minor = (row[label] for label in self.labels)
            return None if minor is None else Money(minor, currency)
        value = row[self.name]
        if self.kind == "id":
            return plain_id(value)
        if self.kind == "ids" and value is not None:
            return tuple(uuid.UUID(int=one.int) for one in value)
        return value
