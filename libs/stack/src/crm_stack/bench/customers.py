"""Customers, their owners and those who may see them, loaded by COPY; and what each may see, told by a plainer SQL than the product's."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

OWNERS = 2000
#: Owners that each viewer reaches, itself among them; another viewer reaches all.
WIDTHS = (1, 8, 40, 200, 1000)
ALL = 0
#: Memberships of each viewer: those that count, those that expired, those of deleted records.
SHARED, EXPIRED, ON_DELETED = 100, 30, 20
_BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_NAMES = ("주식회사 한빛", "北京远东贸易", "Северный Ветер", "Northern Light")
_COUNTRIES = ("대한민국", "中国", "Россия", "United States")
_COLUMNS = (
    *("id", "version", "number", "name", "lifecycle", "kind", "phone", "email", "country", "industry", "locked"),
    *("owner_id", "custom", "created_at", "updated_at", "created_by", "deleted_at"),
)
#: How long a busy service may take to hear identity after the load; seconds.
HEARD_WITHIN = 60.0
_KEPT_INDEX = "pk_customer"


@dataclass(frozen=True)
class Company:
    """owners: all of them. viewers: width → user; `ALL` is who sees everything."""

    owners: list[uuid.UUID]
    viewers: dict[int, uuid.UUID]
    groups: dict[int, list[uuid.UUID]]


def ordered_id(milliseconds: int, chance: random.Random) -> uuid.UUID:
    """A UUIDv7 of a moment, from a given source of chance."""
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62))


async def load(dsn: str, size: int, seed: int = 1) -> Company:
    """Load `size` customers of OWNERS owners, the directory and the memberships into the database of customers."""
    chance = random.Random(seed)
    company = _company(chance)
    connection = await asyncpg.connect(dsn, command_timeout=900)
    try:
        await connection.execute("SET maintenance_work_mem = '512MB'")
        # Apart: it locks the directory's one version row, which the service needs for every heartbeat.
        async with connection.transaction():
            await _load_people(connection, company, chance)
        async with connection.transaction():
            await _load_customers(connection, company, size, chance)
            await _load_members(connection, company)
        await connection.execute("VACUUM ANALYZE customer")
        await connection.execute("VACUUM ANALYZE record_member")
        await _await_heartbeat(connection)
    finally:
        await connection.close()
    return company


async def _await_heartbeat(connection: asyncpg.Connection[Any]) -> None:
    """Wait until the service has heard identity again: deaf after a long load, it would refuse tokens (ID-24). Raises TimeoutError."""
    since = await connection.fetchval("SELECT now()")
    async with asyncio.timeout(HEARD_WITHIN):
        while not await connection.fetchval("SELECT coalesce(heard_at > $1, false) FROM directory_version", since):  # noqa: ASYNC110  (another process writes it)
            await asyncio.sleep(0.1)


def _company(chance: random.Random) -> Company:
    start = int(_BEGIN.timestamp() * 1000) - OWNERS - 10
    owners = [ordered_id(start + n, chance) for n in range(OWNERS)]
    groups: dict[int, list[uuid.UUID]] = {}
    taken = 0
    for width in WIDTHS:
        groups[width] = owners[taken : taken + width]
        taken += width
    viewers = {width: group[0] for width, group in groups.items()}
    viewers[ALL] = ordered_id(start + OWNERS + 1, chance)
    return Company(owners, viewers, groups)


async def _load_people(connection: asyncpg.Connection[Any], company: Company, chance: random.Random) -> None:
    """Users in the replica of the directory, as identity's events would have written them: each group below its first."""
    superior = {user: group[0] for group in company.groups.values() for user in group[1:]}
    department = ordered_id(int(_BEGIN.timestamp() * 1000) - OWNERS - 20, chance)
    version = await connection.fetchval("UPDATE directory_version SET version = version + 1 RETURNING version")
    people = [*company.owners, company.viewers[ALL]]
    columns = ("id", "version", "name", "status", "department_id", "superior_id", "role_ids", "group_ids")
    await connection.copy_records_to_table(
        "directory_user",
        columns=(*columns, "super_admin", "epoch", "changed_at_version"),
        records=[
            (user, 1, f"User {n}", "active", department, superior.get(user), [], [], False, 1, version)
            for n, user in enumerate(people)
        ],
    )


