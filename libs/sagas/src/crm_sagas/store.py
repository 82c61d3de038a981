"""Queries over sagas and their steps. Which of them somebody may see is up to the service that has them."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import ReadSession, WriteSession, insert_rows, query
from crm_sagas.rules import Saga, SagaStep
from crm_sagas.tables import saga, saga_step

_ID = sa.bindparam("id", type_=sa.Uuid)
_KIND = sa.bindparam("kind", type_=sa.Text)

_ONE = query(sa.select(saga).where(saga.c.id == _ID, saga.c.kind == _KIND))
# NO KEY: the steps' foreign keys need not wait; nobody changes the id.
_ONE_LOCKED = query(sa.select(saga).where(saga.c.id == _ID, saga.c.kind == _KIND).with_for_update(key_share=True))
_OPEN_LOCKED = query(
    sa.select(saga)
    .where(
        saga.c.kind == _KIND,
        saga.c.about == sa.bindparam("about", type_=sa.Uuid),
        saga.c.state.in_([sa.literal_column("'running'"), sa.literal_column("'failed'")]),
    )
    .with_for_update(key_share=True)
)
_STEPS = query(
    sa.select(saga_step)
    .where(saga_step.c.saga_id == sa.func.any(sa.bindparam("ids", type_=ARRAY(sa.Uuid()))))
    .order_by(saga_step.c.saga_id, saga_step.c.stage, saga_step.c.name)
)
_OVERDUE = query(
    sa.select(saga.c.id, saga.c.kind)
    .join(saga_step, saga_step.c.saga_id == saga.c.id)
    .where(
        saga_step.c.due_at <= sa.bindparam("at", type_=sa.TIMESTAMP(timezone=True)),
        saga.c.kind == sa.func.any(sa.bindparam("kinds", type_=ARRAY(sa.Text()))),
    )
    .order_by(saga_step.c.due_at)
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_NEWS = ("state", "attempt", "tries", "asked_at", "due_at", "heard", "outcome", "problem")
_WRITE_STEP = query(
    sa.update(saga_step)
    .where(saga_step.c.saga_id == _ID, saga_step.c.name == sa.bindparam("step", type_=sa.Text))
    .values({name: sa.bindparam(f"new_{name}", type_=saga_step.c[name].type) for name in _NEWS})
)


async def read(session: ReadSession, kind: str, saga_id: uuid.UUID) -> Saga | None:
    """One saga with its steps."""
    row = await session.first(_ONE, id=saga_id, kind=kind)
    return None if row is None else (await with_steps(session, [row]))[0]


async def lock(session: WriteSession, kind: str, saga_id: uuid.UUID) -> Saga | None:
    """One saga, locked until the transaction ends; its steps are read after the lock."""
    rows = await session.locked(saga, _ONE_LOCKED, id=saga_id, kind=kind)
    return (await with_steps(session, rows))[0] if rows else None


async def lock_open(session: WriteSession, kind: str, about: uuid.UUID) -> Saga | None:
    """The saga about a record that has not ended for good, locked."""
    rows = await session.locked(saga, _OPEN_LOCKED, kind=kind, about=about)
    return (await with_steps(session, rows))[0] if rows else None


async def overdue(
    session: ReadSession, kinds: Iterable[str], at: dt.datetime, at_most: int
) -> list[tuple[uuid.UUID, str]]:
    """Sagas with steps whose deadline is over, and their kinds, the longest overdue first."""
    rows = await session.fetch(_OVERDUE, kinds=list(kinds), at=at, at_most=at_most)
    return list(dict.fromkeys((_plain(row["id"]), row["kind"]) for row in rows))


async def with_steps(session: ReadSession, rows: Sequence[asyncpg.Record]) -> list[Saga]:
    """Sagas from rows of their table, with their steps in one statement, in the order given."""
    steps: dict[uuid.UUID, list[SagaStep]] = {}
    for row in await session.fetch(_STEPS, ids=[row["id"] for row in rows]):
        steps.setdefault(_plain(row["saga_id"]), []).append(
            SagaStep(**{name: value for name, value in row.items() if name != "saga_id"})
        )
    return [
        Saga(
            id=_plain(row["id"]),
            version=row["version"],
            kind=row["kind"],
            state=row["state"],
            about=_plain(row["about"]),
            data=row["data"],
            asked_by=None if row["asked_by"] is None else _plain(row["asked_by"]),
            asked_at=row["asked_at"],
            ended_at=row["ended_at"],
            steps=tuple(steps.get(_plain(row["id"]), ())),
        )
        for row in rows
    ]


async def add_steps(session: WriteSession, made: Saga) -> None:
    """Write the steps of a new saga."""
    rows = [{"saga_id": made.id, "name": step.name, "stage": step.stage, **_written(step)} for step in made.steps]
    await insert_rows(session, saga_step, rows)


async def write_steps(session: WriteSession, before: Saga, after: Saga) -> None:
    """Write the steps that differ; the saga is locked."""
    for step in after.steps:
        if step != before.step(step.name):
            values = {f"new_{name}": value for name, value in _written(step).items()}
            await session.execute(_WRITE_STEP, id=after.id, step=step.name, **values)


def _written(step: SagaStep) -> dict[str, object]:
    return {name: getattr(step, name) for name in _NEWS}


def _plain(value: uuid.UUID) -> uuid.UUID:
    """The driver's UUID as the standard library's."""
    return uuid.UUID(int=value.int)
