"""The scope matrix notices a data scope that was taken away: otherwise its passing means nothing (G4)."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.scope.stand import Stand, standing, templates
from tests.scope.test_matrix import check_world

from crm_analytics.access.rules import Hearing, hearing_of
from crm_analytics.brief import store as brief
from crm_analytics.feed import routes as feed_routes
from crm_analytics.funnel import store as funnel
from crm_analytics.outcomes import store as outcomes
from crm_authz import Principal, Scope
from crm_authz.organisation import Organisation
from crm_customers.timeline import page_store as timeline
from crm_customers.timeline import routes as timeline_routes
from crm_database import ScopeMark
from crm_records import listing, locking, reading
from crm_records.actions import transfer
from crm_testing.servers import SharedPostgres

#: Organisations that a guard may need until it is missed.
SEEDS = range(6)


def _forget_statements() -> None:
    """Statements are kept by the scope's shape: with a guard away they must be compiled anew."""
    for kept in (listing._statements, brief._statements, funnel._statements, outcomes._statements):
        kept.clear()
    locking._lock_statement.cache_clear()
    reading._one_statement.cache_clear()
    timeline.statement.cache_clear()


@pytest.fixture(autouse=True)
def fresh_statements() -> Iterator[None]:
    _forget_statements()
    yield
    _forget_statements()


@pytest.fixture(scope="module")
def migrated_databases(postgres_server: SharedPostgres) -> dict[str, str]:
    return {name: found for name, found in templates(postgres_server).items() if name != "identity"}


@pytest.fixture
async def stand(postgres_server: SharedPostgres, migrated_databases: dict[str, str]) -> AsyncIterator[Stand]:
    async with standing(postgres_server, migrated_databases) as found:
        yield found


def _everything(self: Scope, table: sa.Table, alias: Any = None) -> ScopeMark:
    return ScopeMark(table, sa.true())


def _bound_predicates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "predicate", _everything)


def _open_predicates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "open_predicate", _everything)


def _branches(patch: pytest.MonkeyPatch) -> None:
    real = Scope.branches

    def wide(self: Scope, *given: Any, **options: Any) -> Any:
        found = real(self, *given, **options)
        return type(found)(found.owners, found.owned, ScopeMark(given[0], sa.true()))

    patch.setattr(Scope, "branches", wide)


def _memberships_never_end(patch: pytest.MonkeyPatch) -> None:
    real = Scope._values

    def earlier(self: Scope) -> dict[str, Any]:
        found = real(self)
        return found | {"now": found["now"].replace(year=2000)}

    patch.setattr(Scope, "_values", earlier)


def _no_second_look(patch: pytest.MonkeyPatch) -> None:
    """Row in hand: what may be changed is not asked."""
    patch.setattr(Scope, "reaches", lambda self, owner_id, members=(): True)


def _anybody_is_a_target(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "require_target", lambda self, owner_id: None)


def _a_wrong_scope(patch: pytest.MonkeyPatch) -> None:
    """Peers with their superior."""
    real = Organisation._peers
    patch.setattr(Organisation, "_peers", lambda self, user: real(self, user) | {user.superior_id or user.id})


def _transfers_by_what_is_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfer, "refuse_out_of_scope", lambda *given, **options: None)


def _timelines_of_other_records(patch: pytest.MonkeyPatch) -> None:
    """Who sees the customer is shown everything about it."""
    everything = Scope.system("the scope was taken away")

    def wide(unit: Any, types: Any) -> Any:
        return tuple(timeline.Branch(timeline.SOURCES[key], everything.shape, everything) for key in types)

    patch.setattr(timeline_routes, "branches_of", wide)


def _timelines_without_permissions(patch: pytest.MonkeyPatch) -> None:
    def wide(unit: Any, types: Any) -> Any:
        scopes = {key: unit.scope(key, "read") for key in types}
        return tuple(
            timeline.Branch(timeline.SOURCES[key], scope.shape, scope)
            for key, scope in scopes.items()
            if not scope.nothing
        )

    patch.setattr(timeline_routes, "branches_of", wide)


def _a_feed_of_other_records(patch: pytest.MonkeyPatch) -> None:
    """Who may read a type hears of all its records."""

    def wide(holder: Any, directory: Any, now: Any) -> Any:
        heard = hearing_of(holder, directory, now)
        return Hearing(now, (*heard.whole, *(topic for part in heard.parts for topic in part.topics)))

    patch.setattr(feed_routes, "hearing_of", wide)


def _a_feed_without_permissions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Principal, "allows", lambda self, code: True)


async def test_with_all_guards_in_place_nothing_is_noticed(stand: Stand) -> None:
    for seed in SEEDS:
        await check_world(
            stand,
            seed,
            frozenset({"list", "see", "timeline", "report", "feed", "act", "batch", "create", "transfer-many"}),
        )


@pytest.mark.requirement("PL-30")
@pytest.mark.parametrize(
    ("remove", "kinds"),
    [
        (_open_predicates, {"list"}),
        (_open_predicates, {"see"}),
        (_open_predicates, {"report"}),
        (_bound_predicates, {"create"}),
        (_branches, {"list"}),
        (_memberships_never_end, {"list"}),
        (_memberships_never_end, {"see"}),
        (_memberships_never_end, {"report"}),
        (_no_second_look, {"act"}),
        (_no_second_look, {"batch"}),
        (_anybody_is_a_target, {"create"}),
        (_a_wrong_scope, {"list"}),
        (_transfers_by_what_is_seen, {"transfer-many"}),
        (_open_predicates, {"timeline"}),
        (_memberships_never_end, {"timeline"}),
        (_timelines_of_other_records, {"timeline"}),
        (_timelines_without_permissions, {"timeline"}),
        (_a_feed_of_other_records, {"feed"}),
        (_a_feed_without_permissions, {"feed"}),
    ],
)
async def test_the_matrix_notices(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, remove: Callable[[pytest.MonkeyPatch], None], kinds: set[str]
) -> None:
    """With the part substituted, one of the checks of these kinds fails for one of the first organisations."""
    remove(monkeypatch)
    for seed in SEEDS:
        try:
            await check_world(stand, seed, frozenset(kinds))
        except AssertionError:
            return
    pytest.fail("the matrix did not notice")
