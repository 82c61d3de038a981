"""Who leaves hands everything on (ID-6): no record type with owners is forgotten, and each says which of its records are open."""

import sys

import pytest

from crm_contracts import identity, registry
from crm_identity.hand_over.reactions import REACTIONS
from crm_identity.hand_over.rules import SERVICES
from crm_jobs.tables import metadata as jobs
from crm_records import RecordType
from crm_records.hand_over import HandOvers
from crm_records.hand_over.tables import metadata as hand_overs
from crm_sagas.tables import metadata as sagas
from crm_testing.declared import require_declared
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import migrated
from crm_web.routes import installed
from crm_web.service import load_service


def declared(service: str) -> tuple[list[RecordType], list[HandOvers]]:
    """The record types with owners that a service's code declares, and its parts in hand-overs."""
    load_service(service)
    values = [
        value
        for name, module in list(sys.modules.items())
        if name.startswith(f"crm_{service}.")
        for value in vars(module).values()
    ]
    records = {id(one): one for one in values if isinstance(one, RecordType) and one.service == service and one.scoped}
    parts = {id(one): one for one in values if isinstance(one, HandOvers)}
    return list(records.values()), list(parts.values())


@pytest.mark.requirement("ID-6")
@pytest.mark.parametrize("service", installed())
def test_every_record_type_with_owners_says_what_is_open_and_is_handed_over(service: str) -> None:
    records, parts = declared(service)
    assert all(record.open is not None for record in records), [record.key for record in records if record.open is None]
    handed_over = sorted(record.key for part in parts for record in part.records)
    assert handed_over == sorted(record.key for record in records)


@pytest.mark.requirement("ID-6")
def test_identity_asks_exactly_the_services_that_have_a_part_and_hears_them() -> None:
    having = [service for service in installed() if declared(service)[1]]
    assert sorted(having) == sorted(SERVICES)
    assert set(registry.topics[identity.HAND_OVER.name].consumers) == {*having, "analytics"}
    (heard,) = REACTIONS
    assert sorted(heard.topics) == sorted(f"crm.{service}.hand-over" for service in having)
    for service in having:
        (part,) = declared(service)[1]
        loaded = load_service(service)
        assert part.reaction in loaded.reactions
        assert loaded.jobs is not None
        assert part.kind in loaded.jobs.kinds


@pytest.fixture(params=installed())
def migrated_service(
    request: pytest.FixtureRequest, make_database: MakeDatabase, postgres_server: SharedPostgres
) -> tuple[str, str]:
    return request.param, make_database(migrated(request.param, postgres_server))


async def test_the_migrations_make_the_tables_of_hand_overs_sagas_and_jobs(migrated_service: tuple[str, str]) -> None:
    name, dsn = migrated_service
    if name == "identity":
        await require_declared(dsn, sagas.sorted_tables)
    elif name in SERVICES:
        await require_declared(dsn, [*hand_overs.sorted_tables, *jobs.sorted_tables])
