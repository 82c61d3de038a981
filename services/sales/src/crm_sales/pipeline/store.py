"""Queries over pipelines. There are few, so all are read at once."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa

from crm_database import ReadSession, WriteSession, insert_rows, lock_key, query
from crm_sales.pipeline.rules import Pipeline, Stage
from crm_sales.pipeline.tables import pipeline, pipeline_stage


@dataclass(frozen=True)
class Stored:
    """A pipeline at a version."""

    version: int
    pipeline: Pipeline


_KEY = sa.literal(lock_key("sales.pipelines"), sa.BigInteger)
_LOCK = query(sa.select(sa.func.pg_advisory_xact_lock(_KEY)))
_HOLD = query(sa.select(sa.func.pg_advisory_xact_lock_shared(_KEY)))
_PIPELINES = query(sa.select(pipeline).order_by(sa.func.lower(pipeline.c.name), pipeline.c.id))
_PIPELINES_LOCKED = query(sa.select(pipeline).order_by(pipeline.c.id).with_for_update())
_STAGES = query(sa.select(pipeline_stage).order_by(pipeline_stage.c.pipeline_id, pipeline_stage.c.position))
_FORGET_STAGES = query(
    sa.delete(pipeline_stage).where(pipeline_stage.c.pipeline_id == sa.bindparam("pipeline_id", type_=sa.Uuid))
)


async def hold(session: WriteSession) -> None:
    """Keep all pipelines as they are until the transaction ends: for those who put opportunities into stages.

    A shared lock of the session, and not of the pipelines' rows: every new opportunity takes it, and a row would be written each time.
    """
    await session.value(_HOLD)


async def lock_all(session: WriteSession) -> dict[uuid.UUID, Stored]:
    """All pipelines, locked; waits for those who hold them."""
    await session.value(_LOCK)
    return await _with_stages(session, await session.locked(pipeline, _PIPELINES_LOCKED))


async def read_all(session: ReadSession) -> dict[uuid.UUID, Stored]:
    """All pipelines, by name."""
    return await _with_stages(session, await session.fetch(_PIPELINES))


async def replace_stages(session: WriteSession, pipeline_id: uuid.UUID, stages: Sequence[Stage]) -> None:
    """The pipeline has these stages from now on."""
    await session.execute(_FORGET_STAGES, pipeline_id=pipeline_id)
    rows = [
        {
            "id": stage.id,
            "pipeline_id": pipeline_id,
            "position": stage.position,
            "name": stage.name,
            "probability": stage.probability,
            "allowed": None if stage.allowed is None else list(stage.allowed),
            "required_fields": list(stage.required),
            "dwell_days": stage.dwell_days,
            "retired": stage.retired,
        }
        for stage in stages
    ]
    await insert_rows(session, pipeline_stage, rows)


async def _with_stages(session: ReadSession, rows: Sequence[asyncpg.Record]) -> dict[uuid.UUID, Stored]:
    stages: dict[uuid.UUID, list[Stage]] = {}
    for row in await session.fetch(_STAGES):
        stages.setdefault(_plain(row["pipeline_id"]), []).append(_stage(row))
    found = {}
    for row in rows:
        one = Pipeline(
            id=_plain(row["id"]),
            name=row["name"],
            stages=tuple(stages.get(_plain(row["id"]), ())),
            is_default=row["is_default"],
        )
        found[one.id] = Stored(row["version"], one)
    return found


def _stage(row: Mapping[str, Any] | asyncpg.Record) -> Stage:
    allowed = row["allowed"]
    return Stage(
        id=_plain(row["id"]),
        name=row["name"],
        probability=row["probability"],
        position=row["position"],
        allowed=None if allowed is None else tuple(_plain(one) for one in allowed),
        required=tuple(row["required_fields"]),
        dwell_days=row["dwell_days"],
        retired=row["retired"],
    )


def _plain(value: uuid.UUID) -> uuid.UUID:
    """The standard library's UUID: the driver's own is not JSON for everybody."""
    return uuid.UUID(int=value.int)
