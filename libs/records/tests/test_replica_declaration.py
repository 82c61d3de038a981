"""A replica's declaration must fit the contract; its DDL makes what it declares; so does that of lines."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from crm_contracts import Topic
from crm_contracts.customers import CUSTOMER_TOPIC
from crm_contracts.sales import OPPORTUNITY_TOPIC, PRODUCT_TOPIC
from crm_database import service_metadata
from crm_records import DeclarationError, ddl
from crm_records.lines import line_ddl_1, line_table
from crm_records.replica import Column, Replica

from .replicas import TABLES, metadata


def declared(*columns: Column, topic: Topic = CUSTOMER_TOPIC, **options: Any) -> Replica:
    return Replica(service_metadata(), "customers.customer", topic, columns, **options)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (Column("colour"), "says nothing of colour"),
        (Column("email", required=True), "may leave it empty"),
        (Column("annual_revenue"), "no text"),
        (Column("employees", "boolean"), "no boolean"),
        (Column("parent_id", "ids"), "no ids"),
        (Column("name", "money"), "no money"),
        (Column("deleted", "boolean"), "has deleted already"),
        (Column("owner_id", "id"), "has owner_id already"),
    ],
)
def test_columns_that_the_contract_does_not_have(column: Column, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        declared(column)


def test_choices_are_texts_and_json_is_anything() -> None:
    found = declared(Column("lifecycle", required=True), Column("annual_revenue", "json"))
    assert [column.name for column in found.table.c][2:4] == ["lifecycle", "annual_revenue"]


def test_whether_records_have_owners_is_the_contracts_to_say() -> None:
    with pytest.raises(DeclarationError, match="owners"):
        declared(scoped=False)
    with pytest.raises(DeclarationError, match="owners"):
        declared(topic=PRODUCT_TOPIC)
    with pytest.raises(DeclarationError, match="no events"):
        declared(topic=Topic("crm.nobody.knows", "nobody", (), "nothing"))


def test_the_table_is_called_after_the_record_unless_it_is_named() -> None:
    assert declared().table.name == "customer_replica"
    assert declared(name="debtor").table.name == "debtor"
    spelled = Replica(service_metadata(), "sales.big-deal", OPPORTUNITY_TOPIC, ())
    assert spelled.table.name == "big_deal_replica"
    assert list(declared().table.c.keys()) == ["id", "version", "owner_id", "deleted"]


_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_INDEXES = "SELECT replace(indexdef, schemaname || '.', '') FROM pg_indexes WHERE tablename = $1 AND schemaname = $2"
_CONSTRAINTS = (
    "SELECT conname, replace(pg_get_constraintdef(oid), $2, '') FROM pg_constraint WHERE conrelid = $1::regclass"
)


async def made(connection: Any, schema: str, names: Sequence[str]) -> dict[str, Any]:
    """What tables of a schema look like to the database."""
    found = {}
    for name in names:
        whole = f"{schema}.{name}"
        found[name] = (
            [tuple(row) for row in await connection.fetch(_COLUMNS, whole)],
            {row[0] for row in await connection.fetch(_INDEXES, name, schema)},
            {tuple(row) for row in await connection.fetch(_CONSTRAINTS, whole, f"{schema}.")},
        )
    return found


async def test_the_frozen_statements_make_what_is_declared(database_dsn: str) -> None:
    lined = service_metadata()
    deal = sa.Table("deal", lined, sa.Column("id", sa.Uuid, primary_key=True))
    lines = line_table(lined, deal)
    replicas = list(metadata.sorted_tables)
    names = [*(table.name for table in replicas), "deal_line"]
    connection = await asyncpg.connect(database_dsn)
    try:
        for schema, statements in {
            "frozen": (*TABLES, *ddl(deal), *line_ddl_1("deal")),
            "declared": [statement for table in (*replicas, deal, lines) for statement in ddl(table)],
        }.items():
            await connection.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}")
            for statement in statements:
                await connection.execute(statement)
        await connection.execute("SET search_path = pg_catalog")
        frozen = await made(connection, "frozen", names)
        assert frozen == await made(connection, "declared", names)
        assert all(columns and indexes and constraints for columns, indexes, constraints in frozen.values())
    finally:
        await connection.close()
