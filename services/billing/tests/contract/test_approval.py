"""Contracts are submitted, approved or sent back, and only then count."""

import asyncio
import datetime as dt

import pytest
from services.billing.tests.conftest import (
    activate,
    amounts,
    decide,
    draft,
    make_customer,
    make_product,
    part,
    plan,
    submit,
    usd,
    waiting_for,
)

from crm_contracts.billing import ContractApproved, ContractTerminated
from crm_database import WriteContext
from crm_testing.service import Caller, Running


@pytest.mark.requirement("BI-2", "BI-4", "BI-15")
async def test_an_approved_contract_is_active_and_its_instalments_count(
    billing: Running, rep: Caller, manager: Caller, customer: str
) -> None:
    made = await draft(rep, customer)
    assert (await plan(rep, made["id"], part("400.00", "2026-11-22"), part("600.00"))).status == 200
    path = f"/contracts/{made['id']}"
    submitted = await submit(rep, made["id"], " Please ")
    assert submitted["status"] == "in_approval"
    views = (await rep.done("GET", f"{path}/instalments"))["items"]
    assert [one["status"] for one in views] == ["waiting", "waiting"]
    before = await rep.done("GET", f"{path}/balance")
    assert amounts(before) == {
        "contract": "0.00",
        "planned": "0.00",
        "received": "0.00",
        "open": "0.00",
        "pending": "0.00",
    }
    (waiting,) = await waiting_for(manager)
    approval = await manager.done("GET", f"/approvals/{waiting['id']}")
    assert (approval["comment"], approval["title"]) == ("Please", f"{made['number']} A contract")
    frozen = approval["snapshot"]
    assert (frozen["value"], frozen["customer"]["name"]) == (usd("1000.00"), "주식회사 예시")
    assert [one["amount"]["amount"] for one in frozen["instalments"]] == ["400.00", "600.00"]
    assert (frozen["status"], frozen["version"]) == ("in_approval", submitted["version"])

    assert (await decide(manager, made["id"])).status == 200
    shown = await rep.done("GET", path)
    assert (shown["status"], shown["last_decision"]) == ("active", "approved")
    (event,) = await billing.events("crm.billing.contract.approved.v1", made["id"])
    told = ContractApproved.model_validate(event["data"])
    assert (str(told.approval_id), told.state.status) == (waiting["id"], "active")
    assert told.actor.id == billing.people.manager.id
    assert told.credit is not None
    assert told.credit.user_id == billing.people.rep.id

    after = await rep.done("GET", f"{path}/balance")
    assert amounts(after) == {
        "contract": "1000.00",
        "planned": "1000.00",
        "received": "0.00",
        "open": "1000.00",
        "pending": "0.00",
    }
    # It is 23 November in Seoul.
    assert [one["status"] for one in after["instalments"]] == ["overdue", "waiting"]
    entries = (await rep.done("GET", f"{path}/ledger"))["items"]
    assert [(one["position"], one["kind"], one["amount"]["amount"]) for one in entries] == [
        (1, "planned", "400.00"),
        (2, "planned", "600.00"),
    ]
    assert {(one["debit_account"], one["credit_account"]) for one in entries} == {("open", "contracted")}


@pytest.mark.requirement("AN-6")
async def test_the_day_of_an_approval_is_the_companys(billing: Running, customer: str) -> None:
    # 16:00 of the 23rd in UTC is the 24th in Seoul.
    billing.clock.advance(dt.timedelta(hours=13))
    rep, manager = (billing.caller(one) for one in (billing.people.rep, billing.people.manager))
    made = await draft(rep, customer)
    await submit(rep, made["id"])
    assert (await decide(manager, made["id"])).status == 200
    (event,) = await billing.events("crm.billing.contract.approved.v1", made["id"])
    assert ContractApproved.model_validate(event["data"]).approved_on == dt.date(2026, 11, 24)


@pytest.mark.requirement("BI-20")
async def test_the_plan_comes_to_the_value_when_it_is_submitted(rep: Caller, manager: Caller, customer: str) -> None:
    made = await draft(rep, customer)
    await plan(rep, made["id"], part("999.99"))
    refused = await rep("POST", f"/contracts/{made['id']}/submit", json={})
    assert (refused.status, refused.codes) == (422, [("/instalments", "instalments.sum")])
    assert (await rep.done("GET", f"/contracts/{made['id']}"))["status"] == "draft"
    assert await waiting_for(manager) == []
    await plan(rep, made["id"])
    submitted = await submit(rep, made["id"])
    (only,) = submitted["instalments"]
    assert (only["amount"], only["due_on"]) == (usd("1000.00"), "2026-11-23")


async def test_a_contract_without_a_value_is_not_submitted(rep: Caller, customer: str) -> None:
    for value in (None, "0.00"):
        made = await draft(rep, customer, value)
        refused = await rep("POST", f"/contracts/{made['id']}/submit", json={})
        assert (refused.status, refused["code"]) == (422, "contract.value_missing")


