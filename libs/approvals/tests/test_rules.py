"""The decisions, exhaustively: every person, status, step and decision against rules written down once more."""

import itertools
import uuid
from dataclasses import replace

import pytest

from crm_approvals.rules import (
    MAX_SUPERIORS,
    AlreadyDecided,
    ApprovalStep,
    CommentNeeded,
    Decision,
    NoApprover,
    NotApprover,
    NotSubmitter,
    OwnApproval,
    SnapshotChanged,
    Status,
    approvers_of,
    check_decide,
    check_not_owner,
    check_unchanged,
    check_withdraw,
    deciders,
    is_party,
    may_withdraw,
    status_after,
    superiors_of,
)
from crm_kernel import NotFound, Refusal

SUBMITTER, SUPERIOR, LATER, STRANGER = people = [uuid.UUID(int=number) for number in range(1, 5)]
STATUSES: tuple[Status, ...] = ("pending", "approved", "rejected", "withdrawn")
FIRST = ApprovalStep(step=1, part=1, approvers=(SUPERIOR,))
SECOND = ApprovalStep(step=2, part=1, approvers=(LATER,))
ADMIN, DEPUTY = uuid.UUID(int=5), uuid.UUID(int=6)


def everybody(user: uuid.UUID) -> bool:
    return True


#: Everybody is there.
THERE = {"active": everybody, "administrators": (ADMIN,)}


def outcome(check: object, **given: object) -> type[Refusal] | None:
    try:
        check(**given)  # type: ignore[operator]
    except Refusal as refusal:
        return type(refusal)
    return None


def expected_decision(user: uuid.UUID, status: Status, step: int, decision: Decision, comment: str | None) -> object:
    if user in (STRANGER, ADMIN):
        return NotFound
    if user == SUBMITTER:
        return OwnApproval
    if status != "pending":
        return AlreadyDecided
    if (user, step) not in ((SUPERIOR, 1), (LATER, 2)):
        return NotApprover
    return CommentNeeded if decision == "reject" and comment in (None, "", "  ") else None


@pytest.mark.requirement("BI-14")
def test_who_may_decide_when() -> None:
    decisions: tuple[Decision, ...] = ("approve", "reject")
    for user, status, step, decision, comment in itertools.product(
        [*people, ADMIN], STATUSES, (1, 2), decisions, (None, "", "  ", "No")
    ):
        found = outcome(
            check_decide,
            submitter=SUBMITTER,
            status=status,
            current_step=step,
            steps=(FIRST, SECOND),
            user=user,
            decision=decision,
            comment=comment,
            **THERE,
        )
        assert found is expected_decision(user, status, step, decision, comment), (user, status, step, decision)


@pytest.mark.requirement("BI-14")
def test_who_may_withdraw_when() -> None:
    for user, status in itertools.product(people, STATUSES):
        found = outcome(check_withdraw, submitter=SUBMITTER, status=status, steps=(FIRST, SECOND), user=user, **THERE)
        if user == STRANGER:
            assert found is NotFound
        elif user != SUBMITTER:
            assert found is NotSubmitter
        else:
            assert found is (None if status == "pending" else AlreadyDecided)


def test_a_part_that_is_decided_is_not_decided_again_though_the_step_goes_on() -> None:
    """Where several must agree, each has a part of the step."""
    decided = replace(FIRST, decided_by=SUPERIOR)
    other = ApprovalStep(step=1, part=2, approvers=(LATER,))
    given = {"submitter": SUBMITTER, "status": "pending", "current_step": 1, "steps": (decided, other), **THERE}
    assert outcome(check_decide, **given, user=SUPERIOR, decision="approve", comment=None) is NotApprover
    part = check_decide(
        submitter=SUBMITTER,
        status="pending",
        current_step=1,
        steps=(decided, other),
        user=LATER,
        active=everybody,
        administrators=(ADMIN,),
        decision="approve",
        comment=None,
    )
    assert part is other


def test_a_submitter_who_is_named_as_approver_still_decides_nothing() -> None:
    named = replace(FIRST, approvers=(SUBMITTER, SUPERIOR))
    given = {"submitter": SUBMITTER, "status": "pending", "current_step": 1, "steps": (named,), **THERE}
    assert outcome(check_decide, **given, user=SUBMITTER, decision="approve", comment=None) is OwnApproval
    assert outcome(check_decide, **given, user=SUPERIOR, decision="approve", comment=None) is None


