"""Writing facts: a few set-based statements per batch, whose outcome doesn't depend on how often or in which order events come.

Raw SQL: `jsonb_to_recordset` makes a batch's JSON rows of a table, and one upsert compares versions per group of columns. Names come from
the tables, never from input.
"""

import uuid
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from crm_analytics.facts import tables
from crm_analytics.facts.parts import Row
from crm_analytics.facts.rules import Batch, Newest, is_of_moment
from crm_contracts import billing, customers, sales
from crm_database import WriteSession

_PG = postgresql.dialect()  # type: ignore[no-untyped-call]

#: Every table that facts fill: what a rebuild makes anew. `record_member` (crm_authz) is filled with them.
FACT_TABLES = (
    tables.opportunity_fact,
    tables.opportunity_product,
    tables.stage_entry,
    tables.customer_fact,
    tables.contact_fact,
    tables.contract_fact,
    tables.contract_product,
    tables.payment_fact,
    tables.payment_product,
    tables.activity_fact,
    tables.product,
    tables.pipeline,
    tables.pipeline_stage,
)

#: Topic → the table with one row per record.
FACT_OF_TOPIC = {
    sales.OPPORTUNITY_TOPIC.name: tables.opportunity_fact,
    sales.PRODUCT_TOPIC.name: tables.product,
    sales.PIPELINE_TOPIC.name: tables.pipeline,
    customers.CUSTOMER_TOPIC.name: tables.customer_fact,
    customers.CONTACT_TOPIC.name: tables.contact_fact,
    billing.CONTRACT_TOPIC.name: tables.contract_fact,
    billing.PAYMENT_TOPIC.name: tables.payment_fact,
    sales.ACTIVITY_TOPIC.name: tables.activity_fact,
}


async def write(session: WriteSession, batch: Batch) -> None:
    """Take a batch into the facts. Statements only for what the batch has."""
    if batch.opportunities.rows:
        fresh = await _upsert(session, tables.opportunity_fact, batch.opportunities)
        await _replace_shares(session, tables.opportunity_product, batch.shares, fresh)
        await _replace_members(session, batch, "sales.opportunity", fresh)
    if batch.entries:
        await session.connection.execute(_append(tables.stage_entry), batch.entries)  # One statement for all rows.
    if batch.customers.rows:
        fresh = await _upsert(session, tables.customer_fact, batch.customers)
        await _replace_members(session, batch, "customers.customer", fresh)
    if batch.contacts.rows:
        fresh = await _upsert(session, tables.contact_fact, batch.contacts)
        await _replace_members(session, batch, "customers.contact", fresh)
    if batch.contracts.rows:
        fresh = await _upsert(session, tables.contract_fact, batch.contracts)
        await _replace_shares(session, tables.contract_product, batch.contract_shares, fresh)
        await _replace_members(session, batch, "billing.contract", fresh)
    if batch.payments.rows:
        fresh = await _upsert(session, tables.payment_fact, batch.payments)
        if batch.payment_shares:
            # One statement for all rows.
            await session.connection.execute(_append(tables.payment_product), batch.payment_shares)
        await _replace_members(session, batch, "billing.payment", fresh)
    if batch.activities.rows:
        fresh = await _upsert(session, tables.activity_fact, batch.activities)
        await _replace_members(session, batch, "sales.activity", fresh)
    for table, newest in (
        (tables.product, batch.products),
        (tables.pipeline, batch.pipelines),
        (tables.pipeline_stage, batch.stages),
    ):
        if newest.rows:
            await _upsert(session, table, newest)


async def _upsert(session: WriteSession, table: sa.Table, newest: Newest) -> set[uuid.UUID]:
    """Write the rows; answers the records of which the batch had the newest state."""
    # One statement for all rows (see the top of this file).
    written = await session.connection.fetch(upsert_sql(table, newest.moments), list(newest.rows.values()))
    return {row["id"] for row in written if row["version"] == newest.rows[row["id"]]["version"]}


