"""A scope in hand: whom it reaches, what it refuses, which shape it has."""

import datetime as dt
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_authz import Rule, Scope, TargetOutOfScope, Width
from crm_contracts import Member
from crm_database import SCOPED, UnscopedStatement, query

from .test_organisation import BOSS, FADO, FAR, FIONA, NINA, SOFIA, company
from .world import NOW, Rules, World, oracle, some_members, uid

CUSTOMER = "customers.customer"
customer = sa.Table("customer", sa.MetaData(), sa.Column("id", sa.Uuid), sa.Column("owner_id", sa.Uuid), info=SCOPED)
SECOND = dt.timedelta(seconds=1)


def scope(*rules: Rule, holder: object = NINA, action: str = "read") -> Scope:
    return Scope.of(Rules(holder, *rules), company(), CUSTOMER, action, now=NOW)  # type: ignore[arg-type]


@pytest.mark.requirement("ID-12", "PL-21", "PL-30")
@given(st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_one_row_in_hand_is_reached_as_the_oracle_says(random: Random) -> None:
    world = World(random)
    directory, told = world.directory(), world.told()
    holder = random.choice([*world.user_ids, uid(1999)])
    rules = [world.rule() for _ in range(random.randint(0, 3))]
    for action in ("read", "write", "delete", "transfer", "export"):
        given_scope = Scope.of(Rules(holder, *rules), directory, CUSTOMER, action, now=NOW)  # type: ignore[arg-type]
        for owner in [*world.user_ids, None, uid(1999)]:
            members = some_members(random, world.user_ids)
            record = {
                "owner": owner,
                "members": [{"user": m.user_id, "right": m.right, "expires_at": m.expires_at} for m in members],
            }
            expected = oracle.may_reach(told, [str(rule) for rule in rules], holder, record, action, NOW)
            assert given_scope.reaches(owner, members) == expected, (rules, holder, owner, members, action)


@pytest.mark.requirement("PL-21")
@pytest.mark.parametrize(
    ("action", "right", "expires_at", "reached"),
    [
        ("read", "read", None, True),
        ("read", "write", None, True),
        ("write", "write", None, True),
        ("write", "read", None, False),
        ("delete", "write", None, False),
        ("transfer", "write", None, False),
        ("export", "write", None, False),
        ("read", "read", NOW + SECOND, True),
        ("read", "read", NOW, False),
    ],
)
def test_membership_adds_to_reading_and_writing_until_it_expires(
    action: str, right: str, expires_at: dt.datetime | None, reached: bool
) -> None:
    member = Member(user_id=NINA, right=right, expires_at=expires_at)  # type: ignore[arg-type]
    assert scope(Rule("self"), action=action).reaches(SOFIA, [member]) is reached
    assert not scope(Rule("self"), holder=FADO, action=action).reaches(SOFIA, [member])


@pytest.mark.requirement("ID-12")
def test_who_has_no_rule_reaches_nothing_not_even_what_is_shared() -> None:
    nothing = scope()
    assert nothing.nothing
    assert nothing.shape.width is Width.NOTHING
    assert not nothing.reaches(NINA, [Member(user_id=NINA, right="write")])
    assert not nothing.reaches(None)
    assert "false" in query(sa.select(customer.c.id).where(nothing.predicate(customer))).sql


@pytest.mark.requirement("ID-12")
def test_records_without_owner_are_reached_by_all_only() -> None:
    assert scope(Rule("all")).reaches(None)
    assert not scope(Rule("subordinates"), holder=BOSS).reaches(None)


def test_rules_reach_together() -> None:
    both = scope(Rule("self"), Rule("departments", uid(20)))
    assert both.owners == {NINA, SOFIA}
    assert scope(Rule("self"), Rule("all")).everything


@pytest.mark.requirement("PL-22")
def test_a_record_can_only_go_to_whom_the_scope_reaches() -> None:
    given_scope = scope(Rule("subordinates"), action="transfer")
    given_scope.require_target(FADO)
    for target in (SOFIA, uid(99), None):
        with pytest.raises(TargetOutOfScope) as refused:
            given_scope.require_target(target)
        assert refused.value.status == 403
    scope(Rule("all"), action="transfer").require_target(None)
    with pytest.raises(TargetOutOfScope):
        scope().require_target(NINA)


def test_a_place_claimed_by_a_token_is_not_asked() -> None:
    """The holder's place is the directory's: a scope is built from the user's id and the rules, nothing else of the token."""
    assert scope(Rule("department"), holder=FADO).owners == company().organisation.people_in(FAR)


def test_a_system_scope_reaches_everything_and_says_why() -> None:
    system = Scope.system("recycling runs for the company")
    assert system.everything
    assert system.reaches(None)
    assert system.reason == "recycling runs for the company"
    system.require_target(None)
    with pytest.raises(ValueError, match="says why"):
        Scope.system(" ")


def test_the_shape_tells_few_owners_from_many_and_who_shares() -> None:
    def of(count: int, action: str = "read") -> Scope:
        owners = frozenset(uid(n) for n in range(count))
        return Scope(CUSTOMER, action, False, owners, NINA if action == "read" else None, NOW)  # type: ignore[arg-type]

    assert of(1).shape.width is of(16).shape.width is Width.FEW
    assert of(17).shape.width is Width.MANY
    assert of(3).shape == of(9).shape
    assert of(3).shape != of(3, "delete").shape
    assert scope(Rule("all")).shape.width is Width.EVERYTHING


def test_statements_of_one_shape_have_one_text_whoever_asks() -> None:
    one, other = scope(Rule("self")), scope(Rule("subordinates"), holder=BOSS)
    assert one.shape == other.shape
    texts = {query(sa.select(customer.c.id).where(s.predicate(customer))).sql for s in (one, other)}
    texts |= {query(sa.select(customer.c.id).where(s.open_predicate(customer))).sql for s in (one, other)}
    assert len(texts) == 1


def test_a_kept_statement_has_nobody_s_values_and_refuses_to_run_without() -> None:
    kept = query(sa.select(customer.c.id).where(scope(Rule("self")).open_predicate(customer)))
    with pytest.raises(KeyError):
        kept.arguments({})
    with pytest.raises(KeyError):
        kept.arguments({"limit": 5})
    values = kept.arguments(scope(Rule("self"), holder=FIONA).parameters(customer))
    assert [FIONA] in values
    assert NINA not in values


def test_two_scopes_on_one_table_in_one_statement_keep_their_own_values() -> None:
    read, write = scope(Rule("subordinates")), scope(Rule("self"), action="write")
    other = customer.alias("parent")
    both = query(
        sa.select(customer.c.id, write.predicate(customer).label("editable"))
        .join(other, sa.true())
        .where(read.predicate(customer), write.predicate(customer, other))
    )
    assert both.defaults["scope_write_customer_owners"] == [NINA]
    assert both.defaults["scope_write_parent_owners"] == [NINA]
    assert set(both.defaults["scope_read_customer_owners"]) == set(read.owners)


def test_everything_and_nothing_satisfy_the_net_and_bare_statements_do_not() -> None:
    for given_scope in (scope(Rule("all")), scope(), Scope.system("a test")):
        query(sa.select(customer.c.id).where(given_scope.predicate(customer)))
        query(sa.select(customer.c.id).where(given_scope.open_predicate(customer)))
        assert given_scope.parameters(customer) == {}
        with pytest.raises(ValueError, match="no branches"):
            given_scope.branches(customer)
    with pytest.raises(UnscopedStatement):
        query(sa.select(customer.c.id))
