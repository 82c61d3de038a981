"""The history of a record, read from the journal (PL-23), and the history of its owners (PL-22)."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_contracts import registry
from crm_database import ReadSession, query
from crm_events.archive import changed, completed, is_archived
from crm_events.journal import journal
from crm_records.record_type import RecordType

MAX_ENTRIES = 200

_columns = (
    journal.c.event_id,
    journal.c.type,
    journal.c.version,
    journal.c.time,
    journal.c.occurred_at,
    journal.c.data["actor"].label("actor"),
    journal.c.data["origin"].label("origin"),
    journal.c.data["changes"].label("changes"),
    journal.c.data["reason"].astext.label("reason"),
    # Whole where it was recorded in an earlier version of its type: what is shown of it is in the newest.
    sa.case(
        (journal.c.type == sa.func.any(sa.bindparam("earlier", type_=ARRAY(sa.Text()), required=True)), journal.c.data)
    ).label("recorded"),
    is_archived,
)
_of_record = (
    journal.c.subject == sa.bindparam("subject", type_=sa.Uuid(), required=True),
    journal.c.topic == sa.bindparam("topic", type_=sa.Text(), required=True),
)
# By version, not by event id: ids of two processes need not be in the order of the facts.
_entries = query(
    sa.select(*_columns)
    .where(*_of_record, journal.c.version < sa.bindparam("before", type_=sa.Integer(), required=True))
    .order_by(journal.c.version.desc())
    .limit(sa.bindparam("page_rows", type_=sa.Integer(), required=True))
)
_owners = query(
    sa.select(*_columns)
    .where(
        *_of_record,
        journal.c.version < sa.bindparam("before", type_=sa.Integer(), required=True),
        changed("owner_id"),
    )
    .order_by(journal.c.version.desc())
    .limit(sa.bindparam("page_rows", type_=sa.Integer(), required=True))
)
_entry = query(
    sa.select(*_columns).where(
        *_of_record, journal.c.version == sa.bindparam("at_version", type_=sa.Integer(), required=True)
    )
)

_NEWEST = 2**31 - 1


async def read_history(
    session: ReadSession, record: RecordType, record_id: uuid.UUID, *, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Entries of a record's history, newest first, and the version to go on before; None: that was all.

    The caller has been shown to see the record. Raises ArchiveUnreachable for entries of archived months.
    """
    rows = await session.fetch(
        _entries,
        subject=record_id,
        topic=record.events.topic.name,
        before=_NEWEST if before is None else before,
        page_rows=limit + 1,
        earlier=list(registry.upcasters),
    )
    kept = rows[:limit]
    return [entry_json(row) for row in await _whole(session, kept)], kept[-1]["version"] if len(rows) > limit else None


async def read_entry(
    session: ReadSession, record: RecordType, record_id: uuid.UUID, version: int
) -> dict[str, Any] | None:
    """The entry of one version, or None."""
    row = await session.first(
        _entry,
        subject=record_id,
        topic=record.events.topic.name,
        at_version=version,
        earlier=list(registry.upcasters),
    )
    return None if row is None else entry_json((await _whole(session, [row]))[0])


async def read_owners(
    session: ReadSession, record: RecordType, record_id: uuid.UUID, *, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Who owned the record: each change of owner, newest first, and the version to go on before."""
    rows = await session.fetch(
        _owners,
        subject=record_id,
        topic=record.events.topic.name,
        before=_NEWEST if before is None else before,
        page_rows=limit + 1,
        earlier=list(registry.upcasters),
    )
    kept = rows[:limit]
    return [_owner_json(row) for row in await _whole(session, kept)], kept[-1]["version"] if len(rows) > limit else None


async def _whole(session: ReadSession, rows: Sequence[asyncpg.Record]) -> list[Mapping[str, Any]]:
    """The rows, with what of them lies in the archive."""
    archived = await completed(session, rows)
    return [
        dict(row.items())
        if (data := archived.get(row["event_id"])) is None
        else {
            **row,
            **{name: data.get(name) for name in ("actor", "origin", "changes", "reason")},
            "recorded": data if row["type"] in registry.upcasters else None,
        }
        for row in rows
    ]


def entry_json(row: Mapping[str, Any] | Any) -> dict[str, Any]:
    """One entry. fact: the event type's (`changed`). recorded_at: when it was entered; occurred_at: when it happened.
    reason: what was given with it; None where none was, and for facts that have none."""
    type_name, told = _told(row)
    return {
        "event_id": row["event_id"],
        "version": row["version"],
        "type": type_name,
        "fact": row["type"].rsplit(".", 2)[1],
        "occurred_at": row["occurred_at"],
        "recorded_at": row["time"],
        "actor": row["actor"],
        "origin": row["origin"],
        "changes": told["changes"],
        "reason": told["reason"],
    }


def _told(row: Mapping[str, Any] | Any) -> tuple[str, Mapping[str, Any]]:
    """The type, and the data as far as it is shown, in the newest version known."""
    if row["recorded"] is None:
        return row["type"], {"changes": row["changes"], "reason": row["reason"]}
    type_name, data = registry.upcast_data(row["type"], row["recorded"])
    return type_name, {"changes": data.get("changes", {}), "reason": data.get("reason")}


def _owner_json(row: Mapping[str, Any] | Any) -> dict[str, Any]:
    _, told = _told(row)
    change = told["changes"]["owner_id"]
    return {
        "version": row["version"],
        "fact": row["type"].rsplit(".", 2)[1],
        "from_user_id": change["old"],
        "to_user_id": change["new"],
        "reason": told["reason"],
        "by": row["actor"],
        "occurred_at": row["occurred_at"],
        "recorded_at": row["time"],
    }
