"""BI-24: contract = planned = received + open, at every instant of histories made by chance, with races and retries.

Seeded, so that a failure can be played again; a real database, and the API as people use it. `CRM_TEST_HISTORIES` says how many
histories (5 unless said), for long runs. While a step is made, somebody reads the balance all the time.
"""

import asyncio
import os
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from services.billing.tests.conftest import activate, draft, part, plan, usd, waiting_for

from crm_testing.service import Answered, Caller, Running

HISTORIES = int(os.environ.get("CRM_TEST_HISTORIES", "5"))
#: What a step may be refused with: the rules', never another.
REFUSALS = {
    "payment.exceeds_open",
    # An instalment that was named has left the plan meanwhile.
    "payment.allocation",
    "instalments.paid",
    "approval.decided",
    "contract.not_active",
    "contract.not_draft",
    "idempotency.running",
}
#: What has to have succeeded at least once, over all histories: a step that is always refused shows nothing.
KINDS = {
    *("pay", "allocate", "batch", "batch again", "approve", "reject", "withdraw", "delete", "restore"),
    *("replan", "transfer", "terminate"),
    *(
        "submit contract",
        "withdraw contract",
        "approve contract",
        "void contract",
        "delete contract",
        "restore contract",
    ),
}


def text(minor: int) -> str:
    """Cents as the API takes them."""
    return f"{minor // 100}.{minor % 100:02}"


def minor(money: Any) -> int:
    """Cents of an amount that the API shows."""
    return int(money["amount"].replace(".", ""))


def summed(parts: list[Any], name: str) -> int:
    return sum(minor(one[name]) for one in parts)


def agrees(balance: Any, value: int, context: Any) -> None:
    """What holds of a contract of this value at every instant, read in one request; in force or terminated."""
    contract, planned, received, open_, pending = (
        minor(balance[name]) for name in ("contract", "planned", "received", "open", "pending")
    )
    parts = balance["instalments"]
    assert contract == planned == received + open_, context
    assert (summed(parts, "received"), summed(parts, "open")) == (received, open_), context
    assert (summed(parts, "pending"), summed(parts, "amount")) == (pending, value), context
    if contract == value:
        assert 0 <= pending <= open_, context
        assert all(0 <= minor(one["pending"]) <= minor(one["open"]) for one in parts), context
    else:
        # Terminated: what was open then is not asked for any more.
        assert (contract, open_) == (received, 0), context


