"""Each guard is taken out inside a test, and the suite that should notice must fail: else its passing means nothing."""

from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from crm_authz import Scope, admission, predicate, reactions, scope, strict_json, tokens
from crm_authz.organisation import EVERYBODY, Organisation
from crm_database import Database, ScopeMark
from crm_testing.servers import MakeDatabase

from . import test_admission, test_keeper, test_organisation, test_scope, test_scope_sql, test_tokens
from .world import KEY, NOW, migrated, uid

SEEDS = 200


def notices(check: Callable[..., Any], *cases: Any) -> bool:
    """Whether a test fails for one of the cases."""
    for case in cases:
        try:
            check(case)
        except (AssertionError, pytest.fail.Exception):
            return True
    return False


def of_property(test: Any) -> Callable[[int], None]:
    """A property-based test as a check of one seed."""
    return lambda seed: test.hypothesis.inner_test(Random(seed))


SCOPES_AGREE = of_property(
    test_organisation.test_scopes_agree_with_the_oracle_on_random_organisations_and_after_every_move
)
ROWS_AGREE = of_property(test_scope.test_one_row_in_hand_is_reached_as_the_oracle_says)


@pytest.fixture
async def database(make_database: MakeDatabase) -> AsyncIterator[Database]:
    async with migrated(make_database()) as opened:
        async with opened.write(test_scope_sql.WRITE) as session:
            await session.connection.execute("CREATE TABLE customer (id uuid PRIMARY KEY, owner_id uuid)")
        yield opened


def test_with_all_guards_in_place_nothing_is_noticed() -> None:
    assert not notices(SCOPES_AGREE, *range(20))
    assert not notices(ROWS_AGREE, *range(20))
    assert not notices(test_tokens.test_an_attack_is_refused, *test_tokens.ATTACKS)


# Data scope


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("_peers", lambda self, user: self._reports.get(user.superior_id, frozenset()) | {user.id}),
        ("_peers", lambda self, user: frozenset({user.id})),
        ("_subordinates", lambda self, user_id: self._reports.get(user_id, frozenset()) | {user_id}),
        ("_people_in_tree", lambda self, department_id: self.people_in(department_id)),
        ("_chosen", lambda self, rule, user_id: frozenset({user_id})),
        ("_people_chosen", lambda self, chosen: self._people_of(chosen.departments | chosen.subtrees)),
    ],
)
def test_a_wrong_scope_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str, broken: Any) -> None:
    monkeypatch.setattr(Organisation, name, broken)
    assert notices(SCOPES_AGREE, *range(SEEDS))


def test_reaches_that_are_kept_after_a_move_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Organisation.moved

    def keeping(self: Organisation, *changed: Any) -> Organisation:
        now = moved(self, *changed)
        now._remembered = self._remembered
        return now

    monkeypatch.setattr(Organisation, "moved", keeping)
    assert notices(SCOPES_AGREE, *range(SEEDS))


