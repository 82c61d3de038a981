"""Fields that hold numbers, money, yes or no."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import sqlalchemy as sa

from crm_kernel.money import Money, MoneyError
from crm_records.fields.field import Field, FieldProblem, JsonSchema, Part, Row

ORDERED = frozenset({"eq", "ne", "in", "is_empty", "gt", "gte", "lt", "lte", "between"})
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,27})(\.[0-9]{1,18})?")


class Integer(Field):
    """A whole number between minimum and maximum, both allowed."""

    kind = "integer"
    operators: ClassVar[frozenset[str]] = ORDERED

    def __init__(self, name: str, *, minimum: int = -(2**31), maximum: int = 2**31 - 1, **options: Any) -> None:
        self.minimum = minimum
        self.maximum = maximum
        small = minimum >= -(2**31) and maximum < 2**31
        self.parts = (Part("", sa.Integer() if small else sa.BigInteger()),)
        super().__init__(name, **options)

    def parse(self, raw: Any) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise FieldProblem("field.type", "Must be a whole number")
        if not self.minimum <= raw <= self.maximum:
            code = "field.too_small" if raw < self.minimum else "field.too_large"
            raise FieldProblem(code, f"Must be between {self.minimum} and {self.maximum}")
        return raw

    def operand(self, raw: Any) -> Any:
        """Any number that the column can hold, also one that no record may have."""
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise FieldProblem("field.type", "Must be a whole number")
        bound = (
            2**31
            if isinstance(self.parts[0].type, sa.Integer) and not isinstance(self.parts[0].type, sa.BigInteger)
            else 2**63
        )
        if not -bound <= raw < bound:
            raise FieldProblem("field.too_large", "The number is too large")
        return raw

    def schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


class DecimalNumber(Field):
    """An exact decimal number; JSON text ("12.5"). digits: after the point; bounds are both allowed."""

    kind = "decimal"
    operators: ClassVar[frozenset[str]] = ORDERED
    plain = False

    def __init__(
        self,
        name: str,
        *,
        digits: int = 4,
        minimum: Decimal | int = -(10**14),
        maximum: Decimal | int = 10**14,
        **options: Any,
    ) -> None:
        self.digits = digits
        self.minimum = Decimal(minimum)
        self.maximum = Decimal(maximum)
        self.parts = (Part("", sa.Numeric(28, digits)),)
        super().__init__(name, **options)

    def parse(self, raw: Any) -> Decimal:
        if not isinstance(raw, str) or not _DECIMAL.fullmatch(raw):
            raise FieldProblem("field.type", 'Must be a number as text, like "12.5"')
        value = Decimal(raw)
        if len(raw.partition(".")[2]) > self.digits:
            raise FieldProblem("field.too_precise", f"At most {self.digits} digits after the point")
        if not self.minimum <= value <= self.maximum:
            code = "field.too_small" if value < self.minimum else "field.too_large"
            raise FieldProblem(code, f"Must be between {self.minimum} and {self.maximum}")
        return value

    def json(self, value: Any) -> Any:
        return None if value is None else f"{value:.{self.digits}f}"

    def schema(self) -> JsonSchema:
        return {"type": "string", "pattern": rf"^-?(0|[1-9][0-9]*)(\.[0-9]{{1,{self.digits}}})?$"}


class MoneyField(Field):
    """An amount of money: `{"amount": "1234.50", "currency": "KRW"}`; minor units and currency in two columns (PL-10)."""

    kind = "money"
    parts = (Part("_currency", sa.Text()), Part("_minor", sa.BigInteger()))
    operators: ClassVar[frozenset[str]] = ORDERED
    plain = False

    def __init__(self, name: str, *, minimum: int | None = None, **options: Any) -> None:
        """minimum: the least amount of minor units, 0 for "not negative"."""
        self.minimum = minimum
        super().__init__(name, **options)

    def parse(self, raw: Any) -> Money:
        money = self.operand(raw)
        if self.minimum is not None and money.minor < self.minimum:
            raise FieldProblem("field.too_small", "The amount is too small")
        return money

    def operand(self, raw: Any) -> Money:
        if isinstance(raw, Money):
            return raw
        if not isinstance(raw, Mapping) or set(raw) != {"amount", "currency"}:
            raise FieldProblem("field.type", 'Must be {"amount": "1234.50", "currency": "KRW"}')
        if not isinstance(raw["currency"], str):
            raise FieldProblem("money.unknown_currency", "The currency must be an ISO 4217 code")
        try:
            return Money.parse(raw["amount"], raw["currency"])
        except MoneyError as error:
            raise FieldProblem(error.code, error.detail) from None

    def stored(self, value: Any) -> dict[str, Any]:
        return {
            f"{self.name}_currency": None if value is None else value.currency,
            f"{self.name}_minor": None if value is None else value.minor,
        }

    def loaded(self, row: Row) -> Money | None:
        minor = row[f"{self.name}_minor"]
        return None if minor is None else Money(minor, row[f"{self.name}_currency"])

    def json(self, value: Any) -> Any:
        return None if value is None else {"amount": value.amount, "currency": value.currency}

    def schema(self) -> JsonSchema:
        return {
            "type": "object",
            "properties": {
                "amount": {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"},
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            },
            "required": ["amount", "currency"],
            "additionalProperties": False,
        }


class Checkbox(Field):
    """Yes or no; never empty."""

    kind = "checkbox"
    parts = (Part("", sa.Boolean()),)
    operators: ClassVar[frozenset[str]] = frozenset({"eq", "ne"})

    def __init__(self, name: str, *, default: bool = False, **options: Any) -> None:
        super().__init__(name, default=default, **options)

    def parse(self, raw: Any) -> bool:
        if not isinstance(raw, bool):
            raise FieldProblem("field.type", "Must be true or false")
        return raw

    def schema(self) -> JsonSchema:
        return {"type": "boolean"}
