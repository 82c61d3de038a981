"""What a field of a record is: how it is read from JSON, stored, shown, filtered and sorted.

A field knows its parts (the values it stores) but not where they stand: `Columns` puts each part into a column of the record's
table. A company's own fields (PL-25) will be the same objects over another place, the record's `custom` column.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol

import sqlalchemy as sa
from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

JsonSchema = dict[str, Any]


class Row(Protocol):
    """A selected row: the driver's, or a dict."""

    def __getitem__(self, name: str, /) -> Any: ...


#: Names that every record has itself; a field can't be called so.
STANDARD_NAMES = frozenset(
    {"id", "version", "number", "owner_id", "external_ref", "external_system", "external_id", "custom", "created_at"}
    | {"updated_at", "created_by", "deleted_at", "deleted", "occurred_at", "search_text", "members"}
)


class FieldProblem(ValueError):
    """A value that a field doesn't take. code: stable (`field.too_long`); detail: a sentence for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Part:
    """One stored value of a field. suffix: what its column's name adds to the field's (`_minor`)."""

    suffix: str
    type: sa.types.TypeEngine[Any]


@dataclass(frozen=True)
class Settings:
    """What of the company's settings decides how values are understood. region: ISO 3166 code for phone numbers without one."""

    region: str | None = None


