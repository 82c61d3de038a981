"""Entries written: whatever order events come in, and however often, the same rows result."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from crm_customers.timeline.facts import Entry
from crm_customers.timeline.sources_store import PAYMENT, Source
from crm_customers.timeline.tables import entry
from crm_database import Query, WriteSession, lock_key, query

_WHY: Final = "whose timeline an entry stands in; who sees it there is asked when it is read"
_IDS = sa.bindparam("ids", type_=ARRAY(sa.Uuid()), required=True)
_TELLING: Final = tuple(column for column in entry.c if column.name != "customer_id")
_LOCK = query(sa.select(sa.func.pg_advisory_xact_lock(sa.literal(lock_key("customers.timeline"), sa.BigInteger))))


async def payments_meet_contracts(session: WriteSession) -> None:
    """Let one transaction at a time take in contracts or payments: of two that each begin before the other ends, neither would find
    the other's rows, and the payments would never come to their customer."""
    await session.value(_LOCK)


async def enter(session: WriteSession, source: Source, entries: Sequence[Entry]) -> None:
    """Write entries about records of one type, each into its record's present customer's timeline."""
    if not entries:
        return
    rows = [
        {
            "id": one.id,
            "record_type": one.record_type,
            "record_id": one.record_id,
            "version": one.version,
            "kind": one.kind,
            "at": one.at,
            "recorded_at": one.recorded_at,
            "actor_id": one.actor_id,
            "summary": one.summary,
        }
        for one in folded(entries)
    ]
    await session.execute(_enter(source), entries=rows)


async def bring_along(session: WriteSession, source: Source, ids: Collection[uuid.UUID]) -> None:
    """The entries of these records go where the records went."""
    if ids:
        await session.execute(_bring(source), ids=list(ids))


async def bring_payments_along(session: WriteSession, contract_ids: Collection[uuid.UUID]) -> None:
    """The same for the payments of contracts."""
    if contract_ids:
        await session.execute(_BRING_PAYMENTS, ids=list(contract_ids))


async def leave(session: WriteSession, source: Source, ids: Collection[uuid.UUID]) -> None:
    """The entries of these records go."""
    await session.execute(_LEAVE, record_type=source.key, ids=list(ids))


def folded(entries: Sequence[Entry]) -> list[Entry]:
    """Each entry once: as its newest event tells it, with the actor of whichever says one. Pure."""
    found: dict[uuid.UUID, Entry] = {}
    for one in entries:
        other = found.get(one.id)
        if other is not None:
            newer, older = (one, other) if one.version > other.version else (other, one)
            one = replace(newer, actor_id=newer.actor_id or older.actor_id)
        found[one.id] = one
    return list(found.values())


@lru_cache(maxsize=20)
def _enter(source: Source) -> Query:
    given = sa.func.jsonb_to_recordset(sa.bindparam("entries", type_=JSONB(), required=True))
    told: Any = given.table_valued(*(sa.column(one.name, one.type) for one in _TELLING), name="told")
    told = told.render_derived(with_types=True)
    whose = source.whose
    # In the order of their ids, so that two transactions over the same entries wait for each other.
    rows = (
        sa.select(*(told.c[one.name] for one in _TELLING), whose.c.customer_id)
        .join_from(told, whose, whose.c.id == told.c.record_id, isouter=True)
        .order_by(told.c.id)
    )
    statement = insert(entry).from_select([*(one.name for one in _TELLING), "customer_id"], rows)
    new = statement.excluded
    newer = new.version > entry.c.version

    def as_newest(name: str) -> sa.ColumnElement[Any]:
        return sa.case((newer, new[name]), else_=entry.c[name])

    return query(
        statement.on_conflict_do_update(
            index_elements=[entry.c.id],
            set_={
                "at": as_newest("at"),
                "summary": as_newest("summary"),
                "version": sa.func.greatest(entry.c.version, new.version),
                "actor_id": sa.func.coalesce(entry.c.actor_id, new.actor_id),
            },
            where=sa.or_(newer, sa.and_(entry.c.actor_id.is_(None), new.actor_id.is_not(None))),
        ),
        unscoped=_WHY,
    )


def _moves(source: Source, of: sa.ColumnElement[Any]) -> Query:
    whose = source.whose
    return query(
        sa.update(entry)
        .where(
            of == sa.func.any(_IDS),
            entry.c.record_id == whose.c.id,
            entry.c.record_type == source.key,
            entry.c.customer_id.is_distinct_from(whose.c.customer_id),
        )
        .values(customer_id=whose.c.customer_id),
        unscoped=_WHY,
    )


@lru_cache(maxsize=20)
def _bring(source: Source) -> Query:
    return _moves(source, source.whose.c.id)


_LEAVE = query(
    sa.delete(entry).where(entry.c.record_type == sa.bindparam("record_type"), entry.c.record_id == sa.func.any(_IDS)),
    unscoped=_WHY,
)
_BRING_PAYMENTS = _moves(PAYMENT, PAYMENT.whose.c.contract_id)