@dataclass
class History:
    """One contract's life, made by chance. approved: what approved payments came to, as their answers said."""

    billing: Running
    rep: Caller
    manager: Caller
    collector: Caller
    admin: Caller
    customer: str
    chance: random.Random
    succeeded: Counter[str]
    contract: Any
    approved: dict[str, int] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"/contracts/{self.contract['id']}"

    async def begin(self) -> None:
        """One payment that is approved for certain: what follows is not about nothing."""
        made = await self._paid("10.00")
        (waiting,) = await waiting_for(self.manager)
        await self.manager.done("POST", f"/approvals/{waiting['id']}/approve", json={})
        self.approved[made["id"]] = 1000

    # Steps

    async def pay(self) -> None:
        """Record a payment, and send it again under the same key, at the same moment or afterwards."""
        await self._pay("pay", self._payment(self.chance.randint(1, 60_000)))

    async def allocate(self) -> None:
        """The same for instalments that are named."""
        items = await self._instalments()
        some = self.chance.sample(items, self.chance.randint(1, len(items)))
        cents = [self.chance.randint(1, 8_000) for _ in some]
        allocations = [
            {"instalment_id": one["id"], "amount": usd(text(amount))} for one, amount in zip(some, cents, strict=True)
        ]
        await self._pay("allocate", {**self._payment(sum(cents)), "allocations": allocations})

    async def batch(self) -> None:
        """Import a bank statement, and the same again, also after some of it was decided."""
        rows = [
            {**self._payment(self.chance.randint(1, 15_000)), "external_ref": {"system": "bank", "id": self._key()}}
            for _ in range(self.chance.randint(1, 4))
        ]
        first = await self._imported(rows)
        if self.chance.random() < 0.5:
            await self.decide()
        recorded = [row for row, one in zip(rows, first, strict=True) if one["status"] == "ok"]
        again = await self._imported(recorded) if recorded else []
        assert [one["done"] for one in again] == ["unchanged"] * len(recorded), self.steps
        assert [one["id"] for one in again] == [one["id"] for one in first if one["status"] == "ok"], self.steps
        self.succeeded.update({"batch": len(recorded), "batch again": len(again)})

    async def decide(self) -> None:
        """Two decisions at once on everything that waits, of which at most one counts."""
        tasks = [self._decided(one["id"], one["subject_id"]) for one in await waiting_for(self.manager)]
        await asyncio.gather(*tasks)

    async def withdraw(self) -> None:
        """Take a payment back, while somebody approves it."""
        await self._some_pending()
        for approval in (await waiting_for(self.manager))[:1]:
            calls = [self._withdrawn(approval)]
            if self.chance.random() < 0.5:
                calls.append(self._decided(approval["id"], approval["subject_id"]))
            await asyncio.gather(*calls)

    async def delete_and_restore(self) -> None:
        """Delete a payment that never counted, and bring it back; those that count, or may, stay."""
        await self._some_pending()
        for approval in (await waiting_for(self.manager))[:1]:
            await self._withdrawn(approval)
        listed = (await self.admin.done("GET", "/payments", params={"limit": 200}))["items"]
        ended = [one for one in listed if one["status"] in ("rejected", "withdrawn")]
        for one in [*ended[:1], *self.chance.sample(listed, min(2, len(listed)))]:
            path = f"/payments/{one['id']}"
            removed = await self.admin("DELETE", path)
            if one["status"] in ("pending", "approved"):
                assert (removed.status, removed["code"]) == (409, "payment.fixed"), self.steps
                continue
            assert removed.status == 200, removed
            await self.check()
            assert (await self.admin.done("POST", f"{path}/restore"))["status"] == one["status"]
            self.succeeded.update(("delete", "restore"))

    async def replan(self) -> None:
        """Another plan of the same sum; some instalments stay, some go, some are new."""
        present = await self._instalments()
        kept = [one for one in present if self.chance.random() < 0.8]
        count = len(kept) + self.chance.randint(0 if kept else 1, 2)
        marks = sorted(self.chance.sample(range(1, 100_000), count - 1))
        amounts = [b - a for a, b in zip([0, *marks], [*marks, 100_000], strict=True)]
        parts = [
            part(
                text(amount),
                f"2026-12-{self.chance.randint(1, 28):02}",
                **({"id": kept[n]["id"]} if n < len(kept) else {}),
            )
            for n, amount in enumerate(amounts)
        ]
        self._done(await plan(self.manager, self.contract["id"], *parts), "replan")

    async def regroup(self) -> None:
        """The same plan in other words, which always stands as long as the contract is in force: each rest is split off."""
        parts = []
        for one in await self._instalments():
            taken, due = minor(one["received"]) + minor(one["pending"]), one["due_on"]
            rest = minor(one["amount"]) - taken
            parts += [part(text(taken), due, id=one["id"])] if taken else []
            parts += [part(text(rest), due)] if rest else []
        self._done(await plan(self.manager, self.contract["id"], *parts), "replan")

    async def transfer(self) -> None:
        """To somebody of the manager's people, or the manager."""
        people = self.billing.people
        to = self.chance.choice((people.rep, people.colleague, people.manager))
        body = {"to_user_id": str(to.id)}
        self._done(await self.manager("POST", f"{self.path}/transfer", json=body), "transfer")

    async def several(self) -> None:
        """Steps against each other."""
        await asyncio.gather(self.pay(), self.replan(), self.decide(), self.allocate(), self.transfer())

    async def terminate(self) -> None:
        """The end, while payments wait and others are recorded; later steps find it ended."""
        body = {"reason": "Moved away"}

        async def ended() -> None:
            self._done(await self.manager("POST", f"{self.path}/terminate", json=body), "terminate")

        await asyncio.gather(self.decide(), ended(), self.pay())

    async def another(self) -> None:
        """Another contract of the same customer: submitted, taken back (perhaps while it is approved), given up, deleted, restored."""
        made = await draft(self.rep, self.customer)
        path = f"/contracts/{made['id']}"
        await self._nothing(path)
        await self.rep.done("POST", f"{path}/submit", json={})
        self.succeeded["submit contract"] += 1
        await self._nothing(path)
        (approval,) = [one for one in await waiting_for(self.manager) if one["subject_id"] == made["id"]]
        withdrawn, approved = f"{path}/withdraw", f"/approvals/{approval['id']}/approve"
        # In turns: one alone, the other alone, both at once.
        ends = ("withdraw", "approve", "both")[self.succeeded["submit contract"] % 3]
        calls: list[Awaitable[Answered]] = []
        if ends != "approve":
            calls.append(self.rep("POST", withdrawn))
        if ends != "withdraw":
            calls.append(self.manager("POST", approved, json={}))
        answers = await asyncio.gather(*calls)
        assert sorted(one.status for one in answers) == [200, 409][: len(calls)], answers
        shown = await self.rep.done("GET", path)
        if shown["status"] == "active":
            self.succeeded["approve contract"] += 1
            balance = await self.rep.done("GET", f"{path}/balance")
            agrees(balance, 100_000, balance)
            assert minor(balance["open"]) == 100_000
            return
        self.succeeded["withdraw contract"] += 1
        await self._nothing(path)
        await self.rep.done("POST", f"{path}/void")
        await self.admin.done("DELETE", path)
        assert (await self.rep("GET", f"{path}/balance")).status == 404
        assert (await self.admin.done("POST", f"{path}/restore"))["status"] == "void"
        self.succeeded.update(("void contract", "delete contract", "restore contract"))
        await self._nothing(path)

    # What must hold

    async def check(self) -> None:
        """What must hold when nothing is under way."""
        balance = await self.manager.done("GET", f"{self.path}/balance")
        context = f"{self.steps}: {balance}"
        agrees(balance, 100_000, context)
        received = minor(balance["received"])
        assert received == sum(self.approved.values()), context
        shown = await self.manager.done("GET", self.path)
        assert minor(shown["value"]) == 100_000, context
        assert minor(balance["contract"]) == (100_000 if shown["status"] == "active" else received), context
        # The journal tells of the same payments as the ledger counts.
        told = await self.billing.events("crm.billing.payment.approved.v1")
        mine = [one["data"]["state"] for one in told if one["data"]["state"]["contract_id"] == self.contract["id"]]
        assert sum(minor(one["amount"]) for one in mine) == received, context

    async def watched(self, step: Callable[[], Awaitable[None]]) -> None:
        """Make a step while somebody reads the balance, whose sums agree at every instant."""
        made = asyncio.ensure_future(step())
        try:
            while not made.done():
                balance = await self.manager.done("GET", f"{self.path}/balance")
                agrees(balance, 100_000, f"while {self.steps}: {balance}")
        finally:
            await made

    # How it is done

    def _payment(self, cents: int) -> dict[str, Any]:
        return {"contract_id": self.contract["id"], "amount": usd(text(cents)), "paid_on": "2026-11-23"}

    def _key(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128)))

    async def _instalments(self) -> list[Any]:
        found: list[Any] = (await self.manager.done("GET", f"{self.path}/instalments"))["items"]
        return found

    async def _paid(self, amount: str) -> Answered:
        body = {"contract_id": self.contract["id"], "amount": usd(amount), "paid_on": "2026-11-23"}
        return await self.collector("POST", "/payments", json=body)

    async def _some_pending(self) -> None:
        if not await waiting_for(self.manager):
            self._done(await self._paid("0.50"), "pay")

    async def _pay(self, kind: str, body: dict[str, Any]) -> None:
        headers = {"idempotency-key": self._key()}

        async def once() -> Answered:
            return await self.collector("POST", "/payments", json=body, headers=headers)

        answers = await asyncio.gather(*(once() for _ in range(self.chance.randint(1, 3))))
        made = {one["id"] for one in [*answers, await once()] if self._done(one, kind)}
        assert len(made) <= 1

    async def _imported(self, rows: list[Any]) -> list[Any]:
        answer = await self.collector.done("POST", "/payments/batch", json={"mode": "upsert", "rows": rows})
        assert {one["code"] for one in answer["rows"] if one["status"] == "error"} <= REFUSALS, answer
        found: list[Any] = answer["rows"]
        return found

    async def _decided(self, approval_id: str, payment_id: str) -> None:
        verbs = self.chance.choices(["approve", "reject"], weights=[4, 1], k=2)
        answers = await asyncio.gather(
            *(self.manager("POST", f"/approvals/{approval_id}/{verb}", json={"comment": "So"}) for verb in verbs)
        )
        counted = [verb for verb, answer in zip(verbs, answers, strict=True) if self._done(answer, verb)]
        assert len(counted) <= 1
        if counted == ["approve"]:
            shown = await self.collector.done("GET", f"/payments/{payment_id}")
            self.approved[payment_id] = minor(shown["amount"])

    async def _withdrawn(self, approval: Any) -> None:
        self._done(await self.collector("POST", f"/approvals/{approval['id']}/withdraw"), "withdraw")

    async def _nothing(self, path: str) -> None:
        """Nothing of a contract counts."""
        balance = await self.rep.done("GET", f"{path}/balance")
        assert {name: minor(balance[name]) for name in balance if name != "instalments"} == dict.fromkeys(
            ("contract", "planned", "received", "open", "pending"), 0
        )

    def _done(self, answer: Answered, kind: str) -> bool:
        if answer.status < 300:
            self.succeeded[kind] += 1
            return True
        assert answer["code"] in REFUSALS, f"{self.steps}: {answer}"
        return False


