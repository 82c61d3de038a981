"""Queries over opportunities that no standard list answers: their lines, who uses a stage, what the journal says of stages."""

import uuid
from collections.abc import Mapping, Sequence

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_contracts.sales import OPPORTUNITY_TOPIC
from crm_database import ReadSession, WriteSession, insert_rows, query
from crm_events.journal import journal
from crm_kernel import Money
from crm_sales.opportunity.lines import Line
from crm_sales.opportunity.tables import opportunity, opportunity_line

#: Facts that say how an opportunity went through its stages.
STAGE_FACTS = ("created", "stage-changed", "won", "lost", "held", "reopened")
#: More than any opportunity has; a page is not needed.
MOST_STAGE_FACTS = 2000

_IDS = ARRAY(sa.Uuid())
_LINES = query(
    sa.select(opportunity_line)
    .where(opportunity_line.c.opportunity_id == sa.func.any(sa.bindparam("ids", type_=_IDS)))
    .order_by(opportunity_line.c.opportunity_id, opportunity_line.c.position)
)
_FORGET_LINES = query(
    sa.delete(opportunity_line).where(opportunity_line.c.opportunity_id == sa.func.any(sa.bindparam("ids", type_=_IDS)))
)
_IN_STAGES = query(
    sa.select(opportunity.c.stage_id)
    .where(opportunity.c.stage_id == sa.func.any(sa.bindparam("ids", type_=_IDS)))
    .distinct(),
    unscoped="only says whether a stage is in use, by whomever; no record is shown",
)
_STAGE_FACTS = query(
    sa.select(
        journal.c.type,
        journal.c.time,
        journal.c.occurred_at,
        journal.c.data["actor"].label("actor"),
        journal.c.data[("state", "stage_id")].astext.label("stage_id"),
        journal.c.data["from_stage_id"].astext.label("from_stage_id"),
        journal.c.data["dwell_seconds"].astext.label("dwell_seconds"),
        journal.c.data["regression"].astext.label("regression"),
    )
    .where(
        journal.c.subject == sa.bindparam("subject", type_=sa.Uuid()),
        journal.c.type == sa.func.any(sa.bindparam("types", type_=ARRAY(sa.Text()))),
    )
    .order_by(journal.c.version.desc())
    .limit(sa.bindparam("most", type_=sa.Integer()))
)


async def lines_of(session: ReadSession, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[Line, ...]]:
    """The lines of each opportunity, in order; of all that are asked for, also those without."""
    found: dict[uuid.UUID, list[Line]] = {opportunity_id: [] for opportunity_id in ids}
    for row in await session.fetch(_LINES, ids=list(found)) if found else ():
        line = Line(
            id=uuid.UUID(int=row["id"].int),
            product_id=uuid.UUID(int=row["product_id"].int),
            quantity=row["quantity"],
            list_price=Money(row["list_price_minor"], row["list_price_currency"]),
            unit_price=Money(row["unit_price_minor"], row["unit_price_currency"]),
            discount=row["discount"],
            tax=row["tax"],
        )
        found[uuid.UUID(int=row["opportunity_id"].int)].append(line)
    return {opportunity_id: tuple(lines) for opportunity_id, lines in found.items()}


async def replace_lines(
    session: WriteSession, lines: Mapping[uuid.UUID, Sequence[Line]], *, new: Sequence[uuid.UUID] = ()
) -> None:
    """These opportunities have these lines from now on. new: those of them that had none before."""
    fresh = set(new)
    changed = [opportunity_id for opportunity_id in lines if opportunity_id not in fresh]
    if changed:
        await session.execute(_FORGET_LINES, ids=changed)
    rows = [
        {
            "id": line.id,
            "opportunity_id": opportunity_id,
            "position": position,
            "product_id": line.product_id,
            "quantity": str(line.quantity),
            "list_price_currency": line.list_price.currency,
            "list_price_minor": line.list_price.minor,
            "unit_price_currency": line.unit_price.currency,
            "unit_price_minor": line.unit_price.minor,
            "discount": str(line.discount),
            "tax": str(line.tax),
        }
        for opportunity_id, some in lines.items()
        for position, line in enumerate(some, 1)
    ]
    await insert_rows(session, opportunity_line, rows)


async def stages_in_use(session: ReadSession, stage_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the stages that an opportunity is in, deleted ones too."""
    if not stage_ids:
        return set()
    rows = await session.fetch(_IN_STAGES, ids=list(stage_ids))
    return {uuid.UUID(int=row["stage_id"].int) for row in rows}


async def stage_facts(session: ReadSession, opportunity_id: uuid.UUID) -> list[asyncpg.Record]:
    """What the journal says of an opportunity's way, oldest first. The caller has been shown to see it."""
    types = [f"{OPPORTUNITY_TOPIC.name}.{fact}.v1" for fact in STAGE_FACTS]
    rows = await session.fetch(_STAGE_FACTS, subject=opportunity_id, types=types, most=MOST_STAGE_FACTS)
    return rows[::-1]
