"""What a list is asked for: filter, text, order, members, page; checked, with a pointer to what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from crm_kernel import FieldError, Invalid
from crm_records.beside import needed_for
from crm_records.fields import Field
from crm_records.filter import FilterContext, Node, parse_filter
from crm_records.filter.conditions import Everything, Joined
from crm_records.filter.standard import usable_fields
from crm_records.record_type import RecordType
from crm_records.rows import shown_names

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
MAX_SORT_FIELDS = 3
MAX_FILTER_CHARACTERS = 16_000
#: The longest text that `q` may be; more letters find no more.
MAX_TEXT = 100

Counting = Literal["exact", "estimate", "none"]
Deleted = Literal["exclude", "only", "include"]


class SortInvalid(Invalid):
    """422: not an order that the list has."""

    code = "sort.invalid"
    title = "The order is not valid"


class FieldsInvalid(Invalid):
    """422: not members that the records have."""

    code = "fields.invalid"
    title = "There are no such fields"


@dataclass(frozen=True)
class SortKey:
    """One field to sort by, and in which direction. Empty values come last either way."""

    field: Field
    descending: bool

    @property
    def spelled(self) -> str:
        return f"-{self.field.name}" if self.descending else self.field.name


@dataclass(frozen=True)
class Asked:
    """A checked request for a list. names: the columns' members to read. beside: those to show besides (`RecordType.beside`).
    hidden: of `names`, those that are read for them only. binding: what a cursor is bound to, besides caller and operation."""

    filter: Node
    text: str | None
    sort: tuple[SortKey, ...]
    names: tuple[str, ...]
    limit: int
    cursor: str | None
    count: Counting
    deleted: Deleted
    binding: Any
    beside: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Also:
    """A condition that the operation itself adds to the caller's filter. spelled: what it is, for cursors to be bound to; JSON."""

    node: Node
    spelled: Any


def ask(
    record: RecordType,
    context: FilterContext,
    *,
    filter: Any = None,
    q: str | None = None,
    sort: str | None = None,
    fields: Sequence[str] | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    count: Counting = "none",
    deleted: Deleted = "exclude",
    at: str = "query:",
    also: Also | None = None,
) -> Asked:
    """Check what a list is asked for. at: how pointers begin: `query:` for GET, `/` for a body. also: what must hold besides the
    filter, and counts for none of its limits. Raises Invalid."""
    usable = usable_fields(record)
    tree = parse_filter(filter, usable, context, at=f"{at}filter")
    if also is not None:
        tree = also.node if isinstance(tree, Everything) else Joined("and", (also.node, tree))
    spelled = sort or record.default_sort
    keys = _sort(spelled, usable, f"{at}sort")
    text = (q or "").strip() or None
    if text is not None and len(text) > MAX_TEXT:
        raise Invalid(errors=[FieldError(f"{at}q", "field.too_long", f"At most {MAX_TEXT} characters")])
    if text is not None and "search_text" not in record.table.c:
        raise Invalid(errors=[FieldError(f"{at}q", "query.unknown", "These records have no text to search")])
    shown, beside = (
        (shown_names(record), tuple(record.beside)) if fields is None else _names(record, fields, f"{at}fields")
    )
    hidden = tuple(dict.fromkeys(name for name in needed_for(record, beside) if name not in shown))
    binding = [filter, text, [key.spelled for key in keys], deleted]
    if also is not None:
        binding.append(also.spelled)
    return Asked(tree, text, keys, (*shown, *hidden), limit, cursor, count, deleted, binding, beside, hidden)


def filter_from_query(text: str | None) -> Any:
    """The JSON of `filter=`. Raises Invalid."""
    if text is None or not text.strip():
        return None
    if len(text) > MAX_FILTER_CHARACTERS:
        detail = f"At most {MAX_FILTER_CHARACTERS} characters; use the search operation"
        raise Invalid(errors=[FieldError("query:filter", "field.too_long", detail)])
    try:
        raw = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Invalid(errors=[FieldError("query:filter", "filter.malformed", "The filter is not JSON")]) from None
    return raw


def _sort(text: str, usable: Mapping[str, Field], at: str) -> tuple[SortKey, ...]:
    keys: list[SortKey] = []
    for part in text.split(","):
        name = part.strip()
        descending = name.startswith("-")
        name = name.lstrip("-") if descending and not name.startswith("--") else name
        field = usable.get(name)
        if field is None or not field.sortable:
            detail = "Sort by: " + ", ".join(sorted(n for n, f in usable.items() if f.sortable))
            raise SortInvalid(detail, errors=[FieldError(at, "sort.unknown_field", detail)])
        if any(key.field is field for key in keys):
            raise SortInvalid(errors=[FieldError(at, "sort.repeated", f"{name} stands twice")])
        keys.append(SortKey(field, descending))
    if len(keys) > MAX_SORT_FIELDS:
        raise SortInvalid(errors=[FieldError(at, "sort.too_many", f"At most {MAX_SORT_FIELDS} fields")])
    return tuple(keys)


def _names(record: RecordType, given: Sequence[str], at: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns' members asked for, and those beside them."""
    known = shown_names(record)
    asked = {name for part in given for name in part.split(",") if name}
    unknown = sorted(asked.difference(known, record.beside))
    if unknown or not asked:
        detail = "Fields: " + ", ".join((*known, *record.beside))
        raise FieldsInvalid(detail, errors=[FieldError(at, "fields.unknown", detail)])
    shown = tuple(name for name in known if name == "id" or name in asked)
    return shown, tuple(name for name in record.beside if name in asked)
