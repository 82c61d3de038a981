"""The migration makes the tables that the code declares, and the first pipeline."""

import pytest

from crm_contracts.sales import PipelineCreated
from crm_records import ddl
from crm_sales.metadata import metadata
from crm_testing.declared import require_declared
from crm_testing.service import Running


async def test_the_migration_makes_the_declared_tables(sales_dsn: str) -> None:
    assert {"product", "pipeline", "pipeline_stage", "opportunity", "opportunity_line"} <= set(metadata.tables)
    await require_declared(sales_dsn, metadata.tables.values(), ddl)


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