@pytest.mark.requirement("BI-2")
@pytest.mark.parametrize(
    ("own", "superiors", "may", "administrators", "expected"),
    [
        ({SUBMITTER}, [SUPERIOR, LATER], {SUPERIOR, LATER}, (), (SUPERIOR,)),
        ({SUBMITTER}, [SUPERIOR, LATER], {SUPERIOR, LATER}, (ADMIN,), (SUPERIOR,)),
        ({SUBMITTER}, [SUPERIOR, LATER], {LATER}, (ADMIN,), (LATER,)),
        ({SUBMITTER, SUPERIOR}, [SUPERIOR, LATER], {SUPERIOR, LATER}, (ADMIN,), (LATER,)),
        ({SUBMITTER}, [SUPERIOR], set(), (DEPUTY, ADMIN), (ADMIN, DEPUTY)),
        ({SUBMITTER}, [], set(), (SUBMITTER, ADMIN), (ADMIN,)),
        ({SUBMITTER, ADMIN}, [], set(), (DEPUTY, ADMIN), (DEPUTY,)),
        ({SUBMITTER}, [SUBMITTER], {SUBMITTER}, (ADMIN,), (ADMIN,)),
        ({SUBMITTER}, [], set(), (SUBMITTER,), None),
        ({SUBMITTER, ADMIN}, [ADMIN], {ADMIN}, (ADMIN, SUBMITTER), None),
        ({SUBMITTER}, [], set(), (), None),
    ],
)
def test_the_nearest_superior_who_may_approves_or_else_the_administrators_but_never_whose_own_it_is(
    own: set[uuid.UUID],
    superiors: list[uuid.UUID],
    may: set[uuid.UUID],
    administrators: tuple[uuid.UUID, ...],
    expected: tuple[uuid.UUID, ...] | None,
) -> None:
    if expected is None:
        with pytest.raises(NoApprover):
            approvers_of(own, superiors, may.__contains__, administrators)
    else:
        assert approvers_of(own, superiors, may.__contains__, administrators) == expected


def test_superiors_are_asked_upwards_nobody_twice_and_not_without_end() -> None:
    straight = {SUBMITTER: SUPERIOR, SUPERIOR: LATER}
    assert list(superiors_of(SUBMITTER, straight.get)) == [SUPERIOR, LATER]
    for circle, found in (
        ({SUBMITTER: SUBMITTER}, []),
        ({SUBMITTER: SUPERIOR, SUPERIOR: SUBMITTER}, [SUPERIOR]),
        ({SUBMITTER: SUPERIOR, SUPERIOR: LATER, LATER: SUPERIOR}, [SUPERIOR, LATER]),
    ):
        assert list(superiors_of(SUBMITTER, circle.get)) == found
    above = list(superiors_of(uuid.UUID(int=1), lambda user: uuid.UUID(int=user.int + 1)))
    assert len(above) == MAX_SUPERIORS


@pytest.mark.requirement("BI-14")
def test_who_may_act_is_who_of_the_approvers_is_there_else_the_administrators() -> None:
    """Every combination of who is there, against the sentence written down once more."""
    both = ApprovalStep(step=1, part=1, approvers=(SUPERIOR, LATER))
    for away in (set(some) for n in range(5) for some in itertools.combinations([*people, ADMIN, DEPUTY], n)):
        administrators = [user for user in (ADMIN, DEPUTY, SUBMITTER) if user not in away]

        def active(user: uuid.UUID, away: set[uuid.UUID] = away) -> bool:
            return user not in away

        for step in (FIRST, both, replace(FIRST, approvers=())):
            acting = deciders(step, SUBMITTER, active, administrators)
            present = {user for user in step.approvers if user not in away}
            assert acting == (present or {ADMIN, DEPUTY} - away), (step, away)
            for user in [*people, ADMIN, DEPUTY]:
                seen = is_party(SUBMITTER, (step,), user, active, administrators)
                inherits = user in administrators and (SUBMITTER in away or not present)
                assert seen == (user == SUBMITTER or user in step.approvers or inherits), (step, away, user)
        for user in [*people, ADMIN, DEPUTY]:
            inherits = user in administrators and SUBMITTER in away
            assert may_withdraw(SUBMITTER, user, active, administrators) == (user == SUBMITTER or inherits)


@pytest.mark.requirement("BI-14")
def test_the_owner_does_not_decide() -> None:
    for owner in (None, SUBMITTER):
        check_not_owner(owner, SUPERIOR)
    with pytest.raises(OwnApproval):
        check_not_owner(SUPERIOR, SUPERIOR)


@pytest.mark.requirement("BI-15")
def test_what_counts_is_the_same_at_the_approval() -> None:
    submitted = {"sum": "1", "lines": [{"n": 1}], "version": 3, "note": None}
    check_unchanged(submitted, {**submitted, "version": 4}, ("sum", "lines", "note"))
    # A name that one of both lacks is nothing.
    check_unchanged(submitted, {"sum": "1", "lines": [{"n": 1}]}, ("sum", "lines", "note"))
    for changed in ({"sum": "2"}, {"sum": 1}, {"lines": []}, {"note": "x"}):
        with pytest.raises(SnapshotChanged) as refused:
            check_unchanged(submitted, {**submitted, **changed}, ("sum", "lines", "note"))
        assert refused.value.extra == {"differing": list(changed)}


def test_who_decided_sees_it_for_ever_also_when_another_took_the_place() -> None:
    handed_on = replace(FIRST, approvers=(LATER,), decided_by=SUPERIOR)
    seen = [is_party(SUBMITTER, (handed_on,), user, everybody, (ADMIN,)) for user in [*people, ADMIN]]
    assert seen == [True, True, True, False, False]


def test_the_status_after_a_decision() -> None:
    assert (status_after("approve"), status_after("reject")) == ("approved", "rejected")