@pytest.mark.requirement("BI-2", "BI-14")
async def test_what_is_rejected_or_withdrawn_is_a_draft_again(
    billing: Running, rep: Caller, manager: Caller, colleague: Caller, customer: str
) -> None:
    made = await draft(rep, customer)
    path = f"/contracts/{made['id']}"
    await submit(rep, made["id"])
    assert (await decide(manager, made["id"], "reject")).status == 422
    assert (await decide(manager, made["id"], "reject", "Too cheap")).status == 200
    shown = await rep.done("GET", path)
    assert (shown["status"], shown["last_decision"]) == ("draft", "rejected")
    changed = await rep.done("PATCH", path, json={"value": usd("1200.00")})
    await plan(rep, made["id"])
    again = await submit(rep, made["id"])
    assert again["last_decision"] is None
    # Others than who submitted: unseen, or not theirs to withdraw.
    assert (await colleague("POST", f"{path}/withdraw")).status == 404
    refused = await manager("POST", f"{path}/withdraw")
    assert (refused.status, refused["code"]) == (403, "approval.not_submitter")
    stale = await rep("POST", f"{path}/withdraw", match=f'"{changed["version"]}"')
    assert stale.status == 412
    withdrawn = await rep.done("POST", f"{path}/withdraw", match=f'"{again["version"]}"')
    assert (withdrawn["status"], withdrawn["last_decision"]) == ("draft", "withdrawn")
    refused = await rep("POST", f"{path}/withdraw")
    assert (refused.status, refused["code"]) == (409, "approval.not_pending")
    assert await billing.rows("SELECT 1 FROM ledger_entry") == []


@pytest.mark.requirement("BI-14", "BI-24")
async def test_of_two_decisions_at_once_one_counts(
    billing: Running, rep: Caller, manager: Caller, customer: str
) -> None:
    made = await draft(rep, customer)
    await submit(rep, made["id"])
    (waiting,) = await waiting_for(manager)
    answers = await asyncio.gather(
        *(
            manager("POST", f"/approvals/{waiting['id']}/{verb}", json={"comment": "So"})
            for verb in ("approve", "reject") * 2
        )
    )
    assert sorted(one.status for one in answers) == [200, 409, 409, 409]
    shown = await rep.done("GET", f"/contracts/{made['id']}")
    entries = await billing.rows("SELECT amount_minor FROM ledger_entry")
    assert [row[0] for row in entries] == ([100_000] if shown["status"] == "active" else [])


@pytest.mark.requirement("BI-20", "BI-24")
async def test_an_active_plan_changes_with_a_permission_of_its_own_and_keeps_the_sum(
    rep: Caller, manager: Caller, customer: str
) -> None:
    made = await activate(rep, manager, customer, part("400.00"), part("600.00"))
    first, second = made["instalments"]
    wanted = [part("250.00", id=first["id"]), part("750.00", "2027-01-31")]
    refused = await plan(rep, made["id"], *wanted)
    assert (refused.status, refused["code"]) == (403, "permission.missing")
    refused = await plan(manager, made["id"], part("999.00"))
    assert (refused.status, refused["code"]) == (422, "instalments.sum")
    after = await plan(manager, made["id"], *wanted)
    assert [one["amount"]["amount"] for one in after["instalments"]] == ["250.00", "750.00"]
    assert after["instalments"][0]["id"] == first["id"]
    path = f"/contracts/{made['id']}"
    balance = await rep.done("GET", f"{path}/balance")
    assert amounts(balance) == {
        "contract": "1000.00",
        "planned": "1000.00",
        "received": "0.00",
        "open": "1000.00",
        "pending": "0.00",
    }
    entries = (await rep.done("GET", f"{path}/ledger"))["items"]
    assert [(one["kind"], one["instalment_id"], one["amount"]["amount"]) for one in entries[2:]] == [
        ("unplanned", first["id"], "150.00"),
        ("unplanned", second["id"], "600.00"),
        ("planned", after["instalments"][1]["id"], "750.00"),
    ]
    # The same plan again is no change.
    same = await plan(
        manager, made["id"], *[{k: v for k, v in one.items() if k != "number"} for one in after["instalments"]]
    )
    assert same["version"] == after["version"]


