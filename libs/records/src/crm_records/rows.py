"""Rows of record tables: as Record for actions, as JSON for answers, as state for events."""

import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import asyncpg
import orjson
import sqlalchemy as sa

from crm_records.drafts import ExternalRef, Record
from crm_records.fields.references import plain_id
from crm_records.fields.times import instant_text
from crm_records.record_type import RecordType

#: What of every record the API shows, besides its fields; `external_ref` stands in two columns.
_HEAD = ("id", "version")
_TAIL = ("custom", "created_at", "updated_at", "created_by", "deleted_at")


@lru_cache(maxsize=256)
def shown_names(record: RecordType) -> tuple[str, ...]:
    """The members of a record's JSON, in their order; parts aside."""
    return (
        *_HEAD,
        *(("number",) if record.number else ()),
        *(field.name for field in record.fields),
        *(("owner_id",) if record.scoped else ()),
        "external_ref",
        *_TAIL,
    )


def columns_for(record: RecordType, table: sa.FromClause, names: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    """The columns that the named members need, labelled as `Json` reads them."""
    found: list[sa.ColumnElement[Any]] = []
    for name in names:
        field = record.by_name.get(name)
        if field is not None:
            pairs = zip(field.place.labels(field), field.expressions(table), strict=True)
            found += [expression.label(label) for label, expression in pairs]
        elif name == "external_ref":
            found += [table.c.external_system, table.c.external_id]
        else:
            found.append(table.c[name])
    return found


def all_columns(record: RecordType) -> list[sa.ColumnElement[Any]]:
    """What `record_of` reads."""
    table = record.table
    names = [*_HEAD, "number", *(field.name for field in record.fields), "owner_id", "external_ref", *_TAIL]
    return columns_for(record, table, names)


def record_of(record: RecordType, row: asyncpg.Record) -> Record:
    """A row that was selected with `all_columns`."""
    system = row["external_system"]
    return Record(
        id=uuid.UUID(int=row["id"].int),
        version=row["version"],
        values={field.name: field.loaded(row) for field in record.fields},
        number=row["number"],
        owner_id=plain_id(row["owner_id"]),
        external_ref=None if row["external_id"] is None else ExternalRef(system, row["external_id"]),
        custom=row["custom"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        created_by=plain_id(row["created_by"]),
        deleted_at=row["deleted_at"],
    )


class RowJson:
    """Turns rows with some members' columns into JSON objects: the driver's row as it is, but for values that need a form.

    This is the one place where lists are made without objects in between (docs/decisions/0007).
    """

    def __init__(self, record: RecordType, names: Sequence[str]) -> None:
        self._formed = [field for name in names if (field := record.by_name.get(name)) is not None and not field.plain]
        self._with_ref = "external_ref" in names

    def __call__(self, row: asyncpg.Record) -> dict[str, Any]:
        shown = dict(row)
        for field in self._formed:
            value = field.json(field.loaded(row))
            for label in field.place.labels(field):
                del shown[label]
            shown[field.name] = value
        if self._with_ref:
            system, given = shown.pop("external_system"), shown.pop("external_id")
            shown["external_ref"] = None if given is None else {"system": system, "id": given}
        return shown


def to_bytes(content: Any) -> bytes:
    """JSON bytes; instants in UTC with `Z`."""
    return orjson.dumps(content, default=_plain, option=orjson.OPT_UTC_Z)


def _plain(value: Any) -> Any:
    # The driver's UUID is a subclass, which orjson leaves to us.
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def view_of(record: RecordType, found: Record, parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A record as the API shows it."""
    shown: dict[str, Any] = {"id": str(found.id), "version": found.version}
    if record.number:
        shown["number"] = found.number
    for field in record.fields:
        shown[field.name] = field.json(found.values[field.name])
    if parts:
        shown.update(parts)
    if record.scoped:
        shown["owner_id"] = None if found.owner_id is None else str(found.owner_id)
    shown["external_ref"] = found.external_ref.json() if found.external_ref else None
    shown["custom"] = found.custom
    shown["created_at"] = instant_text(found.created_at)
    shown["updated_at"] = instant_text(found.updated_at)
    shown["created_by"] = None if found.created_by is None else str(found.created_by)
    shown["deleted_at"] = None if found.deleted_at is None else instant_text(found.deleted_at)
    return shown


def state_of(record: RecordType, found: Record, parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A record as its events carry it: the members of the contract's state."""
    state = view_of(record, found, parts)
    state["deleted"] = found.deleted_at is not None
    state.setdefault("owner_id", None)
    return state