async def _load_customers(
    connection: asyncpg.Connection[Any], company: Company, size: int, chance: random.Random
) -> None:
    """Indexes are made after the rows: the one for searches would take most of the time otherwise."""
    found = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'customer' AND indexname <> $1", _KEPT_INDEX
    )
    for row in found:
        await connection.execute(f"DROP INDEX {row['indexname']}")
    await connection.copy_records_to_table("customer", columns=_COLUMNS, records=_rows(company, size, chance))
    for row in found:
        await connection.execute(row["indexdef"])


def _rows(company: Company, size: int, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    start = int(_BEGIN.timestamp() * 1000)
    for n in range(size):
        kind = n % 4
        # Changed at any time since: the order of the list is not the order of the table. Pairs share an instant.
        changed = _BEGIN + dt.timedelta(seconds=chance.randrange(size) // 2 * 2 + size)
        yield (
            *(ordered_id(start + n, chance), 1, f"BENCH-{n}", f"{_NAMES[kind]} {n}", "prospect", "company"),
            *(f"+8210{n:08}", f"office{n}@customer{n % 977}.example", _COUNTRIES[kind], "Trade", False),
            None if chance.random() < 0.01 else chance.choice(company.owners),
            *("{}", _BEGIN, changed, None, changed if chance.random() < 0.01 else None),
        )


async def _load_members(connection: asyncpg.Connection[Any], company: Company) -> None:
    """Among the newest, of other owners: they stand on the first pages."""
    statement = """
    INSERT INTO record_member (record_type, record_id, user_id, "right", expires_at)
    SELECT 'customers.customer', id, $1, 'read', $2 FROM (
      SELECT id FROM (
        SELECT id, owner_id, updated_at FROM customer WHERE (deleted_at IS NOT NULL) = $3 ORDER BY updated_at DESC LIMIT 2000
      ) newest WHERE owner_id IS DISTINCT FROM $1 ORDER BY hashtextextended(id::text, $4) LIMIT $5
    ) chosen ON CONFLICT DO NOTHING
    """
    later, earlier = dt.datetime.now(dt.UTC) + dt.timedelta(days=1), _BEGIN
    for seed, (width, viewer) in enumerate(company.viewers.items()):
        if width == ALL:
            continue
        for part, (ends, deleted, count) in enumerate(
            (
                (None, False, SHARED // 2),
                (later, False, SHARED // 2),
                (earlier, False, EXPIRED),
                (None, True, ON_DELETED),
            )
        ):
            await connection.execute(statement, viewer, ends, deleted, seed * 10 + part, count)


async def expected_rows(
    connection: asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any], company: Company, width: int, rows: int
) -> list[asyncpg.Record]:
    """The newest that a viewer may see: id and owner. Written by what the rule says, whatever it costs."""
    visible = """
    (owner_id = ANY ($1::uuid[]) OR EXISTS (
       SELECT FROM record_member m WHERE m.record_type = 'customers.customer' AND m.record_id = c.id
       AND m.user_id = $2 AND (m.expires_at IS NULL OR m.expires_at > now())))
    """
    order = "ORDER BY updated_at DESC, id DESC LIMIT"
    if width == ALL:
        return await connection.fetch(f"SELECT id, owner_id FROM customer c WHERE deleted_at IS NULL {order} $1", rows)
    statement = f"SELECT id, owner_id FROM customer c WHERE deleted_at IS NULL AND {visible} {order} $3"
    return await connection.fetch(statement, company.groups[width], company.viewers[width], rows)