@pytest.mark.requirement("BI-1", "BI-24")
async def test_a_terminated_contract_asks_for_nothing_more(
    billing: Running, rep: Caller, manager: Caller, customer: str
) -> None:
    made = await activate(rep, manager, customer, part("400.00"), part("600.00"))
    path = f"/contracts/{made['id']}"
    assert (await rep("POST", f"{path}/terminate", json={"reason": "Moved away"})).status == 403
    ended = await manager.done("POST", f"{path}/terminate", json={"reason": "Moved away"})
    assert (ended["status"], ended["end_reason"]) == ("terminated", "Moved away")
    (event,) = await billing.events("crm.billing.contract.terminated.v1", made["id"])
    assert ContractTerminated.model_validate(event["data"]).state.end_reason == "Moved away"
    balance = await rep.done("GET", f"{path}/balance")
    assert amounts(balance) == {
        "contract": "0.00",
        "planned": "0.00",
        "received": "0.00",
        "open": "0.00",
        "pending": "0.00",
    }
    assert {one["status"] for one in balance["instalments"]} == {"void"}
    again = await manager("POST", f"{path}/terminate", json={"reason": "Moved away"})
    assert (again.status, again["code"]) == (409, "contract.not_active")
    for method, target, body in (
        ("PATCH", path, {"name": "Other"}),
        ("PUT", f"{path}/instalments", {"instalments": []}),
    ):
        refused = await manager(method, target, json=body)
        assert (refused.status, refused["code"]) == (409, "contract.not_draft")


async def test_whose_contract_it_is_not_sees_neither_balance_nor_ledger_nor_plan(
    rep: Caller, manager: Caller, colleague: Caller, customer: str
) -> None:
    made = await activate(rep, manager, customer)
    for part_of_it in ("balance", "ledger", "instalments"):
        assert (await colleague("GET", f"/contracts/{made['id']}/{part_of_it}")).status == 404


@pytest.mark.requirement("BI-14")
async def test_nobody_approves_their_own_contract_by_having_somebody_else_submit_it(
    billing: Running, rep: Caller, manager: Caller, executive: Caller
) -> None:
    own = await make_customer(billing, billing.people.manager)
    made = await draft(manager, own)
    path = f"/contracts/{made['id']}"
    await manager.done("PUT", f"{path}/members/{billing.people.rep.id}", json={"right": "write"})
    await submit(rep, made["id"])
    # The representative's superior is whose contract it is: the next above decides.
    assert await waiting_for(manager) == []
    assert (await decide(executive, made["id"])).status == 200
    assert (await rep.done("GET", path))["status"] == "active"


@pytest.mark.requirement("BI-14")
@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_nobody_decides_on_a_contract_that_was_handed_to_them_while_it_waits(
    billing: Running, rep: Caller, manager: Caller, executive: Caller, customer: str, verb: str
) -> None:
    made = await draft(rep, customer)
    path = f"/contracts/{made['id']}"
    await submit(rep, made["id"])
    people = billing.people
    # Who leaves hands over what waits, too; the transfer is allowed, and the decision is refused.
    moved = await manager.done("POST", f"{path}/transfer", json={"to_user_id": str(people.manager.id)})
    assert (moved["status"], moved["owner_id"]) == ("in_approval", str(people.manager.id))
    refused = await decide(manager, made["id"], verb, "Mine")
    assert (refused.status, refused["code"]) == (403, "approval.own")
    (waiting,) = await waiting_for(manager)
    # Who submitted it takes it back, and whose it is now submits it again.
    assert (await rep.done("POST", f"/approvals/{waiting['id']}/withdraw"))["status"] == "withdrawn"
    await submit(manager, made["id"])
    assert (await decide(executive, made["id"], verb, "Why not")).status == 200
    # Handed on to somebody else, it is decided as ever.
    second = await draft(rep, customer)
    await submit(rep, second["id"])
    body = {"to_user_id": str(people.colleague.id)}
    await manager.done("POST", f"/contracts/{second['id']}/transfer", json=body)
    assert (await decide(manager, second["id"], verb, "Why not")).status == 200


@pytest.mark.requirement("BI-15")
@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ("UPDATE contract SET value_minor = value_minor * 10", "value"),
        ("UPDATE contract SET value_currency = 'EUR'", "value"),
        ("UPDATE contract SET customer_id = uuidv7()", "customer_id"),
        ("UPDATE contract SET ends_on = '2030-01-01'", "ends_on"),
        ("UPDATE contract SET payment_terms = 'Never'", "payment_terms"),
        ("UPDATE contract_line SET discount = 90", "lines"),
        ("UPDATE contract_instalment SET due_on = '2030-01-01' WHERE number = 1", "instalments"),
    ],
)
async def test_a_contract_that_is_not_what_was_submitted_is_not_approved(
    billing: Running, rep: Caller, manager: Caller, customer: str, changed: str, name: str
) -> None:
    lines = [{"product_id": await make_product(billing), "quantity": "2"}]
    made = await draft(rep, customer, None, lines=lines)
    await submit(rep, made["id"])
    async with billing.database.write(WriteContext(now=billing.clock.now())) as session:
        await session.connection.execute(changed)
    refused = await decide(manager, made["id"])
    assert (refused.status, refused["code"], refused["differing"]) == (409, "approval.snapshot_changed", [name])
    assert await billing.rows("SELECT 1 FROM ledger_entry") == []
    (waiting,) = await waiting_for(manager)
    assert (await rep.done("POST", f"/approvals/{waiting['id']}/withdraw"))["status"] == "withdrawn"
