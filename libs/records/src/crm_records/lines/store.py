"""Lines in their table: read for many records at once, and replaced."""

import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import Query, ReadSession, WriteSession, insert_rows, query
from crm_kernel.money import Money
from crm_records.lines.rules import Line

_IDS = ARRAY(sa.Uuid())


async def lines_of(
    session: ReadSession, table: sa.Table, ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tuple[Line, ...]]:
    """The lines of each record, in order; of all that are asked for, also those without. table: of `line_table`."""
    found: dict[uuid.UUID, list[Line]] = {record_id: [] for record_id in ids}
    named: str = table.info["lines_of"]
    for row in await session.fetch(_read(table), ids=list(found)) if found else ():
        line = Line(
            id=uuid.UUID(int=row["id"].int),
            product_id=uuid.UUID(int=row["product_id"].int),
            quantity=row["quantity"],
            list_price=Money(row["list_price_minor"], row["list_price_currency"]),
            unit_price=Money(row["unit_price_minor"], row["unit_price_currency"]),
            discount=row["discount"],
            tax=row["tax"],
        )
        found[uuid.UUID(int=row[named].int)].append(line)
    return {record_id: tuple(lines) for record_id, lines in found.items()}


async def replace_lines(
    session: WriteSession,
    table: sa.Table,
    lines: Mapping[uuid.UUID, Sequence[Line]],
    *,
    new: Sequence[uuid.UUID] = (),
) -> None:
    """These records have these lines from now on; the transaction holds their rows. new: those of them that had none before."""
    fresh = set(new)
    named: str = table.info["lines_of"]
    changed = [record_id for record_id in lines if record_id not in fresh]
    if changed:
        await session.execute(_forget(table), ids=changed)
    rows = [
        {
            "id": line.id,
            named: record_id,
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
        for record_id, some in lines.items()
        for position, line in enumerate(some, 1)
    ]
    await insert_rows(session, table, rows)


@lru_cache(maxsize=20)
def _read(table: sa.Table) -> Query:
    owner = table.c[table.info["lines_of"]]
    return query(
        sa.select(table)
        .where(owner == sa.func.any(sa.bindparam("ids", type_=_IDS, required=True)))
        .order_by(owner, table.c.position)
    )


@lru_cache(maxsize=20)
def _forget(table: sa.Table) -> Query:
    owner = table.c[table.info["lines_of"]]
    return query(sa.delete(table).where(owner == sa.func.any(sa.bindparam("ids", type_=_IDS, required=True))))
