"""Every operation of every service, for random organisations, against the oracle (G4, PL-30)."""

import os
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest
from tests.scope import oracle
from tests.scope.checks import CHECKS, Bench
from tests.scope.matrix import ROWS, Row
from tests.scope.stand import Stand, standing, templates
from tests.scope.world import LATER, NOW, RULES, World, make

from crm_testing.servers import SharedPostgres
from crm_web.routes import installed, table
from crm_web.service import load_service

FULL = os.environ.get("CRM_TEST_FULL") == "1"
#: Organisations per test; one stand serves all of a test's, so that its directory stays of ordinary size.
EACH = 5
SEEDS = range(0, 10_000 if FULL else 25, EACH)


@pytest.fixture(scope="module")
def migrated_databases(postgres_server: SharedPostgres) -> dict[str, str]:
    return templates(postgres_server)


@pytest.fixture
async def stand(postgres_server: SharedPostgres, migrated_databases: dict[str, str]) -> AsyncIterator[Stand]:
    async with standing(postgres_server, migrated_databases) as found:
        yield found


def test_every_operation_of_every_service_is_in_the_matrix_once_and_nothing_else() -> None:
    declared = [(entry["method"], entry["path"]) for entry in table(load_service(name) for name in installed())]
    written = [(row.method, row.path) for row in ROWS]
    assert sorted(written) == sorted(declared)
    assert installed() == ["identity", "customers", "sales", "billing", "support", "analytics"]


def test_every_row_is_checked_or_says_why_not() -> None:
    for row in ROWS:
        assert (row.kind in CHECKS) != (row.kind == "none"), row
        assert bool(row.reason) == (row.kind == "none"), row


def test_the_worlds_have_every_scope_and_every_kind_of_case() -> None:
    worlds = [world_of(seed) for seed in range(25)]
    rules = {
        rule
        for world in worlds
        for roles in world.roles.values()
        for role in roles
        for c in role.values()
        for rule in c.values()
    }
    assert {rule.partition(":")[0] for rule in rules} == {*RULES, "departments"}
    widths = set()
    for world in worlds:
        for user, roles in world.roles.items():
            rules = oracle.rules_of(roles, "customers.customer", "read")
            reached = {owner for rule in rules for owner in oracle.owners(world.organisation, rule, user)}
            widths.add(min(len(reached), 17))
    assert {0, 1, 17} <= widths, "nobody's, one's own, and more than are read one by one"
    records = [record for world in worlds for record in world.records]
    assert any(record.deleted for record in records)
    assert any(record.owner is None and record.pool is None for record in records)
    ends = {member["expires_at"] for record in records for member in record.members}
    assert len(ends) == 5
    assert any(len(roles) > 1 for world in worlds for roles in world.roles.values())


def world_of(seed: int) -> World:
    """Small organisations, and some with more owners than a list reads one by one (crm_authz.FEW_OWNERS)."""
    sizes = (4, 14, 40, 500) if FULL else (4, 14, 40)
    return make(seed, users=Random(seed).choice(sizes), depth=8 if FULL else 5)


async def check_world(stand: Stand, seed: int, kinds: frozenset[str] | None = None) -> int:
    """One organisation, every row of the matrix, every caller; answers how many requests were compared."""
    world = world_of(seed)
    await stand.settle(world)
    rows = [row for row in ROWS if row.kind != "none" and row.service in stand.services]
    rows = [row for row in rows if kinds is None or row.kind in kinds]
    benches = [Bench(stand, world, user, Random(seed), NOW) for user in world.roles]

    async def check(chosen: Callable[[Row], bool]) -> None:
        for bench in benches:
            for row in filter(chosen, rows):
                await CHECKS[row.kind](bench, row)

    # First what changes nothing: no service hears of the transfers that another one is asked for here.
    await check(lambda row: row.kind != "transfer-many")
    await check(lambda row: row.kind == "transfer-many")
    # Then time passes as well: memberships end, nothing else happens.
    for service in stand.services.values():
        service.clock.advance(LATER)
    try:
        for bench in benches:
            bench.now = NOW + LATER
        await check(lambda row: row.kind in ("list", "see") and row.service != "identity")
    finally:
        for service in stand.services.values():
            service.clock.advance(-LATER)
    return sum(bench.asked for bench in benches)


@pytest.mark.requirement("PL-30", "PL-21", "PL-22", "ID-12")
@pytest.mark.parametrize("first", SEEDS)
async def test_nobody_sees_or_changes_more_or_less_than_their_scope(stand: Stand, first: int) -> None:
    for seed in range(first, first + EACH):
        assert await check_world(stand, seed) > 100