class Place(Protocol):
    """Where a field's parts stand."""

    def columns(self, field: "Field") -> tuple[sa.Column[Any], ...]:
        """Columns that the record's table needs for the field."""
        ...

    def expressions(self, field: "Field", table: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
        """SQL for the field's parts, in their order."""
        ...

    def labels(self, field: "Field") -> tuple[str, ...]:
        """The names under which a selected row carries the parts."""
        ...


class Columns:
    """Each part in a column of its own, named after the field and the part's suffix."""

    def columns(self, field: "Field") -> tuple[sa.Column[Any], ...]:
        return tuple(
            sa.Column(label, part.type, nullable=not field.never_empty)
            for label, part in zip(self.labels(field), field.parts, strict=True)
        )

    def expressions(self, field: "Field", table: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
        return tuple(table.c[label] for label in self.labels(field))

    def labels(self, field: "Field") -> tuple[str, ...]:
        return tuple(field.name + part.suffix for part in field.parts)


COLUMNS = Columns()


class Field:
    """One field. Kinds are its subclasses.

    name: in JSON and events, snake_case. required: never null, and must be given unless a hook fills it (`read_only`). read_only:
    not writable by the standard routes, only by a slice's actions and hooks. default: the value when none is given; then it is
    never null either. searchable: found by `q=`. sortable, indexed: may be sorted by; sorted by an index (for large tables).
    description, example: for the API's documentation.
    """

    kind: ClassVar[str]
    parts: tuple[Part, ...]
    #: Operators of the filter language that fit the kind; `is_empty`, `eq`, `ne`, `in` are every kind's.
    operators: ClassVar[frozenset[str]] = frozenset({"eq", "ne", "in", "is_empty"})
    #: Whether a value can stand in `q=`'s text.
    may_search: ClassVar[bool] = False
    may_sort: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        *,
        required: bool = False,
        read_only: bool = False,
        default: Any = None,
        searchable: bool = False,
        sortable: bool | None = None,
        indexed: bool = False,
        description: str = "",
        example: Any = None,
        place: Place = COLUMNS,
    ) -> None:
        if not name.isidentifier() or name.startswith("_"):
            raise ValueError(f"{name!r} can't be a field's name")
        if searchable and not self.may_search:
            raise ValueError(f"{name}: a {self.kind} can't be searched")
        self.name = name
        self.required = required
        self.read_only = read_only
        self.default = default
        self.searchable = searchable
        self.sortable = self.may_sort if sortable is None else sortable
        self.indexed = indexed
        self.description = description
        self.example = example
        self.place = place
        self.labels: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    # -- stored --------------------------------------------------------------------------------------------------------

    def columns(self) -> tuple[sa.Column[Any], ...]:
        """The columns that the record's table needs."""
        return self.place.columns(self)

    def expressions(self, table: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
        """SQL for each part."""
        return self.place.expressions(self, table)

    def stored(self, value: Any) -> dict[str, Any]:
        """A value as JSON values for its columns (`insert_rows`, `update_rows`)."""
        return {self.name: None if value is None else self.json(value)}

    def loaded(self, row: Row) -> Any:
        """The value that a selected row has."""
        return row[self.name]

    # -- JSON ----------------------------------------------------------------------------------------------------------

    def parse(self, raw: Any) -> Any:
        """A value from JSON, or FieldProblem. Null is dealt with before; None means that it amounts to no value."""
        raise NotImplementedError

    def settle(self, value: Any, settings: Settings) -> Any:  # noqa: ARG002  (kinds that need them override this)
        """The value as it will be stored, with the company's settings; FieldProblem when it can't be."""
        return value

    def json(self, value: Any) -> Any:
        """A value as the API shows it; None stays None."""
        return value

    #: Whether a selected row's part is what the API shows, as it is.
    plain: ClassVar[bool] = True

    def schema(self) -> JsonSchema:
        """The JSON Schema of a value."""
        raise NotImplementedError

    def described(self, *, nullable: bool) -> JsonSchema:
        """The schema with description, example and null."""
        schema = self.schema()
        if nullable:
            kind = schema.get("type")
            if isinstance(kind, str):
                schema = {**schema, "type": [kind, "null"]}
                if "enum" in schema:
                    schema["enum"] = [*schema["enum"], None]
            else:
                schema = {"anyOf": [schema, {"type": "null"}]}
        if self.description:
            schema = {**schema, "description": self.description}
        if self.example is not None:
            schema = {**schema, "examples": [self.example]}
        return schema

    @property
    def never_empty(self) -> bool:
        """Whether every record has a value."""
        return self.required or self.default is not None

    def accepted(self) -> Any:
        """The pydantic annotation of an input; null, and what amounts to it, is refused for a field that is never empty."""

        def validate(raw: Any) -> Any:
            try:
                value = None if raw is None else self.parse(raw)
            except FieldProblem as problem:
                raise PydanticCustomError(problem.code, "{detail}", {"detail": problem.detail}) from None
            if value is None and self.never_empty:
                raise PydanticCustomError("field.required", "This field can't be empty")
            return value

        return Annotated[Any, PlainValidator(validate), WithJsonSchema(self.described(nullable=not self.never_empty))]

    def shown(self) -> Any:
        """The pydantic annotation of the value in an answer."""
        return Annotated[Any, WithJsonSchema(self.described(nullable=not self.never_empty))]

    # -- filters and sorting -------------------------------------------------------------------------------------------

    def operand(self, raw: Any) -> Any:
        """The value that a filter compares with; FieldProblem."""
        return self.parse(raw)

    def text_operand(self, raw: Any) -> str:
        """The text that a filter's `contains` or `starts_with` looks for; FieldProblem."""
        return text_of(raw, 200)

    def sort_keys(self, table: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
        """What the database sorts by."""
        return self.expressions(table)


def text_of(raw: Any, max_length: int) -> str:
    """A string that PostgreSQL can hold: no NUL, no lone surrogate; at most so many characters."""
    if not isinstance(raw, str):
        raise FieldProblem("field.type", "Must be a string")
    if "\x00" in raw:
        raise FieldProblem("field.unreadable", "May not contain the character NUL")
    if not raw.isascii() and any("\ud800" <= character <= "\udfff" for character in raw):
        raise FieldProblem("field.unreadable", "Contains half of a surrogate pair")
    if len(raw) > max_length:
        raise FieldProblem("field.too_long", f"At most {max_length} characters")
    return raw