_SHARES = """
WITH given AS (
  SELECT * FROM jsonb_to_recordset($2::jsonb) AS g({owner} uuid, product_id uuid, value_minor bigint)
), gone AS (
  DELETE FROM {table} p WHERE p.{owner} = ANY($1::uuid[])
    AND NOT EXISTS (SELECT FROM given g WHERE g.{owner} = p.{owner} AND g.product_id = p.product_id)
)
INSERT INTO {table} AS p ({owner}, product_id, value_minor) SELECT * FROM given
ON CONFLICT ({owner}, product_id) DO UPDATE SET value_minor = excluded.value_minor
WHERE p.value_minor IS DISTINCT FROM excluded.value_minor
"""


async def _replace_shares(
    session: WriteSession, table: sa.Table, shares: dict[uuid.UUID, tuple[int, list[Row]]], fresh: set[uuid.UUID]
) -> None:
    if not fresh:
        return
    rows = _of(fresh, shares)
    # A table of shares begins with the column of whose they are.
    statement = _SHARES.format(table=table.name, owner=next(iter(table.c)).name)
    # Raw SQL: products that went and those that came, in one statement.
    await session.connection.execute(statement, list(fresh), rows)


_MEMBERS = """
WITH given AS (
  SELECT * FROM jsonb_to_recordset($3::jsonb) AS g(record_id uuid, user_id uuid, "right" text, expires_at timestamptz)
), gone AS (
  DELETE FROM record_member m WHERE m.record_type = $1 AND m.record_id = ANY($2::uuid[])
    AND NOT EXISTS (SELECT FROM given g WHERE g.record_id = m.record_id AND g.user_id = m.user_id)
)
INSERT INTO record_member AS m (record_type, record_id, user_id, "right", expires_at)
SELECT $1, record_id, user_id, "right", expires_at FROM given
ON CONFLICT (record_type, record_id, user_id) DO UPDATE SET "right" = excluded."right", expires_at = excluded.expires_at
WHERE (m."right", m.expires_at) IS DISTINCT FROM (excluded."right", excluded.expires_at)
"""


async def _replace_members(session: WriteSession, batch: Batch, record_type: str, fresh: set[uuid.UUID]) -> None:
    # An event without `access` says nothing of members.
    told = {record for record in batch.members.get(record_type, {}) if record in fresh}
    if told:
        rows = _of(told, batch.members[record_type])
        # Members that went and those that came, in one statement.
        await session.connection.execute(_MEMBERS, record_type, list(told), rows)


def _of(records: Iterable[uuid.UUID], kept: dict[uuid.UUID, tuple[int, list[Row]]]) -> list[Row]:
    return [row for record in records for row in kept[record][1]]


@cache
def upsert_sql(table: sa.Table, moments: Sequence[str]) -> str:
    """An upsert that takes the state when its version is newer, and each moment when its own version is.

    A row about which nothing is newer is left alone, and not answered.
    """
    groups: dict[str, list[str]] = {"": [], **{moment: [] for moment in moments}}
    for column in table.c:
        groups[next((moment for moment in moments if is_of_moment(column.name, moment)), "")].append(column.name)
    newer = {"": "excluded.version > t.version"} | {
        moment: f"excluded.{moment}_version > coalesce(t.{moment}_version, 0)" for moment in moments
    }
    sets = [
        f'"{name}" = CASE WHEN {newer[group]} THEN excluded."{name}" ELSE t."{name}" END'
        for group, names in groups.items()
        for name in names
        if name != "id"
    ]
    return (
        f"{_insert(table)} ON CONFLICT (id) DO UPDATE SET {', '.join(sets)} "
        f"WHERE {' OR '.join(newer.values())} RETURNING t.id, t.version"
    )


@cache
def _append(table: sa.Table) -> str:
    return f"{_insert(table)} ON CONFLICT DO NOTHING"


def _insert(table: sa.Table) -> str:
    columns: list[sa.Column[Any]] = list(table.c)
    names = ", ".join(f'"{column.name}"' for column in columns)
    types = ", ".join(f'"{column.name}" {column.type.compile(_PG)}' for column in columns)
    return f'INSERT INTO "{table.name}" AS t ({names}) SELECT {names} FROM jsonb_to_recordset($1::jsonb) AS r({types})'  # noqa: S608  # names come from the table
