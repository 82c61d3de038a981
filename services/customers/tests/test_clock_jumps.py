"""The clock of a running service jumps: what ended stays ended, and history stays in its order."""

import datetime as dt

import pytest

from crm_authz import keeper_of
from crm_testing.service import Caller, Running
from crm_web.security import clock_complaint

from .conftest import make_customer

HOUR = dt.timedelta(hours=1)


@pytest.mark.requirement("ID-24")
async def test_a_token_that_ended_is_not_good_again_because_the_clock_is_set_back(
    customers: Running, rep: Caller
) -> None:
    never_used = customers.caller(customers.people.rep)
    assert (await rep("GET", "/customers")).status == 200
    customers.clock.advance(dt.timedelta(seconds=400))
    fresh = customers.caller(customers.people.rep)
    customers.clock.jump(-HOUR)
    for ended in (rep, never_used):
        answer = await ended("GET", "/customers")
        assert (answer.status, answer["code"]) == (401, "token.expired")
    assert (await fresh("GET", "/customers")).status == 200
    complaint = clock_complaint(keeper_of(customers.database))
    assert complaint == "the clock was set back by 3600 s", "so this process is started anew"


@pytest.mark.requirement("PL-23")
async def test_history_is_in_the_order_of_the_versions_whatever_the_clock_said(customers: Running, rep: Caller) -> None:
    made = await make_customer(rep, "Version 1")
    path = f"/customers/{made['id']}"
    for version, jump in enumerate((HOUR, -2 * HOUR, HOUR / 2), start=2):
        customers.clock.jump(jump)
        # A token of the time that really is passes a clock that was set back; one that was set forward wants a newer one.
        caller = rep if jump < HOUR else customers.caller(customers.people.rep)
        changed = await caller("PATCH", path, json={"name": f"Version {version}"}, match=f'"{version - 1}"')
        assert (changed.status, changed["version"]) == (200, version)
    history = await caller.done("GET", f"{path}/history")
    assert [entry["version"] for entry in history["items"]] == [4, 3, 2, 1]
    names = [entry["changes"]["name"]["new"] for entry in history["items"][:3]]
    assert names == ["Version 4", "Version 3", "Version 2"]
    assert [event["version"] for event in await customers.events(subject=made["id"])] == [1, 2, 3, 4]
