"""What of every record can be filtered and sorted by, besides its own fields."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import sqlalchemy as sa

from crm_records.fields import DateTime, Field, FieldProblem, Part, Reference, Text, UserRef
from crm_records.fields.field import JsonSchema
from crm_records.record_type import RecordType


class ExternalRefField(Field):
    """The external reference: `{"system": "erp", "id": "4711"}`."""

    kind = "external_ref"
    parts = (Part("", sa.Text()), Part("", sa.Text()))
    operators: ClassVar[frozenset[str]] = frozenset({"eq", "is_empty"})
    may_sort = False

    def expressions(self, table: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
        return (table.c.external_system, table.c.external_id)

    def operand(self, raw: Any) -> tuple[str, str]:
        if (
            not isinstance(raw, Mapping)
            or set(raw) != {"system", "id"}
            or not all(isinstance(v, str) for v in raw.values())
        ):
            raise FieldProblem("field.type", 'Must be {"system": "erp", "id": "4711"}')
        return raw["system"][:51], raw["id"][:201]

    def schema(self) -> JsonSchema:
        return {"type": "object"}


class NumberField(Text):
    """The number that people see; sorted and filtered as text."""

    def sort_keys(self, table: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
        return (table.c.number,)


_OWNED: tuple[Field, ...] = (UserRef("owner_id"),)
_ALWAYS: tuple[Field, ...] = (
    Reference("id", to="self", required=True, sortable=True),
    ExternalRefField("external_ref"),
    DateTime("created_at", required=True),
    DateTime("updated_at", required=True),
    UserRef("created_by"),
)


@lru_cache(maxsize=256)
def usable_fields(record: RecordType) -> Mapping[str, Field]:
    """All fields that filters and `sort` may name, by name."""
    numbered: tuple[Field, ...] = (NumberField("number", max_length=100),) if record.number else ()
    standard = (*_ALWAYS, *(_OWNED if record.scoped else ()), *numbered)
    return {field.name: field for field in (*standard, *record.fields)}
