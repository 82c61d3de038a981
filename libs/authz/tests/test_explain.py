"""Why somebody may or may not (ID-16): the explanation decides as the scope and the permissions do."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_authz import Changes, Directory, Rule, Scope, action_class, explain
from crm_contracts import Member

from .test_organisation import BOSS, FADO, NINA, SOFIA, company
from .world import NOW, World, role, some_members, uid

CUSTOMER = "customers.customer"
SALES = role(1, ["customers.customer:read", "customers.customer:update"], {"customers.*": {"*": Rule("self")}})
LEAD = role(2, ["customers.customer:read"], {"customers.customer": {"read": Rule("subordinates")}})
AUDIT = role(3, ["customers.customer:export"], {})


def world() -> Directory:
    """Nina sells and leads, Fado sells; Sofia has a role without any scope."""
    known = company()
    users = (
        replace(known.users[NINA], role_ids=(SALES.id, LEAD.id)),
        replace(known.users[FADO], role_ids=(SALES.id,)),
        replace(known.users[SOFIA], role_ids=(AUDIT.id,)),
    )
    return known.with_changes(Changes(users=users, roles=(SALES, LEAD, AUDIT)), version=2, heard_at=NOW, now=NOW)


@pytest.mark.requirement("ID-16")
def test_the_rule_and_role_that_reach_are_named() -> None:
    found = explain(world(), NINA, CUSTOMER, "read", owner_id=FADO, now=NOW)
    assert (found.allowed, found.decided_by, found.missing) == (True, "scope", None)
    assert [(grounds.role_id, grounds.rule) for grounds in found.scopes] == [(LEAD.id, "subordinates")]
    assert found.granted_by == ("Role 1", "Role 2")


@pytest.mark.requirement("ID-16")
def test_the_missing_piece_is_named() -> None:
    deleting = explain(world(), NINA, CUSTOMER, "delete", owner_id=NINA, now=NOW)
    assert (deleting.allowed, deleting.decided_by, deleting.missing) == (
        False,
        "permission",
        "customers.customer:delete",
    )
    editing = explain(world(), NINA, CUSTOMER, "update", owner_id=FADO, now=NOW)
    assert (editing.allowed, editing.decided_by, editing.missing) == (False, "scope", "customers.customer:write")
    assert [grounds.rule for grounds in editing.rules] == ["self"]
    unknown = explain(world(), uid(99), CUSTOMER, "read", owner_id=NINA, now=NOW)
    assert (unknown.allowed, unknown.decided_by) == (False, "status")


@pytest.mark.requirement("ID-16", "PL-21")
def test_a_membership_that_lets_somebody_in_is_named() -> None:
    member = Member(user_id=FADO, right="read")
    found = explain(world(), FADO, CUSTOMER, "read", owner_id=SOFIA, members=[member], now=NOW)
    assert (found.allowed, found.decided_by, found.membership) == (True, "membership", member)
    assert not explain(world(), FADO, CUSTOMER, "update", owner_id=SOFIA, members=[member], now=NOW).allowed
    scopeless = Member(user_id=SOFIA, right="write")
    assert not explain(world(), SOFIA, CUSTOMER, "export", owner_id=FADO, members=[scopeless], now=NOW).allowed


@pytest.mark.requirement("ID-16", "ID-1")
def test_a_super_administrator_may_without_any_role() -> None:
    found = explain(world(), BOSS, CUSTOMER, "transfer", owner_id=None, now=NOW)
    assert found.allowed
    assert [grounds.role_id for grounds in found.scopes] == [None]


@pytest.mark.requirement("ID-16")
@given(st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_the_explanation_never_says_otherwise_than_the_decision(random: Random) -> None:
    world = World(random)
    rules = [world.rule() for _ in range(3)]
    roles = tuple(
        role(n, random.sample([f"{CUSTOMER}:read", f"{CUSTOMER}:update", "*"], k=1), {CUSTOMER: {"*": rule}})
        for n, rule in enumerate(rules)
    )
    world.users = [
        replace(user, role_ids=tuple(random.sample([r.id for r in roles], k=random.randint(0, 3))))
        for user in world.users
    ]
    directory = world.directory(roles=roles)
    for holder in world.user_ids:
        held = directory.grants_of(holder)
        for action in ("read", "update", "delete", "transfer"):
            scope = Scope.of(held, directory, CUSTOMER, action_class(action), now=NOW)
            owner = random.choice([None, *world.user_ids])
            members = some_members(random, world.user_ids)
            allowed = held.allows(f"{CUSTOMER}:{action}") and scope.reaches(owner, members)
            found = explain(directory, holder, CUSTOMER, action, owner_id=owner, members=members, now=NOW)
            assert found.allowed == allowed
            assert (found.missing is None) == allowed
