"""Records by their external references."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import Query, ReadSession, query
from crm_records.drafts import ExternalRef
from crm_records.record_type import RecordType
from crm_records.refusals import ExternalRefTaken


@contextmanager
def reference_refused(record: RecordType) -> Iterator[None]:
    """Turn the database's refusal of a second equal reference into ours. The transaction is lost either way.

    Only for requests about one record: it saves them a statement that asks beforehand, and is right under any concurrency.
    """
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != f"uq_{record.table.name}_external":
            raise
        raise ExternalRefTaken from None


_TEXTS = ARRAY(sa.Text())


async def ids_by_reference(
    session: ReadSession, record: RecordType, references: Sequence[ExternalRef]
) -> dict[ExternalRef, uuid.UUID]:
    """Which records have these external references, whoever may see them, deleted ones too.

    Only for finding records that are then loaded through a scope, and for knowing which references are taken: the ids must not be
    shown to the caller.
    """
    if not references:
        return {}
    systems, given = [ref.system for ref in references], [ref.id for ref in references]
    rows = await session.fetch(_statement(record), systems=systems, given=given)
    return {ExternalRef(row["external_system"], row["external_id"]): uuid.UUID(int=row["id"].int) for row in rows}


@lru_cache(maxsize=256)
def _statement(record: RecordType) -> Query:
    c = record.table.c
    asked = (
        sa.func.unnest(
            sa.bindparam("systems", type_=_TEXTS, required=True), sa.bindparam("given", type_=_TEXTS, required=True)
        )
        .table_valued("system", "id", name="asked")
        .render_derived()
    )
    select = sa.select(c.id, c.external_system, c.external_id).join_from(
        asked, record.table, sa.and_(c.external_system == asked.c.system, c.external_id == asked.c.id)
    )
    return query(select, unscoped="finds ids only; records are then loaded through a scope")
