"""Fields that name other records or users: by bare ids (docs/architecture/events.md: no foreign key to a replica)."""

import uuid
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_records.fields.field import Field, FieldProblem, JsonSchema, Part, Row


def id_of(raw: Any) -> uuid.UUID:
    """An id from JSON: the canonical form with dashes; FieldProblem."""
    if isinstance(raw, uuid.UUID):
        return uuid.UUID(int=raw.int)
    if isinstance(raw, str) and len(raw) == 36:
        try:
            value = uuid.UUID(raw)
        except ValueError:
            value = None
        if value is not None and str(value) == raw.lower():
            return value
    raise FieldProblem("field.type", "Must be an id (UUID)")


def plain_id(value: Any) -> uuid.UUID | None:
    """An id as the standard library's type: the driver's own one is not JSON for everybody."""
    return None if value is None else uuid.UUID(int=value.int)


class Reference(Field):
    """The id of another record. to: its record type (`customers.customer`).

    Whether there is such a record, and whether the caller may see it, is for the slice's hook to say.
    """

    kind = "reference"
    parts = (Part("", sa.Uuid()),)
    may_sort = False

    def __init__(self, name: str, *, to: str, **options: Any) -> None:
        self.to = to
        super().__init__(name, **options)

    def parse(self, raw: Any) -> uuid.UUID:
        return id_of(raw)

    def json(self, value: Any) -> Any:
        return None if value is None else str(value)

    def loaded(self, row: Row) -> Any:
        return plain_id(row[self.name])

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "uuid"}


class UserRef(Reference):
    """The id of a user. Filters know `me` and `my_team` besides."""

    kind = "user"
    operators: ClassVar[frozenset[str]] = frozenset({"eq", "ne", "in", "is_empty", "me", "my_team"})

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, to="identity.user", **options)


class IdList(Field):
    """Ids of several records, in order, each once. `contains`: has this one among them."""

    kind = "reference_list"
    parts: tuple[Part, ...] = (Part("", ARRAY(sa.Uuid())),)
    operators: ClassVar[frozenset[str]] = frozenset({"contains", "is_empty"})
    may_sort = False
    plain = True

    def __init__(self, name: str, *, to: str, max_items: int = 100, **options: Any) -> None:
        self.to = to
        self.max_items = max_items
        options.setdefault("default", ())
        super().__init__(name, **options)

    def parse(self, raw: Any) -> tuple[uuid.UUID, ...]:
        if not isinstance(raw, list | tuple):
            raise FieldProblem("field.type", "Must be a list of ids")
        if len(raw) > self.max_items:
            raise FieldProblem("field.too_long", f"At most {self.max_items} ids")
        return tuple(dict.fromkeys(id_of(item) for item in raw))

    def operand(self, raw: Any) -> Any:
        return id_of(raw)

    def json(self, value: Any) -> Any:
        return None if value is None else [str(item) for item in value]

    def loaded(self, row: Row) -> Any:
        return tuple(uuid.UUID(int=item.int) for item in row[self.name] or ())

    def schema(self) -> JsonSchema:
        return {"type": "array", "items": {"type": "string", "format": "uuid"}, "maxItems": self.max_items}