@pytest.mark.parametrize("broken", ["expiry", "right", "action", "holder"])
def test_a_missing_check_of_a_membership_in_hand_is_noticed(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def counts(self: Scope, member: Any) -> bool:
        return (
            (broken == "holder" or member.user_id == self.member_of)
            and (broken == "right" or self.action != "write" or member.right == "write")
            and (broken == "expiry" or member.expires_at is None or member.expires_at > self.now)
        )

    monkeypatch.setattr(Scope, "_counts", counts)
    if broken == "action":
        monkeypatch.setattr(scope, "_SHARED", frozenset({"read", "write", "delete", "transfer", "export"}))
    assert notices(ROWS_AGREE, *range(SEEDS))


def _without_expiry(selected: Any, record_type: str, action: str, binds: Any) -> Any:
    return _shared(selected, action, binds, record_type, expiry=False)


def _without_right(selected: Any, record_type: str, action: str, binds: Any) -> Any:
    return _shared(selected, "read", binds, record_type)


def _without_record_type(selected: Any, record_type: str, action: str, binds: Any) -> Any:
    return _shared(selected, action, binds, None)


def _shared(selected: Any, action: str, binds: Any, record_type: str | None, *, expiry: bool = True) -> Any:
    member = predicate.record_member.c
    found = sa.select(member.record_id).where(member.user_id == binds("member", sa.Uuid()))
    if record_type is not None:
        found = found.where(member.record_type == record_type)
    if expiry:
        found = found.where(sa.or_(member.expires_at.is_(None), member.expires_at > binds("now", predicate.INSTANT)))
    if action == "write":
        found = found.where(member.right == "write")
    return selected.c.id == sa.func.any(sa.func.array(found.scalar_subquery(), type_=predicate.IDS))


@pytest.mark.parametrize("broken", [_without_expiry, _without_right, _without_record_type])
async def test_a_missing_check_of_memberships_in_sql_is_noticed(
    monkeypatch: pytest.MonkeyPatch, database: Database, broken: Any
) -> None:
    monkeypatch.setattr(scope, "shared_with", broken)
    monkeypatch.setattr(predicate, "shared_with", broken)
    with pytest.raises(AssertionError):
        await test_scope_sql.test_the_database_gives_the_rows_that_the_oracle_names(database)


@pytest.mark.parametrize(
    "broken",
    [
        lambda self, table, alias, values: ScopeMark(table, sa.true()),
        # "Never no filter": an empty scope that filters nothing.
        lambda self, table, alias, values: (
            ScopeMark(table, sa.true()) if self.nothing else WHOLE(self, table, alias, values)
        ),
    ],
)
async def test_a_missing_predicate_is_noticed(monkeypatch: pytest.MonkeyPatch, database: Database, broken: Any) -> None:
    monkeypatch.setattr(Scope, "_predicate", broken)
    with pytest.raises(AssertionError):
        await test_scope_sql.test_the_database_gives_the_rows_that_the_oracle_names(database)


WHOLE = Scope._predicate


async def test_branches_that_are_not_disjoint_are_noticed(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    whole = predicate.branches

    def doubling(table: Any, selected: Any, record_type: str, action: Any, binds: Any, *, members: bool) -> Any:
        found = whole(table, selected, record_type, action, binds, members=members)
        if found.shared is None:
            return found
        shared = ScopeMark(table, predicate.shared_with(selected, record_type, action, binds))
        return predicate.Branches(found.owners, found.owned, shared)

    monkeypatch.setattr(scope, "branches", doubling)
    with pytest.raises(AssertionError):
        await test_scope_sql.test_the_database_gives_the_rows_that_the_oracle_names(database)


def test_a_target_that_is_not_checked_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "require_target", lambda self, owner_id: None)
    assert notices(lambda _: test_scope.test_a_record_can_only_go_to_whom_the_scope_reaches(), None)


def test_an_all_that_is_given_to_anybody_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Organisation, "owners", lambda self, rule, user_id: EVERYBODY)
    assert notices(ROWS_AGREE, *range(SEEDS))


# Tokens that no longer count

STALE = [case.values[0] for case in test_admission.test_an_older_token_is_stale.pytestmark[0].args[1]]


def test_each_ground_for_staleness_is_noticed_when_it_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_is_stale", lambda *_: False)
    for known in STALE:
        assert notices(test_admission.test_an_older_token_is_stale, known)


def test_a_service_that_does_not_know_it_is_deaf_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "is_deaf", lambda known, now: False)
    assert notices(test_admission.test_a_deaf_service_believes_tokens_of_the_last_30_seconds_only, None)


async def test_events_that_overwrite_newer_ones_are_noticed(
    monkeypatch: pytest.MonkeyPatch, make_database: MakeDatabase
) -> None:
    broken = {}
    for topic, upsert in reactions._UPSERTS.items():
        sql, removed, _ = upsert.sql.rpartition(" WHERE ")
        assert removed
        broken[topic] = type(upsert)(sql, upsert.names, upsert.defaults)
    monkeypatch.setattr(reactions, "_UPSERTS", broken)
    async with migrated(make_database()) as opened:
        with pytest.raises(AssertionError):
            await test_keeper.test_events_may_come_twice_and_late_and_in_any_order_across_records(opened)


# Tokens that never counted


def _unverified(token: str, *_: Any, **__: Any) -> Any:
    class Believed:
        payload = tokens.urlsafe_b64decode(token.split(".")[1] + "==")

    return Believed


def _any_header(header: Any, keys: Any, now: Any) -> Any:
    return keys.get(KEY.kid)


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        (tokens.jws, "deserialize_compact", _unverified),
        (tokens, "_key_for", _any_header),
        (tokens.TokenVerifier, "_check_purpose", lambda self, claims: None),
        (tokens, "_check_times", lambda claims, now: int(claims["exp"])),
        (strict_json, "_unique", dict),
        (tokens, "LONGEST_LIFE", 10**9),
        (tokens, "LEEWAY", 3600),
        (tokens.Principal, "read", classmethod(lambda cls, claims: uid(1))),
    ],
)
def test_each_check_of_a_token_is_noticed_when_it_is_taken_out(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, broken: Any
) -> None:
    monkeypatch.setattr(where, name, broken)
    accepted = []
    for attack, token in test_tokens.ATTACKS.items():
        try:
            test_tokens.verify(token, NOW)
        except Exception:  # Whatever else a broken verifier does, it is not letting in.
            continue
        accepted.append(attack)
    assert accepted
