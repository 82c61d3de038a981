"""Queries over tickets that no standard list answers, and over their replies."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import ReadSession, WriteSession, insert_rows, query
from crm_support.ticket.rules import UNDONE
from crm_support.ticket.tables import reply, ticket

_TICKET = sa.bindparam("ticket_id", type_=sa.Uuid)
_LAST = query(sa.select(sa.func.max(reply.c.position)).where(reply.c.ticket_id == _TICKET))
_PAGE = query(
    sa.select(reply)
    .where(reply.c.ticket_id == _TICKET, reply.c.position > sa.bindparam("after", type_=sa.Integer))
    .order_by(reply.c.position)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


async def last_position(session: WriteSession, ticket_id: uuid.UUID) -> int:
    """How many replies a ticket has; it is locked."""
    return int(await session.value(_LAST, ticket_id=ticket_id) or 0)


async def add_reply(session: WriteSession, values: dict[str, Any]) -> None:
    """One more reply; its ticket is locked."""
    await insert_rows(session, reply, [values])


async def replies_of(session: ReadSession, ticket_id: uuid.UUID, after: int, limit: int) -> list[asyncpg.Record]:
    """A ticket's replies behind a position, oldest first; whoever calls has seen that the caller may see the ticket."""
    return await session.fetch(_PAGE, ticket_id=ticket_id, after=after, most=limit)


async def waiting_rows(
    session: ReadSession,
    columns: Sequence[sa.ColumnElement[Any]],
    queues: Sequence[str],
    after: tuple[dt.datetime, uuid.UUID] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """The tickets of these queues that nobody sees to, the oldest first, behind a position.

    Queue by queue, each in the order of its index: together they would be sorted, however many wait.
    """
    asked = sa.func.unnest(sa.bindparam("queues", type_=ARRAY(sa.Text()), required=True))
    key = asked.table_valued("key").render_derived(name="asked")
    waiting = sa.select(*columns).where(
        ticket.c.queue == key.c.key,
        ticket.c.owner_id.is_(None),
        ticket.c.deleted_at.is_(None),
        ticket.c.status.in_([sa.literal_column(f"'{one}'") for one in UNDONE]),
    )
    if after is not None:
        instant, last = after
        behind = sa.or_(ticket.c.created_at > instant, sa.and_(ticket.c.created_at == instant, ticket.c.id > last))
        waiting = waiting.where(ticket.c.created_at >= instant, behind)
    each = waiting.order_by(ticket.c.created_at, ticket.c.id).limit(limit).lateral("each_queue")
    statement = sa.select(*each.c).select_from(key.join(each, sa.true()))
    statement = statement.order_by(each.c.created_at, each.c.id).limit(limit)
    reason = "the queue's members see what waits in it; whoever calls checks the membership"
    return await session.fetch(query(statement, unscoped=reason), queues=list(queues))
