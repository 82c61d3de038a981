"""`record()`: the one way to change an aggregate's row, and to say so.

A step writes the row, raises its version and puts the event into the journal and the outbox, in the caller's transaction. It
refuses a row that the transaction doesn't hold locked: then two writers could record the same version in the wrong order.
Several steps of one shape are written with one statement per table (PL-9).
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa
from pydantic import BaseModel

from crm_contracts import Access, Credit, Event
from crm_database import WriteContext, WriteSession, insert_rows, update_rows
from crm_events import wake
from crm_kernel.errors import TooLarge
from crm_kernel.ids import new_id

#: Larger data is refused when it is recorded: the broker would refuse the record for ever (its limit is 1 MiB with headers).
MAX_DATA_BYTES = 900_000


class EventTooLarge(TooLarge):
    code = "event.too_large"
    title = "The record is too large to be announced"


class NotEmitted(RuntimeError):
    """A programming error: an event type in a version that this release reads, but doesn't record."""


class NotHeld(RuntimeError):
    """A programming error: the transaction doesn't hold the row's lock."""


@dataclass(frozen=True)
class Step:
    """One change of one aggregate.

    table: the aggregate's table (columns `id`, `version`). values: columns to write; for a new row all that have no default.
    event: the contract's event type. state: the record afterwards, members of the contract's state. changes: field → (old, new),
    JSON values. occurred_at: business time; None: now. extra: members that only this event type has.
    """

    table: sa.Table
    id: uuid.UUID
    event: type[Event[Any]]
    state: Mapping[str, Any] | BaseModel
    values: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    new: bool = False
    occurred_at: dt.datetime | None = None
    access: Access | None = None
    credit: Credit | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


async def record(session: WriteSession, steps: Sequence[Step]) -> list[uuid.UUID]:
    """Write the steps; answers the ids of their events, in the order given.

    All steps must be of one table and either all new or all changes. Raises NotHeld, NotEmitted, EventTooLarge;
    pydantic.ValidationError when an event doesn't fit its contract (a programming error).
    """
    if not steps:
        return []
    table = steps[0].table
    new = steps[0].new
    if any(step.table is not table or step.new is not new for step in steps):
        raise ValueError("the steps of one call are of one table and kind")
    versions = [1 if new else _next_version(session, step) for step in steps]
    events = [_journal_row(session.context, step, version) for step, version in zip(steps, versions, strict=True)]
    if new:
        await insert_rows(session, table, [{**step.values, "id": step.id, "version": 1} for step in steps])
    else:
        await _update(session, table, steps, versions)
    for step, version in zip(steps, versions, strict=True):
        session.hold(table, step.id, version)
    await _append(session, events)
    return [row["event_id"] for row in events]


def _next_version(session: WriteSession, step: Step) -> int:
    held = session.held.get((step.table.name, step.id))
    if held is None:
        raise NotHeld(f"{step.table.name} {step.id} is changed without holding its lock")
    # Noted at once, so that two steps on one record in one call would not get the same version.
    session.hold(step.table, step.id, held + 1)
    return held + 1


async def _update(session: WriteSession, table: sa.Table, steps: Sequence[Step], versions: Sequence[int]) -> None:
    shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for step, version in zip(steps, versions, strict=True):
        row = {**step.values, "id": step.id, "version": version}
        shapes.setdefault(tuple(sorted(row)), []).append({name: row[name] for name in sorted(row)})
    for rows in shapes.values():
        changed = await update_rows(session, table, rows)
        if changed != len(rows):
            raise NotHeld(f"{table.name}: {len(rows)} rows were to change, {changed} did")


def _journal_row(context: WriteContext, step: Step, version: int) -> dict[str, Any]:
    if not step.event.emitted:
        raise NotEmitted(f"{step.event.type} is announced or superseded: consumers of the last release don't expect it")
    occurred_at = step.occurred_at or context.now
    state = step.state.model_dump() if isinstance(step.state, BaseModel) else step.state
    event = step.event(
        version=version,
        occurred_at=occurred_at,
        actor={"kind": context.actor_kind, "id": context.actor_id},
        origin={"channel": context.channel, "address": context.address},
        changes={name: {"old": old, "new": new} for name, (old, new) in step.changes.items()},
        state=state,
        access=step.access,
        credit=step.credit,
        **step.extra,
    )
    data = event.model_dump_json()
    if len(data.encode()) > MAX_DATA_BYTES:
        raise EventTooLarge(f"{step.event.type} would carry {len(data)} characters")
    return {
        "event_id": new_id(),
        "topic": step.event.topic,
        "type": step.event.type,
        "subject": step.id,
        "version": version,
        "time": context.now,
        "occurred_at": occurred_at,
        "write_id": context.write_id,
        "actor_id": context.actor_id,
        "traceparent": context.traceparent,
        "data": data,
    }


# Raw SQL: one round trip for both tables. WITH ORDINALITY and ORDER BY make the outbox positions follow the steps' order.
_APPEND = """
WITH given AS (
  SELECT * FROM ROWS FROM (
    unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[]), unnest($5::int[]),
    unnest($6::timestamptz[]), unnest($7::timestamptz[]), unnest($8::text[])
  ) WITH ORDINALITY AS g(event_id, topic, type, subject, version, time, occurred_at, data, n)
), written AS (
  INSERT INTO journal (event_id, topic, type, subject, version, time, occurred_at, write_id, actor_id, traceparent, data)
  SELECT event_id, topic, type, subject, version, time, occurred_at, $9::uuid, $10::uuid, $11::text, data::jsonb FROM given
)
INSERT INTO outbox (event_id, topic, subject) SELECT event_id, topic, subject FROM given ORDER BY n
"""


async def _append(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    context = session.context
    if not session.recorded:
        session.after_commit(wake.committed)
    columns = ("event_id", "topic", "type", "subject", "version", "time", "occurred_at", "data")
    await session.connection.execute(
        _APPEND,
        *([row[column] for row in rows] for column in columns),
        context.write_id,
        context.actor_id,
        context.traceparent,
    )
    for row in rows:
        session.recorded[row["type"]] = session.recorded.get(row["type"], 0) + 1


def changes_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields of `new` that differ from `old`, as JSON values: field → (old, new)."""
    return {
        name: (_plain(old.get(name)), _plain(value))
        for name, value in new.items()
        if _plain(old.get(name)) != _plain(value)
    }


def _plain(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value, default=str))
