"""Payments are recorded, approved, and only then counted."""

import asyncio
from typing import Any

import pytest
from services.billing.tests.conftest import (
    activate,
    amounts,
    decide,
    draft,
    make_product,
    part,
    pay,
    plan,
    submit,
    usd,
    waiting_for,
)

from crm_contracts.billing import PaymentApproved
from crm_database import WriteContext
from crm_testing.service import Caller, Running


@pytest.mark.requirement("BI-21", "BI-24")
async def test_an_approved_payment_counts_and_a_pending_one_does_not(
    billing: Running, rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer, part("400.00", "2026-11-22"), part("600.00"))
    path = f"/contracts/{contract['id']}"
    made = await pay(collector, contract["id"], "500.00", reference="E2E 1")
    assert (made.status, made["number"][:9], made["status"]) == (201, "PAY-2611-", "pending")
    assert [one["amount"]["amount"] for one in made["allocations"]] == ["400.00", "100.00"]
    before = await rep.done("GET", f"{path}/balance")
    assert amounts(before) == {
        "contract": "1000.00",
        "planned": "1000.00",
        "received": "0.00",
        "open": "1000.00",
        "pending": "500.00",
    }
    assert [one["status"] for one in before["instalments"]] == ["overdue", "waiting"]
    (waiting,) = await waiting_for(manager)
    snapshot = (await manager.done("GET", f"/approvals/{waiting['id']}"))["snapshot"]
    assert (snapshot["contract"]["number"], snapshot["amount"]) == (contract["number"], usd("500.00"))

    assert (await decide(manager, made["id"])).status == 200
    after = await rep.done("GET", f"{path}/balance")
    assert amounts(after) == {
        "contract": "1000.00",
        "planned": "1000.00",
        "received": "500.00",
        "open": "500.00",
        "pending": "0.00",
    }
    assert [one["status"] for one in after["instalments"]] == ["paid", "part_paid"]
    (event,) = await billing.events("crm.billing.payment.approved.v1", made["id"])
    told = PaymentApproved.model_validate(event["data"])
    assert (str(told.approval_id), told.state.status) == (waiting["id"], "approved")
    assert [one.amount.amount for one in told.state.allocations] == ["400.00", "100.00"]
    assert told.paid_for is not None
    assert (str(told.paid_for.customer_id), told.paid_for.products) == (customer, [])
    entries = (await rep.done("GET", f"{path}/ledger"))["items"][2:]
    assert [(one["kind"], one["debit_account"], one["credit_account"], one["payment_id"]) for one in entries] == [
        ("paid", "received", "open", made["id"])
    ] * 2
    assert (await collector.done("GET", f"/payments/{made['id']}"))["status"] == "approved"


