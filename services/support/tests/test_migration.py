"""The migration makes the tables that the code declares, and the first queue."""

from services.support.tests.conftest import general

from crm_contracts.support import QueueCreated
from crm_records import ddl
from crm_support.metadata import metadata
from crm_testing.declared import require_declared
from crm_testing.service import Caller, Running


async def test_the_migration_makes_the_declared_tables(support_dsn: str) -> None:
    assert {"ticket", "reply", "queue", "customer_replica", "contact_replica"} <= set(metadata.tables)
    await require_declared(support_dsn, metadata.tables.values(), ddl)


async def test_a_company_has_a_queue_from_the_start(support: Running, agent: Caller) -> None:
    first = await general(agent)
    assert (first["open_to_all"], first["member"]) == (True, True)
    (event,) = await support.events("crm.support.queue.%", first["id"])
    assert QueueCreated.model_validate(event["data"]).state.key == "general"
