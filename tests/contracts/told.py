"""What services tell: people of one organisation at work in each, and the journal of it.

Each journey gives its service's events in their order. Records that are named later are changed, handed over and deleted too.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from crm_authz.shipped import COLLECTIONS_REPRESENTATIVE
from crm_contracts import Envelope
from crm_testing.service import Caller, Running


def usd(amount: str) -> dict[str, str]:
    """An amount in US dollars, as the API has it."""
    return {"amount": amount, "currency": "USD"}


def made(told: Sequence[Envelope], topic: str) -> list[str]:
    """Ids of what was created, in that order."""
    return [str(one.subject) for one in told if one.type == f"{topic}.created.v1"]


def creations(told: Sequence[Envelope]) -> list[Envelope]:
    """As far as the beginnings of all records: who has heard no more names even those that are gone by now."""
    return [one for one in told if one.type.endswith(".created.v1")]


async def customers_journey(service: Running) -> list[Envelope]:
    """Customers and contacts as people make, share, hand over, release and delete them."""
    manager, people = service.caller(service.people.manager), service.people
    (pool,) = (await manager.done("GET", "/pools"))["items"]
    for number in range(6):
        customer = await manager.done("POST", "/customers", json={"name": f"Customer {number}"})
        at = f"/customers/{customer['id']}"
        await manager.done("POST", "/contacts", json={"name": "Contact", "customer_id": customer["id"]})
        await manager.done("PATCH", at, json={"name": f"Customer {number}, renamed"})
        await manager.done("PUT", f"{at}/members/{people.colleague.id}", json={"right": "write"})
        if number % 2:
            await manager.done("POST", f"{at}/transfer", json={"to_user_id": str(people.rep.id)})
        else:
            await manager.done("DELETE", f"{at}/members/{people.colleague.id}")
        if number % 3 == 0:
            await manager.done("POST", f"{at}/release", json={"pool_id": pool["id"], "reason": "no need"})
        elif number % 3 == 1:
            await manager.done("DELETE", at)
    return await journal(service)


async def sales_journey(service: Running, customers: Sequence[str]) -> list[Envelope]:
    """A product, and for each customer an opportunity that ends somehow and an activity that is corrected."""
    manager, people = service.caller(service.people.manager), service.people
    admin = service.caller(people.administrator)
    body = {"code": "P-1", "name": "Server", "list_price": usd("10.00")}
    product = await admin.done("POST", "/products", json=body)
    await admin.done("PATCH", f"/products/{product['id']}", json={"name": "Big server"})
    for number, customer in enumerate(customers):
        lines = [{"product_id": product["id"], "quantity": str(number + 1)}]
        body = {"name": f"Deal {number}", "customer_id": customer, "lines": lines}
        at = f"/opportunities/{(await manager.done('POST', '/opportunities', json=body))['id']}"
        await manager.done("PUT", f"{at}/members/{people.colleague.id}", json={"right": "read"})
        if number % 3:
            await manager.done("POST", f"{at}/win", json={})
        else:
            # Whose it is was a mistake: it moves to another timeline.
            await manager.done("PATCH", at, json={"customer_id": customers[number - 1]})
            await manager.done("POST", f"{at}/lose", json={"reason": "price"})
        if number % 2:
            await manager.done("POST", f"{at}/transfer", json={"to_user_id": str(people.rep.id)})
        links = [{"type": "customers.customer", "id": customer}]
        body = {"kind": "call", "subject": f"Call {number}", "links": links}
        at = f"/activities/{(await manager.done('POST', '/activities', json=body))['id']}"
        await manager.done("PUT", f"{at}/members/{people.colleague.id}", json={"right": "read"})
        if number % 2:
            moved = {"links": [{"type": "customers.customer", "id": customers[number - 1]}]}
            await manager.done("PATCH", at, json={"subject": f"Call {number}, noted", **moved})
        elif number == 0:
            await manager.done("DELETE", at)
    return await journal(service)


async def billing_journey(service: Running, customers: Sequence[str], product: str) -> list[Envelope]:
    """A contract for each customer; three of a product are approved and paid for in part, one of them ended, one handed over."""
    manager, people = service.caller(service.people.manager), service.people
    # Who is asked to decide is the approvals' own rule: one of these.
    deciders = [manager, *(service.caller(one) for one in (people.executive, people.administrator))]
    collector = service.caller(people.colleague, rights=COLLECTIONS_REPRESENTATIVE)
    for number, customer in enumerate(customers):
        worth = {"lines": [{"product_id": product, "quantity": "10"}]} if number < 3 else {"value": usd("100.00")}
        body = {"name": f"Contract {number}", "customer_id": customer, **worth}
        contract = (await manager.done("POST", "/contracts", json=body))["id"]
        at = f"/contracts/{contract}"
        await manager.done("PUT", f"{at}/members/{people.stranger.id}", json={"right": "read"})
        if number >= 3:
            await manager.done("PATCH", at, json={"customer_id": customers[number - 1], "value": usd("90.00")})
            continue
        await manager.done("POST", f"{at}/submit", json={})
        await _approve(deciders, contract)
        payment = ""
        for amount in ("25.00", "30.00"):
            body = {"contract_id": contract, "amount": usd(amount), "paid_on": "2026-11-23"}
            payment = (await collector.done("POST", "/payments", json=body))["id"]
        # The first payment waits.
        await _approve(deciders, payment)
        if number == 1:
            await manager.done("POST", f"{at}/transfer", json={"to_user_id": str(people.rep.id)})
        elif number == 2:
            await manager.done("POST", f"{at}/terminate", json={"reason": "moved away"})
    return await journal(service)


async def _approve(deciders: Sequence[Caller], subject: str) -> None:
    """Whoever is to decide about a record approves. AssertionError when it waits for none of them."""
    for decider in deciders:
        waiting = (await decider.done("GET", "/approvals", params={"role": "to_decide"}))["items"]
        for approval in (one["id"] for one in waiting if one["subject_id"] == subject):
            await decider.done("POST", f"/approvals/{approval}/approve", json={})
            return
    raise AssertionError(f"{subject} waits for nobody")


async def support_journey(service: Running, customers: Sequence[str]) -> list[Envelope]:
    """A ticket of each customer, claimed and answered; some are solved, one is another customer's after all, one is deleted."""
    people = service.people
    manager, agent = service.caller(people.manager), service.caller(people.agent)
    for number, customer in enumerate(customers):
        body = {"subject": f"Ticket {number}", "customer_id": customer}
        at = f"/tickets/{(await manager.done('POST', '/tickets', json=body))['id']}"
        await agent.done("POST", f"{at}/claim")
        await agent.done("POST", f"{at}/replies", json={"text": "We look into it"})
        await agent.done("PUT", f"{at}/members/{people.colleague.id}", json={"right": "read"})
        if number % 2:
            await agent.done("POST", f"{at}/move", json={"status": "solved"})
        elif number:
            await agent.done("PATCH", at, json={"customer_id": customers[number - 1]})
        else:
            await service.caller(people.administrator).done("DELETE", at)
    return await journal(service)


async def journal(service: Running) -> list[Envelope]:
    """What the service told of its own records, in the order of the facts."""
    name = service.service.name
    return [
        Envelope(
            row["event_id"],
            row["type"],
            f"/crm/{name}",
            row["subject"],
            row["time"],
            _bytes(row["data"]),
            write_id=row["write_id"],
            topic=row["topic"],
            partition=0,
        )
        for row in await service.rows(
            "SELECT j.* FROM journal j JOIN outbox o USING (event_id) WHERE j.topic LIKE $1 ORDER BY o.position",
            f"crm.{name}.%",
        )
    ]


def _bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else orjson.dumps(data)
