"""Each guard taken away by substitution: then a test of the ordinary suite must notice."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from crm_authz import Scope
from crm_database import ScopeMark
from crm_records import listing, locking, reading
from crm_web import WriteUnit

from . import test_batch, test_concurrency, test_lists, test_ownership, test_single
from .conftest import World

Test = Callable[[World], Awaitable[None]]


@pytest.fixture(autouse=True)
def fresh_statements() -> Any:
    """Statements are compiled once per shape: with a guard away they must be compiled anew, and forgotten afterwards."""

    def forget() -> None:
        listing._statements.clear()
        locking._lock_statement.cache_clear()
        reading._one_statement.cache_clear()

    forget()
    yield
    forget()


async def notices(test: Test, world: World) -> None:
    with pytest.raises((AssertionError, TimeoutError)):
        await test(world)


def reach_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "open_predicate", lambda self, table, alias=None: ScopeMark(table, sa.true()))


async def test_reads_without_the_scope_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reach_everything(monkeypatch)
    await notices(test_ownership.test_what_is_not_seen_is_not_found_whatever_is_asked, world)


async def test_pages_without_the_scope_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wider scope is paged through with the predicate, a narrow one with its branches."""
    reach_everything(monkeypatch)
    captain = world.caller(world.captain, "subordinates")
    await world.caller(world.crew[21]).create("Not the captain's")
    assert await captain.names() == ["Not the captain's"]
    answer = await captain("GET", "/voyages", params={"count": "exact", "q": "captain"})
    assert answer["count"] == 1


async def test_a_lock_without_the_second_look_at_members_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scope, "reaches", lambda self, owner_id, members=(): True)
    await notices(test_concurrency.test_who_lost_the_membership_while_waiting_changes_nothing, world)


async def test_writes_without_their_own_scope_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "refuse_out_of_scope", lambda *given, **options: None)
    await notices(test_ownership.test_members_never_delete_transfer_or_share, world)


async def test_targets_out_of_reach_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "require_target", lambda self, owner_id: None)
    await notices(test_ownership.test_records_go_only_to_active_users_within_reach, world)
    await notices(test_ownership.test_a_record_is_created_for_somebody_else_only_by_who_may_give_it, world)


async def test_a_missing_comparison_with_if_match_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteUnit, "require_match", lambda self, version: None)
    await notices(test_concurrency.test_of_two_changes_of_the_same_version_one_wins, world)
    await notices(
        test_single.test_a_stale_change_is_refused_with_the_present_version_and_without_if_match_the_last_wins, world
    )


async def test_a_missing_row_lock_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sa.Select, "with_for_update", lambda self, **options: self)
    await notices(test_concurrency.test_without_a_condition_both_changes_count_and_are_in_the_history, world)


async def test_unsigned_cursors_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_web.cursors.hmac.compare_digest", lambda left, right: True)
    await notices(test_lists.test_a_cursor_is_good_for_its_caller_filter_order_and_operation_only, world)


async def test_entries_in_the_past_without_the_permission_are_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_records.actions.create.check_occurred_at", lambda *given: None)
    await notices(test_single.test_what_happened_earlier_is_entered_with_both_times_by_those_who_may, world)


async def test_a_lost_race_for_a_reference_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_records.actions.batch._ATTEMPTS", 1)
    await notices(test_batch.test_batches_with_the_same_references_at_once_make_each_record_once, world)


async def test_expired_memberships_that_count_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Scope.parameters

    def earlier(self: Scope, table: sa.Table, alias: Any = None) -> dict[str, Any]:
        found = real(self, table, alias)
        return {name: value.replace(year=2000) if name.endswith("_now") else value for name, value in found.items()}

    monkeypatch.setattr(Scope, "parameters", earlier)
    await notices(test_lists.test_a_shared_record_is_seen_until_the_instant_at_which_the_membership_expires, world)
