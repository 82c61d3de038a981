"""Queues over HTTP: their settings, and what waits in one."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated

import asyncpg
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from crm_kernel import NotFound, Stale
from crm_records import Id, add_beside, view_of
from crm_support.queue import actions, store
from crm_support.queue.rules import NotQueueMember, Queue, QueueKeyTaken
from crm_support.ticket import waiting
from crm_support.ticket.record import TICKET
from crm_web import Json, ReadUnit, Router, WriteUnit

router = Router("support", tag="queues", module="support", scoped=True)

Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=4000)]


class QueueMembers(BaseModel):
    """Who takes what waits in a queue. open_to_all: whoever may see queues at all is a member."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    member_user_ids: list[Id] = Field(default_factory=list, max_length=1000)
    member_department_ids: list[Id] = Field(default_factory=list, max_length=200)
    open_to_all: bool = False


class QueueSettings(QueueMembers):
    """A new queue. key: how tickets name it; it stays."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")


class QueuePatch(QueueMembers):
    """What is to change; members left out stay."""

    name: str = Field(default="", min_length=1, max_length=100)


class QueueView(BaseModel):
    """A queue. member: whether you are one of its members."""

    id: uuid.UUID
    version: int
    key: str
    name: str
    member_user_ids: list[uuid.UUID]
    member_department_ids: list[uuid.UUID]
    open_to_all: bool
    member: bool


class QueueList(BaseModel):
    """All queues, by name."""

    items: list[QueueView]


@router.get("/queues", permission="support.queue:read", summary="List the queues")
async def list_queues(unit: ReadUnit) -> QueueList:
    return QueueList(items=[_view(unit, row) for row in await store.all_queues(unit.session)])


@router.get(
    "/queues/{id}", permission="support.queue:read", summary="Read one queue", errors=[NotFound], response=QueueView
)
async def read_queue(id: Id, unit: ReadUnit) -> Json:
    return await _answer(unit, id)


@router.post(
    "/queues",
    permission="support.queue:configure",
    summary="Set up a queue",
    status=201,
    errors=[QueueKeyTaken],
    response=QueueView,
)
async def create_queue(body: QueueSettings, unit: WriteUnit) -> Json:
    return await _answer(unit, await actions.create_queue(unit, body.model_dump()), status=201)


@router.patch(
    "/queues/{id}",
    permission="support.queue:configure",
    summary="Change a queue's name or members",
    errors=[NotFound, Stale],
    response=QueueView,
)
async def change_queue(id: Id, body: QueuePatch, unit: WriteUnit) -> Json:
    await actions.change_queue(unit, id, body.model_dump(exclude_unset=True))
    return await _answer(unit, id)


@router.get(
    "/queues/mine/tickets",
    permission="support.ticket:read",
    summary="List the tickets waiting in all queues that you are a member of, the oldest first",
    response=TICKET.models.listed,
)
async def list_my_queues_tickets(unit: ReadUnit, limit: Limit = 50, cursor: Cursor = None) -> Json:
    return await _waiting(unit, "mine", await actions.my_queues(unit), limit, cursor)


@router.get(
    "/queues/{id}/tickets",
    permission="support.ticket:read",
    summary="List the tickets waiting in a queue, the oldest first; for its members",
    errors=[NotFound, NotQueueMember],
    response=TICKET.models.listed,
)
async def list_queue_tickets(id: Id, unit: ReadUnit, limit: Limit = 50, cursor: Cursor = None) -> Json:
    queue = await actions.member_queue(unit, id)
    return await _waiting(unit, str(queue.id), [queue], limit, cursor)


async def _waiting(unit: ReadUnit, asked: str, queues: Sequence[Queue], limit: int, cursor: str | None) -> Json:
    """A page of what waits in these queues. asked: what the cursor is bound to."""
    bound = ["queue", asked]
    after = None
    if cursor is not None:
        instant, last = unit.open_cursor(cursor, query=bound)
        after = (dt.datetime.fromisoformat(instant), uuid.UUID(last))
    found = await waiting.waiting(unit.session, [queue.key for queue in queues], after, limit + 1)
    items, following = [view_of(TICKET, one) for one in found[:limit]], None
    await add_beside(unit, TICKET, items)
    if len(found) > limit:
        last_one = found[limit - 1]
        following = unit.sign_cursor([last_one.created_at.isoformat(), str(last_one.id)], query=bound)
    return Json({"items": items, "next": following})


async def _answer(unit: ReadUnit | WriteUnit, queue_id: uuid.UUID, status: int = 200) -> Json:
    row = await store.read_queue(unit.session, queue_id)
    if row is None:
        raise NotFound
    return Json(_view(unit, row), status=status, etag=row["version"])


def _view(unit: ReadUnit | WriteUnit, row: asyncpg.Record) -> QueueView:
    member = actions.is_member(unit, store.queue_of(row))
    return QueueView(id=row["id"], version=row["version"], member=member, **store.plain(row))
