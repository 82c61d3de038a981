"""Each guard taken away by substitution: then a test of the ordinary suite must notice."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_approvals import actions, rules, store
from crm_approvals.approval import Approval
from crm_approvals.rules import AlreadyDecided, CommentNeeded, NotApprover, OwnApproval
from crm_approvals.tables import approval
from crm_database import WriteSession
from crm_kernel import Refusal

from . import test_decisions, test_frozen, test_leavers, test_lists, test_races
from .conftest import World

Test = Callable[[World], Awaitable[None]]


async def notices(test: Test, world: World) -> None:
    with pytest.raises((AssertionError, TimeoutError)):
        await test(world)


def without(patch: pytest.MonkeyPatch, guard: type[Refusal]) -> None:
    """Decisions as if the rule had never refused with this."""
    check = rules.check_decide

    def lenient(**given: Any) -> Any:
        try:
            return check(**given)
        except guard:
            return given["steps"][0]

    patch.setattr(actions, "check_decide", lenient)


async def _own(world: World) -> None:
    await test_decisions.test_nobody_decides_on_their_own(world, "approve")


async def _withdrawn(world: World) -> None:
    await test_decisions.test_who_submitted_takes_it_back_until_it_is_decided(world, "approval")


@pytest.mark.parametrize(
    ("guard", "test"),
    [
        (OwnApproval, _own),
        (AlreadyDecided, _withdrawn),
        (NotApprover, test_lists.test_a_later_step_waits_for_its_own_approvers_only),
        (CommentNeeded, test_decisions.test_a_rejection_says_why_and_the_record_is_a_draft_again),
    ],
)
async def test_a_decision_without_one_of_its_checks_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: type[Refusal], test: Test
) -> None:
    without(monkeypatch, guard)
    await notices(test, world)


async def test_approvals_that_everybody_sees_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "is_party", lambda *_: True)
    await notices(test_decisions.test_for_everybody_else_the_approval_does_not_exist, world)


async def _read_instead(session: WriteSession, approval_id: uuid.UUID) -> Approval | None:
    """What `store.lock` answers, without its lock."""
    found = await store.read(session, approval_id)
    if found is not None:
        session.hold(approval, found.id, found.version)
    return found


async def test_a_withdrawal_without_the_lock_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "lock", _read_instead)

    async def race(world: World) -> None:
        await test_races.test_of_a_decision_and_a_withdrawal_at_once_one_counts(world, "approval")

    await notices(race, world)


async def test_two_decisions_without_lock_and_without_the_steps_own_check_are_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either of the two suffices: without the lock, the step that is decided already is not decided again."""
    monkeypatch.setattr(store, "lock", _read_instead)
    await test_races.test_of_two_decisions_at_once_one_counts(world)

    async def always(*_: Any) -> bool:
        return True

    monkeypatch.setattr(store, "decide_step", always)
    await world.change("TRUNCATE approval, approval_step, memo, journal, outbox")
    await notices(test_races.test_of_two_decisions_at_once_one_counts, world)


async def test_an_approval_of_a_record_that_has_changed_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "check_unchanged", lambda *_: None)
    await notices(
        test_decisions.test_a_record_that_changed_behind_the_back_is_not_approved_and_is_submitted_again, world
    )


async def test_decisions_of_the_owner_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "check_not_owner", lambda *_: None)

    async def owned(world: World) -> None:
        await test_decisions.test_nobody_decides_on_a_record_that_is_theirs_by_now(world, "approve")

    await notices(owned, world)


async def test_approvals_that_nobody_inherits_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "deciders", lambda step, *_: frozenset(step.approvers))
    await notices(test_leavers.test_what_waits_for_who_has_left_waits_for_the_administrators, world)


async def test_decisions_that_do_not_look_at_the_digest_are_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = store.lock

    async def unquestioned(session: WriteSession, approval_id: uuid.UUID) -> Approval | None:
        found = await lock(session, approval_id)
        assert found is not None
        monkeypatch.setattr(actions, "digest_of", lambda snapshot: found.snapshot_digest)
        return found

    monkeypatch.setattr(store, "lock", unquestioned)

    async def changed(world: World) -> None:
        await test_frozen.test_nobody_decides_on_what_was_changed_past_the_database(world, "snapshot")

    await notices(changed, world)


async def test_records_that_change_while_they_wait_are_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> dict[uuid.UUID, uuid.UUID]:
        return {}

    monkeypatch.setattr(store, "pending_of", nothing)
    await notices(test_decisions.test_what_waits_for_approval_is_neither_changed_nor_submitted_again, world)