@pytest.mark.requirement("AN-6")
async def test_an_approved_payment_is_credited_to_whose_contract_it_is_and_says_for_which_products(
    billing: Running, rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    first, second = await make_product(billing, "A", "100.00"), await make_product(billing, "B", "50.00")
    lines = [
        {"product_id": first, "quantity": "1", "tax_percent": "10"},
        {"product_id": second, "quantity": "2"},
        {"product_id": first, "quantity": "1"},
    ]
    made = await draft(rep, customer, None, lines=lines)
    await submit(rep, made["id"])
    assert (await decide(manager, made["id"])).status == 200
    owners = []
    for owner in (billing.people.rep, billing.people.manager, None):
        if owner is None:
            async with billing.database.write(WriteContext(now=billing.clock.now())) as session:
                await session.connection.execute("UPDATE contract SET owner_id = NULL")
        elif owner is not billing.people.rep:
            await manager.done("POST", f"/contracts/{made['id']}/transfer", json={"to_user_id": str(owner.id)})
        paid = await pay(collector, made["id"], "30.00")
        assert (await decide(manager, paid["id"])).status == 200
        (event,) = await billing.events("crm.billing.payment.approved.v1", paid["id"])
        told = PaymentApproved.model_validate(event["data"])
        owners.append(told.credit and told.credit.user_id)
        assert told.paid_for is not None
        totals = [(str(one.product_id), one.total.amount) for one in told.paid_for.products]
        assert totals == [(first, "210.00"), (second, "100.00")]
    # Never who recorded it; nobody's contract is to nobody's credit.
    assert owners == [billing.people.rep.id, billing.people.manager.id, None]


@pytest.mark.requirement("BI-21")
async def test_no_more_is_recorded_than_is_open_pending_payments_counting(
    rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer)
    (only,) = contract["instalments"]
    first = await pay(collector, contract["id"], "600.00")
    for more in ({}, {"allocations": [{"instalment_id": only["id"], "amount": usd("400.01")}]}):
        refused = await pay(collector, contract["id"], "400.01", **more)
        assert (refused.status, refused["code"]) == (409, "payment.exceeds_open")
    assert (await pay(collector, contract["id"], "400.00")).status == 201
    # What is rejected makes room again.
    assert (await decide(manager, first["id"], "reject", "It never came")).status == 200
    assert (await pay(collector, contract["id"], "600.00")).status == 201


@pytest.mark.requirement("BI-21")
async def test_what_is_recorded_makes_sense(rep: Caller, manager: Caller, collector: Caller, customer: str) -> None:
    contract = await activate(rep, manager, customer)
    unapproved = await draft(rep, customer)
    (only,) = contract["instalments"]
    eur = {"amount": "5.00", "currency": "EUR"}
    cases = [
        ({"amount": usd("0.00")}, 422, "request.invalid"),
        ({"amount": eur}, 422, "payment.amount"),
        ({"paid_on": "2026-11-24"}, 422, "record.occurred_in_future"),
        ({"contract_id": customer}, 422, "payment.contract_unknown"),
        ({"contract_id": unapproved["id"]}, 409, "contract.not_active"),
        ({"allocations": [{"instalment_id": only["id"], "amount": eur}]}, 422, "payment.amount"),
        ({"allocations": [{"instalment_id": only["id"], "amount": usd("4.00")}]}, 422, "payment.allocation"),
    ]
    for changed, status, code in cases:
        body = {"contract_id": contract["id"], "amount": usd("5.00"), "paid_on": "2026-11-23", **changed}
        refused = await collector("POST", "/payments", json=body)
        assert (refused.status, refused["code"]) == (status, code), changed
    assert (await pay(rep, contract["id"], "5.00")).status == 403


@pytest.mark.requirement("BI-21")
async def test_a_recorded_payment_never_changes(
    rep: Caller, manager: Caller, collector: Caller, admin: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer)
    made = await pay(collector, contract["id"], "5.00")
    path = f"/payments/{made['id']}"
    (only,) = made["allocations"]
    for body in (
        {"amount": usd("6.00")},
        {"reference": "x"},
        {"allocations": [{**only, "amount": usd("4.00")}]},
        {"allocations": [only, only]},
        {"allocations": [{**only, "instalment_id": contract["id"]}]},
    ):
        refused = await admin("PATCH", path, json=body)
        assert (refused.status, refused["code"]) == (409, "payment.fixed"), body
    for body in ({"amount": usd("5.00")}, {"allocations": made["allocations"], "external_ref": None}):
        assert (await admin("PATCH", path, json=body))["version"] == made["version"]
    assert (await admin("DELETE", path))["code"] == "payment.fixed"
    (approval,) = await waiting_for(manager)
    await collector.done("POST", f"/approvals/{approval['id']}/withdraw")
    assert (await collector.done("GET", path))["status"] == "withdrawn"
    assert (await admin("DELETE", path)).status == 200


@pytest.mark.requirement("BI-20", "BI-24")
async def test_no_plan_falls_below_what_payments_are_for(
    rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer, part("400.00"), part("600.00"))
    first, second = contract["instalments"]
    await pay(
        collector, contract["id"], "300.00", allocations=[{"instalment_id": first["id"], "amount": usd("300.00")}]
    )
    for wanted in ([part("299.99", id=first["id"]), part("700.01", id=second["id"])], [part("1000.00")]):
        refused = await plan(manager, contract["id"], *wanted)
        assert (refused.status, refused["code"]) == (409, "instalments.paid")
    fits = [part("300.00", id=first["id"]), part("700.00", id=second["id"])]
    assert (await plan(manager, contract["id"], *fits)).status == 200


@pytest.mark.requirement("BI-24")
async def test_a_payment_that_waits_is_not_approved_once_the_contract_has_ended(
    rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer)
    done = await pay(collector, contract["id"], "300.00")
    assert (await decide(manager, done["id"])).status == 200
    made = await pay(collector, contract["id"], "200.00")
    await manager.done("POST", f"/contracts/{contract['id']}/terminate", json={"reason": "Moved away"})
    refused = await decide(manager, made["id"])
    assert (refused.status, refused["code"]) == (409, "contract.not_active")
    balance = await rep.done("GET", f"/contracts/{contract['id']}/balance")
    assert amounts(balance) == {
        "contract": "300.00",
        "planned": "300.00",
        "received": "300.00",
        "open": "0.00",
        "pending": "200.00",
    }
    assert (await decide(manager, made["id"], "reject", "It goes back")).status == 200


@pytest.mark.requirement("BI-21", "PL-20")
async def test_the_rows_of_a_batch_use_up_what_is_open_together(
    billing: Running, rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer)
    row = {"contract_id": contract["id"], "amount": usd("400.00"), "paid_on": "2026-11-23"}
    answer = await collector("POST", "/payments/batch", json={"mode": "create", "rows": [row] * 3})
    assert [one["status"] for one in answer["rows"]] == ["ok", "ok", "error"]
    assert answer["rows"][2]["code"] == "payment.exceeds_open"
    assert len(await waiting_for(manager)) == 2


@pytest.mark.requirement("BI-24", "PL-8")
async def test_payments_at_once_never_come_to_more_than_is_open_and_a_retry_counts_once(
    billing: Running, rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer)
    answers = await asyncio.gather(*(pay(collector, contract["id"], "300.00", key=f"k{n % 5}") for n in range(10)))
    assert {one.status for one in answers} <= {201, 409}
    recorded = {one["id"] for one in answers if one.status == 201}
    assert len(recorded) == 3
    for payment_id in recorded:
        assert (await decide(manager, payment_id)).status == 200
    balance = await rep.done("GET", f"/contracts/{contract['id']}/balance")
    assert (balance["received"]["amount"], balance["open"]["amount"]) == ("900.00", "100.00")


def bank(line: str) -> dict[str, str]:
    """Which line of the bank's statement a payment is."""
    return {"system": "bank", "id": line}


@pytest.mark.requirement("BI-21", "BI-24", "PL-20")
async def test_a_line_of_the_banks_counts_once_whatever_is_tried_with_its_reference(
    rep: Caller, manager: Caller, collector: Caller, admin: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer)
    body = {"contract_id": contract["id"], "amount": usd("100.00"), "paid_on": "2026-11-23"}

    async def imported(line: str) -> Any:
        row = {**body, "external_ref": bank(line)}
        (answer,) = (await collector.done("POST", "/payments/batch", json={"mode": "upsert", "rows": [row]}))["rows"]
        return answer

    first = await imported("A")
    assert first["done"] == "created"
    path = f"/payments/{first['id']}"
    for decided in (False, True):
        # If A could be called B, or nothing, the next import would record A's money once more.
        for other in (bank("B"), None):
            refused = await admin("PATCH", path, json={"external_ref": other})
            assert (refused.status, refused["code"]) == (409, "payment.fixed")
            row = {"id": first["id"], "external_ref": other}
            batch = await admin.done("POST", "/payments/batch", json={"mode": "change", "rows": [row]})
            assert batch["rows"][0]["code"] == "payment.fixed"
        again = await imported("A")
        assert (again["done"], again["id"]) == ("unchanged", first["id"])
        assert (await admin.done("PATCH", path, json={"external_ref": bank("A")}))["external_ref"] == bank("A")
        if not decided:
            assert (await decide(manager, first["id"])).status == 200
    balance = await rep.done("GET", f"/contracts/{contract['id']}/balance")
    assert (balance["received"], balance["pending"]) == (usd("100.00"), usd("0.00"))


@pytest.mark.requirement("BI-21", "PL-20")
@pytest.mark.parametrize("ended", ["reject", "withdraw"])
async def test_a_payment_that_never_counts_gives_its_reference_up_and_takes_no_other(
    rep: Caller, manager: Caller, collector: Caller, admin: Caller, customer: str, ended: str
) -> None:
    contract = await activate(rep, manager, customer)
    made = await pay(collector, contract["id"], "100.00", external_ref=bank("A"))
    path = f"/payments/{made['id']}"
    (approval,) = await waiting_for(manager)
    by = manager if ended == "reject" else collector
    comment = {"json": {"comment": "Mistyped"}} if ended == "reject" else {}
    await by.done("POST", f"/approvals/{approval['id']}/{ended}", **comment)
    refused = await admin("PATCH", path, json={"external_ref": bank("B")})
    assert (refused.status, refused["code"]) == (409, "payment.fixed")
    assert (await admin.done("PATCH", path, json={"external_ref": None}))["external_ref"] is None
    refused = await admin("PATCH", path, json={"external_ref": bank("A")})
    assert (refused.status, refused["code"]) == (409, "payment.fixed")
    assert (await pay(collector, contract["id"], "90.00", external_ref=bank("A"))).status == 201


@pytest.mark.requirement("BI-21", "PL-20")
async def test_an_import_of_payments_that_is_repeated_changes_nothing(
    rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer, part("400.00"), part("600.00"))
    first, second = contract["instalments"]
    parts = [
        {"instalment_id": second["id"], "amount": usd("30.00")},
        {"instalment_id": first["id"], "amount": usd("20.00")},
    ]
    body = {"contract_id": contract["id"], "amount": usd("50.00"), "paid_on": "2026-11-20", "reference": "R"}
    rows = [{**body, "external_ref": bank("A"), "allocations": parts}, {**body, "external_ref": bank("B")}]

    async def imported(rows: list[dict[str, Any]]) -> list[str]:
        answer = await collector.done("POST", "/payments/batch", json={"mode": "upsert", "rows": rows})
        return [one.get("done") or one["code"] for one in answer["rows"]]

    assert await imported(rows) == ["created", "created"]
    turned = [{**rows[0], "allocations": parts[::-1]}, rows[1]]
    assert await imported(rows) == await imported(turned) == ["unchanged", "unchanged"]
    for approval in await waiting_for(manager):
        await manager.done("POST", f"/approvals/{approval['id']}/approve", json={})
    assert await imported(rows) == ["unchanged", "unchanged"]
    less = [{**parts[0], "amount": usd("29.00")}, {**parts[1], "amount": usd("21.00")}]
    assert await imported([{**rows[0], "allocations": less}, {**rows[1], "paid_on": "2026-11-21"}]) == [
        "payment.fixed",
        "payment.fixed",
    ]


@pytest.mark.requirement("BI-14")
async def test_nobody_decides_on_a_payment_that_is_theirs_by_now(
    billing: Running, rep: Caller, manager: Caller, collector: Caller, admin: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer)
    made = await pay(collector, contract["id"], "10.00")
    for owner, status in ((billing.people.manager, 403), (billing.people.colleague, 200)):
        await admin.done("POST", f"/payments/{made['id']}/transfer", json={"to_user_id": str(owner.id)})
        assert (await decide(manager, made["id"])).status == status


@pytest.mark.requirement("BI-15")
@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ("UPDATE payment SET amount_minor = 1", "amount"),
        ("UPDATE payment SET paid_on = '2026-01-01'", "paid_on"),
        ("UPDATE payment SET reference = 'Another'", "reference"),
        ("UPDATE payment SET external_system = 'bank', external_id = 'B'", "external_ref"),
        ("UPDATE payment_allocation SET amount_minor = 1", "allocations"),
    ],
)
async def test_a_payment_that_is_not_what_was_recorded_is_not_approved(
    billing: Running, rep: Caller, manager: Caller, collector: Caller, customer: str, changed: str, name: str
) -> None:
    contract = await activate(rep, manager, customer)
    made = await pay(collector, contract["id"], "10.00")
    async with billing.database.write(WriteContext(now=billing.clock.now())) as session:
        await session.connection.execute(changed)
    refused = await decide(manager, made["id"])
    assert (refused.status, refused["code"], refused["differing"]) == (409, "approval.snapshot_changed", [name])
    assert (await decide(manager, made["id"], "reject", "Not what came in")).status == 200
