"""The migration makes the tables that the code declares, and the first pipeline."""

import asyncpg
import pytest
from sqlalchemy.dialects import postgresql

from crm_contracts.sales import PipelineCreated
from crm_records import ddl
from crm_sales.app import SERVICE
from crm_sales.metadata import metadata
from crm_testing.service import Running

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


async def test_the_migration_makes_the_declared_tables(sales_dsn: str) -> None:
    assert SERVICE.name == "sales"
    dialect = postgresql.dialect()
    spelled = {
        "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
        "NUMERIC(20, 6)": "numeric(20,6)",
        "NUMERIC(9, 6)": "numeric(9,6)",
    }
    connection = await asyncpg.connect(sales_dsn)
    try:
        assert {"product", "pipeline", "pipeline_stage", "opportunity", "opportunity_line"} <= set(metadata.tables)
        for table in metadata.tables.values():
            there = await connection.fetch(_COLUMNS, table.name)
            declared = [(c.name, spelled.get(t := c.type.compile(dialect), t.lower()), not c.nullable) for c in table.c]
            assert [tuple(row) for row in there] == declared, table.name
            # Expressions and conditions are compared too: what the declaration makes beside it, under another name.
            made = await connection.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = $1", table.name)
            await connection.execute("CREATE SCHEMA declared")
            try:
                await connection.execute("SET search_path = declared, public")
                for statement in ddl(table):
                    await connection.execute(statement.replace("REFERENCES ", "REFERENCES public."))
                wanted = await connection.fetch(
                    "SELECT indexdef FROM pg_indexes WHERE tablename = $1 AND schemaname = 'declared'", table.name
                )
            finally:
                await connection.execute("SET search_path = public; DROP SCHEMA declared CASCADE")
            assert {row[0] for row in made} == {row[0].replace("declared.", "public.") for row in wanted}, table.name
    finally:
        await connection.close()


@pytest.mark.requirement("SA-1")
async def test_a_company_has_a_pipeline_from_the_start(sales: Running) -> None:
    manager = sales.caller(sales.people.manager)
    (first,) = (await manager.done("GET", "/pipelines"))["items"]
    assert first["is_default"]
    assert [(s["position"], s["name"], s["probability"]) for s in first["stages"]] == [
        (1, "Prospecting", 10),
        (2, "Engaging", 40),
        (3, "Proposal", 60),
        (4, "Negotiation", 80),
    ]
    (event,) = await sales.events("crm.sales.pipeline.%", first["id"])
    told = PipelineCreated.model_validate(event["data"])
    assert [str(stage.id) for stage in told.state.stages] == [stage["id"] for stage in first["stages"]]
    assert told.state.is_default