def order_of(history: History) -> list[Callable[[], Awaitable[None]]]:
    """Every kind of step at least once, by chance; the end somewhere in the second half."""
    h = history
    steps: list[Callable[[], Awaitable[None]]] = [
        *(h.pay, h.allocate, h.batch, h.decide, h.withdraw, h.delete_and_restore),
        *(h.replan, h.regroup, h.transfer, h.several, h.another, h.decide),
    ]
    h.chance.shuffle(steps)
    steps.insert(h.chance.randint(len(steps) // 2, len(steps)), h.terminate)
    return steps


@pytest.mark.requirement("BI-20", "BI-21", "BI-24", "PL-8")
async def test_balances_never_drift_whatever_happens(
    billing: Running, rep: Caller, manager: Caller, collector: Caller, admin: Caller, customer: str
) -> None:
    succeeded: Counter[str] = Counter()
    for seed in range(HISTORIES):
        made = await activate(rep, manager, customer, part("300.00"), part("300.00"), part("400.00"))
        history = History(billing, rep, manager, collector, admin, customer, random.Random(seed), succeeded, made)
        await history.begin()
        await history.check()
        for step in order_of(history):
            history.steps.append(step.__name__)
            await history.watched(step)
            await history.check()
        # What could not be approved any more makes no work for the next history.
        for one in await waiting_for(manager):
            await manager.done("POST", f"/approvals/{one['id']}/reject", json={"comment": "It goes back"})
    assert KINDS - {kind for kind, count in succeeded.items() if count} == set(), succeeded
