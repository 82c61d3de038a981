"""The public pool over HTTP."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

import asyncpg
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from crm_authz import TargetOutOfScope
from crm_customers.customer.actions import CUSTOMER
from crm_customers.pool import actions, store
from crm_customers.pool.actions import PoolUnknown
from crm_customers.pool.rules import (
    AlreadyClaimed,
    AlreadyInPool,
    ClaimCapReached,
    CoolingDown,
    CustomerLocked,
    NotInPool,
    NotPoolAdministrator,
    NotPoolMember,
    OnHold,
)
from crm_kernel import NotFound, Stale
from crm_records import Id, OwnerNotActive, RecordOutOfScope, read_record, view_of
from crm_web import Json, ReadUnit, Router, WriteUnit

router = Router("customers", tag="pools", module="customers", scoped=True)

Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=4000)]


class PoolLimits(BaseModel):
    """What a pool is called and allows. open_to_all: whoever may claim at all is a member."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    open_to_all: bool = True
    daily_claim_cap: int | None = Field(default=None, ge=1, le=100_000)
    cooldown_days: int = Field(default=0, ge=0, le=3650)
    hold_hours: int = Field(default=0, ge=0, le=8760)


class PoolSettings(PoolLimits):
    """A pool's members and limits."""

    administrator_ids: list[Id] = Field(default_factory=list, max_length=200)
    member_user_ids: list[Id] = Field(default_factory=list, max_length=1000)
    member_department_ids: list[Id] = Field(default_factory=list, max_length=200)


class PoolPatch(PoolSettings):
    """What is to change; members left out stay."""

    name: str = Field(default="", min_length=1, max_length=100)


class PoolView(PoolLimits):
    """A pool."""

    id: uuid.UUID
    version: int
    is_default: bool
    administrator_ids: list[uuid.UUID]
    member_user_ids: list[uuid.UUID]
    member_department_ids: list[uuid.UUID]


class PoolList(BaseModel):
    """All pools, by name."""

    items: list[PoolView]


