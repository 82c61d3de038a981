"""One scoped single-row read, three ways: `python libs/database/bench/drivers.py [--reads 3000] [--repeat 7]`.

(a) SQLAlchemy's ORM: an AsyncSession per request, select(Entity). (b) SQLAlchemy Core on an AsyncConnection. (c) ours: the same Core
statement compiled once by `query()`, run by asyncpg. And the floor: the SQL text straight through asyncpg. All on one
connection at a time from a pool of one, interleaved, on the same rows; each answer is checked. Printed: CPU of this process and
time per read in µs (median of the repetitions), and the ratio to the floor by CPU.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import sqlalchemy as sa
import uvloop
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_database import SCOPED, Database, PoolSettings, ScopeMark, query, service_metadata
from crm_kernel import new_id
from crm_stack.postgres import PostgresServer

customer = sa.Table(
    "customer",
    service_metadata(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    *(sa.Column(f"field_{number}", sa.Text) for number in range(12)),
    info=SCOPED,
)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    owner_id: Mapped[uuid.UUID | None]


for _number in range(12):
    setattr(Customer, f"field_{_number}", mapped_column(sa.Text))

_OWNERS = sa.bindparam("owners", type_=ARRAY(sa.Uuid))
_SCOPED = sa.select(customer).where(
    customer.c.id == sa.bindparam("id"), ScopeMark(customer, customer.c.owner_id == sa.any_(_OWNERS))
)
# The same without our mark, which SQLAlchemy's statement cache knows nothing of.
_CORE = sa.select(customer).where(customer.c.id == sa.bindparam("id"), customer.c.owner_id == sa.any_(_OWNERS))
_OURS = query(_SCOPED)

Read = Callable[[uuid.UUID, list[uuid.UUID]], Awaitable[uuid.UUID]]


async def _nothing(_: object) -> None:
    return None


async def measure(dsn: str, reads: int, repeat: int) -> None:
    """Prepare the table, run, print one JSON line for each way."""
    connection = await asyncpg.connect(dsn)
    columns = ", ".join(f"field_{number} text" for number in range(12))
    await connection.execute(
        f"CREATE TABLE customer (id uuid PRIMARY KEY, version int NOT NULL, owner_id uuid, {columns})"
    )
    owners = [new_id() for _ in range(8)]
    rows = [(new_id(), 1, owners[n % 8], *(f"value {i}" for i in range(12))) for n in range(1000)]
    await connection.copy_records_to_table("customer", records=rows)
    await connection.close()

    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"), pool_size=1, max_overflow=0)
    # Without the round trip that resets a connection on its return: ours has none either.
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1, reset=_nothing)
    database = await Database.open(dsn, name="bench", settings=PoolSettings(min_size=1, max_size=1))

    async def floor(id: uuid.UUID, of: list[uuid.UUID]) -> uuid.UUID:
        async with pool.acquire() as held:
            row = await held.fetchrow(_OURS.sql, id, of)
        return uuid.UUID(int=row["id"].int)

    async def ours(id: uuid.UUID, of: list[uuid.UUID]) -> uuid.UUID:
        async with database.read() as session:
            row = await session.first(_OURS, id=id, owners=of)
        assert row is not None
        return uuid.UUID(int=row["id"].int)

    async def core(id: uuid.UUID, of: list[uuid.UUID]) -> uuid.UUID:
        async with engine.connect() as held:
            row = (await held.execute(_CORE, {"id": id, "owners": of})).one()
        return uuid.UUID(int=row.id.int)

    statement = sa.select(Customer).where(
        Customer.id == sa.bindparam("id"), Customer.owner_id == sa.any_(sa.bindparam("owners", type_=ARRAY(sa.Uuid)))
    )

    async def orm(id: uuid.UUID, of: list[uuid.UUID]) -> uuid.UUID:
        async with AsyncSession(engine) as session:
            found = (await session.execute(statement, {"id": id, "owners": of})).scalar_one()
            return uuid.UUID(int=found.id.int)

    ways: dict[str, Read] = {"asyncpg": floor, "ours": ours, "core": core, "orm": orm}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeat + 1):
        for name, read in ways.items():
            before, began = time.process_time(), time.perf_counter()
            for number in range(reads):
                wanted = rows[number % 1000][0]
                if await read(wanted, owners) != wanted:
                    raise SystemExit(f"{name} read a wrong row")
            if turn:  # The first turn warms caches.
                cpu[name].append((time.process_time() - before) / reads * 1e6)
                wall[name].append((time.perf_counter() - began) / reads * 1e6)
    for name in ways:
        ratios = [mine / least for mine, least in zip(cpu[name], cpu["asyncpg"], strict=True)]
        print(
            json.dumps(
                {
                    "name": f"driver-{name}",
                    "cpu_us": round(statistics.median(cpu[name])),
                    "wall_us": round(statistics.median(wall[name])),
                    "ratio": round(statistics.median(ratios), 2),
                    "spread": [round(min(ratios), 2), round(max(ratios), 2)],
                    "n": repeat,
                }
            )
        )
    await engine.dispose()
    await pool.close()
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=3000)
    parser.add_argument("--repeat", type=int, default=7)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, PostgresServer(Path(folder) / "pg", volatile=True) as server:
        dsn = server.create_database("bench", "bench")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(dsn, chosen.reads, chosen.repeat))


if __name__ == "__main__":
    main()
