"""Every service can be operated: the same routes, permissions, table and event, of one implementation."""

import pytest

from crm_authz import SHIPPED_ROLES
from crm_authz.shipped import SUPER_ADMINISTRATOR
from crm_testing.declared import require_declared
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import migrated, running
from crm_web.operations.tables import operation
from crm_web.routes import installed
from crm_web.service import load_service

SETTINGS = {"identity": {"key_secret": "k" * 32}}
EXPECTED = {
    ("GET", "/dead-letters", "inspect"),
    ("GET", "/dead-letters/{event_id}", "inspect"),
    ("POST", "/dead-letters/{event_id}/retry", "repair"),
    ("POST", "/dead-letters/{event_id}/discard", "repair"),
    ("GET", "/consumers", "inspect"),
    ("GET", "/resyncs", "inspect"),
    ("POST", "/resyncs", "repair"),
}


@pytest.mark.requirement("PL-44", "PL-51")
@pytest.mark.parametrize("name", installed())
def test_each_service_offers_the_same_to_operators(name: str) -> None:
    service = load_service(name)
    prefix = f"/api/{name}/v1/operations"
    found = {
        (
            min(route.methods),
            route.path.removeprefix(prefix),
            str(route.declared.permission).removeprefix(f"{name}.operations:"),
        )
        for route in service.routes
        if route.path.startswith(prefix)
    }
    assert found == EXPECTED
    assert {f"{name}.operations:{action}" for action in ("inspect", "repair")} <= {p.code for p in service.permissions}


@pytest.fixture(params=installed())
def migrated_service(
    request: pytest.FixtureRequest, make_database: MakeDatabase, postgres_server: SharedPostgres
) -> tuple[str, str]:
    return request.param, make_database(migrated(request.param, postgres_server))


async def test_each_service_has_the_table_and_answers_its_super_administrator_only(
    migrated_service: tuple[str, str],
) -> None:
    name, dsn = migrated_service
    await require_declared(dsn, [operation])
    async with running(load_service(name), dsn, **SETTINGS.get(name, {})) as found:
        administrator = found.caller(found.people.administrator)
        for path in ("dead-letters", "consumers", "resyncs"):
            assert (await administrator("GET", f"/operations/{path}")).status == 200
            for role in SHIPPED_ROLES:
                if role is not SUPER_ADMINISTRATOR:
                    refused = await found.caller(found.people.rep, rights=role)("GET", f"/operations/{path}")  # type: ignore[arg-type]
                    assert (refused.status, refused["code"]) == (403, "permission.missing"), role.key