class ReleaseRequest(BaseModel):
    """Why a customer is given up, and to which pool (the default one unless named)."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=1000)
    pool_id: Id | None = None


class AssignRequest(BaseModel):
    """Which customers of the pool go to whom."""

    model_config = ConfigDict(extra="forbid")

    customer_ids: list[Id] = Field(min_length=1, max_length=1000)
    user_id: Id
    reason: str | None = Field(default=None, max_length=1000)


class AssignRow(BaseModel):
    """What became of one customer. code, detail: why not."""

    id: uuid.UUID
    status: str
    code: str | None = None
    detail: str | None = None


class AssignAnswer(BaseModel):
    """Per customer, in the order given."""

    rows: list[AssignRow]


class PoolMove(BaseModel):
    """Who did what to which customer, when and why. occurred_at: business time; recorded_at: when it was entered."""

    id: uuid.UUID
    action: str
    customer_id: uuid.UUID
    pool_id: uuid.UUID
    actor_id: uuid.UUID | None
    previous_owner_id: uuid.UUID | None
    owner_id: uuid.UUID | None
    reason: str | None
    occurred_at: dt.datetime
    recorded_at: dt.datetime


class PoolMoves(BaseModel):
    """A page of a pool history, newest first. next: the cursor of the next page, or null."""

    items: list[PoolMove]
    next: str | None


@router.get("/pools", permission="customers.pool:read", summary="List the public pools")
async def list_pools(unit: ReadUnit) -> PoolList:
    return PoolList(items=[_view(row) for row in await store.all_pools(unit.session)])


@router.get(
    "/pools/{id}", permission="customers.pool:read", summary="Read one pool", errors=[NotFound], response=PoolView
)
async def read_pool(id: Id, unit: ReadUnit) -> Json:
    return await _answer(unit, id)


@router.post("/pools", permission="customers.pool:configure", summary="Set up a pool", status=201, response=PoolView)
async def create_pool(body: PoolSettings, unit: WriteUnit) -> Json:
    return await _answer(unit, await actions.create_pool(unit, body.model_dump()), status=201)


@router.patch(
    "/pools/{id}",
    permission="customers.pool:configure",
    summary="Change a pool's members or limits",
    errors=[NotFound, Stale],
    response=PoolView,
)
async def change_pool(id: Id, body: PoolPatch, unit: WriteUnit) -> Json:
    await actions.change_pool(unit, id, body.model_dump(exclude_unset=True))
    return await _answer(unit, id)


@router.get(
    "/pools/{id}/customers",
    permission="customers.pool:read",
    summary="List the customers waiting in a pool, the longest waiting first; for its members",
    errors=[NotFound, NotPoolMember],
    response=CUSTOMER.models.listed,
)
async def list_pool_customers(
    id: Id,
    unit: ReadUnit,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Json:
    pool = await actions.member_pool(unit, id)
    bound = ["pool", str(pool.id)]
    after = None
    if cursor is not None:
        instant, last = unit.open_cursor(cursor, query=bound)
        after = (dt.datetime.fromisoformat(instant), uuid.UUID(last))
    found = await actions.waiting(unit, pool.id, after, limit + 1)
    items, following = [view_of(CUSTOMER, one) for one in found[:limit]], None
    if len(found) > limit:
        last_one = found[limit - 1]
        following = unit.sign_cursor([last_one["pooled_at"].isoformat(), str(last_one.id)], query=bound)
    return Json({"items": items, "next": following})


@router.post(
    "/customers/{id}/claim",
    permission="customers.customer:claim",
    summary="Take a customer out of the public pool",
    errors=[NotFound, NotInPool, AlreadyClaimed, OnHold, CoolingDown, ClaimCapReached],
    response=CUSTOMER.models.view,
)
async def claim_customer(id: Id, unit: WriteUnit) -> Json:
    found = await actions.claim(unit, id)
    return Json(view_of(CUSTOMER, found), etag=found.version)


@router.post(
    "/customers/{id}/release",
    permission="customers.customer:release",
    summary="Give a customer to the public pool",
    errors=[NotFound, RecordOutOfScope, AlreadyInPool, CustomerLocked, PoolUnknown, Stale],
    response=CUSTOMER.models.view,
)
async def release_customer(id: Id, body: ReleaseRequest, unit: WriteUnit) -> Json:
    found = await actions.release(unit, id, body.reason, body.pool_id)
    return Json(view_of(CUSTOMER, found), etag=found.version)


@router.post(
    "/pools/{id}/assign",
    permission="customers.customer:assign",
    summary="Give customers of the pool to a user; answers per customer",
    errors=[NotFound, NotPoolAdministrator, TargetOutOfScope, OwnerNotActive],
)
async def assign_from_pool(id: Id, body: AssignRequest, unit: WriteUnit) -> AssignAnswer:
    rows = await actions.assign(unit, id, body.customer_ids, body.user_id, body.reason)
    return AssignAnswer(
        rows=[
            AssignRow(id=customer_id, status="ok")
            if refusal is None
            else AssignRow(id=customer_id, status="error", code=refusal.code, detail=refusal.detail)
            for customer_id, refusal in rows
        ]
    )


@router.get(
    "/pools/{id}/history",
    permission="customers.pool:read",
    summary="What happened in a pool, newest first; for its members",
    errors=[NotFound, NotPoolMember],
)
async def read_pool_history(
    id: Id,
    unit: ReadUnit,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PoolMoves:
    pool = await actions.member_pool(unit, id)
    bound = ["pool-history", str(pool.id)]
    before = uuid.UUID(unit.open_cursor(cursor, query=bound)[0]) if cursor is not None else None
    rows = await store.moves_of_pool(unit.session, pool.id, before, limit + 1)
    return _page(unit, rows, limit, bound)


@router.get(
    "/customers/{id}/pool-history",
    permission="customers.customer:read",
    summary="A customer's way through the pools, newest first",
    errors=[NotFound],
)
async def read_customer_pool_history(
    id: Id,
    unit: ReadUnit,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PoolMoves:
    await read_record(unit.session, CUSTOMER, unit.scope(CUSTOMER.key, "read"), id)
    bound = ["customer-pool-history", str(id)]
    before = uuid.UUID(unit.open_cursor(cursor, query=bound)[0]) if cursor is not None else None
    rows = await store.moves_of_customer(unit.session, id, before, limit + 1)
    return _page(unit, rows, limit, bound)


def _page(unit: ReadUnit, rows: list[Any], limit: int, bound: list[str]) -> PoolMoves:
    following = None
    if len(rows) > limit:
        following = unit.sign_cursor([str(rows[limit - 1]["event_id"])], query=bound)
    return PoolMoves(items=[_move(row) for row in rows[:limit]], next=following)


def _move(row: Mapping[str, Any]) -> PoolMove:
    data = row["data"]
    return PoolMove(
        id=row["event_id"],
        action=row["type"].split(".")[3],
        customer_id=row["subject"],
        pool_id=data["pool_id"],
        actor_id=row["actor_id"],
        previous_owner_id=data.get("previous_owner_id"),
        owner_id=data["state"].get("owner_id"),
        reason=data.get("reason"),
        occurred_at=row["occurred_at"],
        recorded_at=row["time"],
    )


async def _answer(unit: ReadUnit | WriteUnit, pool_id: uuid.UUID, status: int = 200) -> Json:
    row = await store.read_pool(unit.session, pool_id)
    if row is None:
        raise NotFound
    return Json(_view(row), status=status, etag=row["version"])


def _view(row: asyncpg.Record) -> PoolView:
    return PoolView(id=row["id"], version=row["version"], is_default=row["is_default"], **store.plain(row))
