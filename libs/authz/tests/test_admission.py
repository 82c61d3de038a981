"""Which verified tokens still count (ID-24)."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from crm_authz import Changes, Directory, DirectoryBehind, Principal, Rule, TokenStale, TokenVerifier, User
from crm_authz.people import Role

from .world import ISSUER, KEY, NOW, issue, role, uid

SECOND = dt.timedelta(seconds=1)
HOLDER, ROLE, SESSION = uid(1000), uid(4001), uid(6)


def principal(**more: Any) -> Principal:
    return TokenVerifier(ISSUER).verify(issue(**more), {KEY.kid: KEY.verifying()}, NOW)


def directory(
    user: User | None = None,
    held: Role | None = None,
    heard_at: dt.datetime | None = NOW,
    ended: dict[Any, dt.datetime] | None = None,
) -> Directory:
    return Directory().with_changes(
        Changes(users=(user or USER,), roles=(held or HELD,), ended_sessions=ended or {}),
        version=1,
        heard_at=heard_at,
        now=NOW,
    )


USER = User(HOLDER, "Holder", "active", uid(2000), role_ids=(ROLE,), epoch=1)
HELD = role(1, [], {}, epoch=1)


def test_a_token_that_agrees_with_the_directory_counts() -> None:
    directory().admit(principal(), NOW)


@pytest.mark.requirement("ID-24", "ID-5")
@pytest.mark.parametrize(
    "known",
    [
        pytest.param(directory(replace(USER, epoch=2)), id="the user's epoch rose"),
        pytest.param(directory(replace(USER, status="dismissed")), id="dismissed"),
        pytest.param(directory(replace(USER, status="inactive")), id="inactive"),
        pytest.param(directory(replace(USER, status="pending_activation")), id="not activated"),
        pytest.param(directory(held=replace(HELD, epoch=2)), id="the role was edited"),
        pytest.param(directory(held=replace(HELD, deleted=True)), id="the role was deleted"),
        pytest.param(directory(replace(USER, role_ids=())), id="the role was taken away"),
        pytest.param(directory(ended={SESSION: NOW + 600 * SECOND}), id="the session ended"),
    ],
)
def test_an_older_token_is_stale(known: Directory) -> None:
    with pytest.raises(TokenStale) as refused:
        known.admit(principal(), NOW)
    assert (refused.value.status, refused.value.code) == (401, "token.stale")


@pytest.mark.requirement("ID-24")
@pytest.mark.parametrize(
    ("known", "more"),
    [
        pytest.param(Directory(heard_at=NOW), {}, id="the user is not known yet"),
        pytest.param(directory(), {"epoch": 2}, id="the user's epoch is newer"),
        pytest.param(directory(), {"role_epochs": {ROLE: 2}}, id="the role's epoch is newer"),
        pytest.param(directory(), {"role_epochs": {ROLE: 1, uid(4002): 1}, "epoch": 2}, id="the role is not known yet"),
        pytest.param(directory(replace(USER, status="inactive")), {"epoch": 2}, id="made active again since"),
    ],
)
def test_a_newer_token_waits_for_the_directory(known: Directory, more: dict[str, Any]) -> None:
    with pytest.raises(DirectoryBehind) as refused:
        known.admit(principal(**more), NOW)
    assert refused.value.status == 503
    assert "Retry-After" in refused.value.headers


@pytest.mark.requirement("ID-24")
def test_what_is_surely_stale_is_said_before_what_is_news() -> None:
    with pytest.raises(TokenStale):
        directory(ended={SESSION: NOW + 600 * SECOND}).admit(principal(epoch=2), NOW)
    with pytest.raises(TokenStale):
        directory(held=replace(HELD, epoch=2)).admit(principal(epoch=2), NOW)


@pytest.mark.requirement("ID-24")
@pytest.mark.parametrize("heard_at", [None, NOW - 30.5 * SECOND])
def test_a_deaf_service_believes_tokens_of_the_last_30_seconds_only(heard_at: dt.datetime | None) -> None:
    known = directory(heard_at=heard_at)
    fresh = replace(principal(), issued_at=NOW - 30 * SECOND)
    known.admit(fresh, NOW)
    assert known.is_deaf(NOW)
    with pytest.raises(TokenStale):
        known.admit(replace(fresh, issued_at=NOW - 31 * SECOND), NOW)
    with pytest.raises(TokenStale):  # No less strict where the user isn't even known.
        Directory(heard_at=heard_at).admit(replace(fresh, issued_at=NOW - 31 * SECOND), NOW)


def test_a_service_that_hears_believes_a_token_for_its_whole_life() -> None:
    known = directory(heard_at=NOW - 30 * SECOND)
    assert not known.is_deaf(NOW)
    known.admit(replace(principal(), issued_at=NOW - 299 * SECOND), NOW)


def test_an_ended_session_is_forgotten_when_its_tokens_are_over() -> None:
    known = directory(ended={SESSION: NOW + 600 * SECOND})
    later = known.with_changes(Changes(), version=2, heard_at=NOW, now=NOW + 599 * SECOND)
    assert SESSION in later.ended_sessions
    later = later.with_changes(Changes(), version=3, heard_at=NOW, now=NOW + 600 * SECOND)
    assert not later.ended_sessions


def test_rights_for_a_job_are_those_of_the_roles_now_and_none_for_who_is_not_active() -> None:
    held = role(1, ["customers.customer:export"], {"customers.*": {"*": Rule("self")}})
    assert directory(held=held).grants_of(HOLDER).allows("customers.customer:export")
    assert not directory(replace(USER, status="dismissed"), held).grants_of(HOLDER).allows("customers.customer:export")
    assert not directory(held=replace(held, deleted=True)).grants_of(HOLDER).allows("customers.customer:export")
    assert not directory(held=held).grants_of(uid(99)).allows("customers.customer:export")
    assert directory(replace(USER, super_admin=True)).grants_of(HOLDER).allows("billing.invoice:approve")
