"""Queries over opportunities that no standard list answers: who uses a stage, what the journal says of stages."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_contracts.sales import OPPORTUNITY_TOPIC
from crm_database import ReadSession, query
from crm_events.archive import completed, is_archived
from crm_events.journal import journal
from crm_sales.opportunity.tables import opportunity

#: Facts that say how an opportunity went through its stages.
STAGE_FACTS = ("created", "stage-changed", "won", "lost", "held", "reopened")
#: More than any opportunity has; a page is not needed.
MOST_STAGE_FACTS = 2000

_IDS = ARRAY(sa.Uuid())
_IN_STAGES = query(
    sa.select(opportunity.c.stage_id)
    .where(opportunity.c.stage_id == sa.func.any(sa.bindparam("ids", type_=_IDS)))
    .distinct(),
    unscoped="only says whether a stage is in use, by whomever; no record is shown",
)
_STAGE_FACTS = query(
    sa.select(
        journal.c.event_id,
        journal.c.type,
        journal.c.time,
        journal.c.occurred_at,
        journal.c.data["actor"].label("actor"),
        journal.c.data[("state", "stage_id")].astext.label("stage_id"),
        journal.c.data["from_stage_id"].astext.label("from_stage_id"),
        journal.c.data["dwell_seconds"].astext.label("dwell_seconds"),
        journal.c.data["regression"].astext.label("regression"),
        is_archived,
    )
    .where(
        journal.c.subject == sa.bindparam("subject", type_=sa.Uuid()),
        journal.c.type == sa.func.any(sa.bindparam("types", type_=ARRAY(sa.Text()))),
    )
    .order_by(journal.c.version.desc())
    .limit(sa.bindparam("most", type_=sa.Integer()))
)


async def stages_in_use(session: ReadSession, stage_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the stages that an opportunity is in, deleted ones too."""
    if not stage_ids:
        return set()
    rows = await session.fetch(_IN_STAGES, ids=list(stage_ids))
    return {uuid.UUID(int=row["stage_id"].int) for row in rows}


async def stage_facts(session: ReadSession, opportunity_id: uuid.UUID) -> list[Mapping[str, Any]]:
    """What the journal says of an opportunity's way, oldest first. The caller has been shown to see it.

    Raises ArchiveUnreachable for facts of archived months.
    """
    types = [f"{OPPORTUNITY_TOPIC.name}.{fact}.v1" for fact in STAGE_FACTS]
    rows = await session.fetch(_STAGE_FACTS, subject=opportunity_id, types=types, most=MOST_STAGE_FACTS)
    archived = await completed(session, rows)
    return [_whole(row, archived.get(row["event_id"])) for row in rows[::-1]]


def _whole(row: asyncpg.Record, data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """data: from the archive; what an archived row keeps itself is all but the actor and the stage."""
    found = dict(row.items())
    return found if data is None else {**found, "actor": data["actor"], "stage_id": data["state"]["stage_id"]}
