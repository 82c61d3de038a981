"""People at work while parts die: writers through the gateway that note exactly what they were answered.

A request without an answer, or with a 5xx or 429, is sent again with the same Idempotency-Key until it is answered: as any client does.
Every other refusal is noted; none is expected.
"""

import datetime as dt
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
from journeys.company import usd
from journeys.person import PROBLEM, Person, whole

#: Seconds that one write is tried again for before the load gives up.
PATIENCE = 120.0
AGAIN = (429, 500, 502, 503, 504)


class NotAnswered(Exception):
    """A write had no answer but failures for all of the load's patience."""


@dataclass
class Answered:
    """What the writers were told, 2xx only: id → the record as the last answer had it. received: contract → the payments approved.

    failures: code → how often it was the reason to try again. silent: tries without any answer. malformed: failures that are no problem
    documents. slowest: the longest that an answer took, in seconds.
    """

    customers: dict[str, Any] = field(default_factory=dict)
    opportunities: dict[str, Any] = field(default_factory=dict)
    contracts: dict[str, Any] = field(default_factory=dict)
    payments: dict[str, Any] = field(default_factory=dict)
    tickets: dict[str, Any] = field(default_factory=dict)
    received: dict[str, Decimal] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    writes: int = 0
    again: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Load:
    """Writers, each with a connection of its own, until it is left; `answered` may be read at any time."""

    def __init__(self, person: Person, decider: Person, writers: int = 4) -> None:
        """person: who writes. decider: who approves what they submit, which they can't themselves."""
        self.person = person
        self.decider = decider
        self.answered = Answered()
        self.failed: list[BaseException] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(n,), name=f"writer {n}") for n in range(writers)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE + 60)
        assert not any(thread.is_alive() for thread in self._threads), "a writer did not come to its end"

    def more(self, writes: int, seconds: float) -> None:
        """Wait until so many more writes were answered. AssertionError when that takes longer than `seconds`."""
        until, wanted = time.monotonic() + seconds, self.answered.writes + writes
        while self.answered.writes < wanted and not self.failed:
            assert time.monotonic() < until, (
                f"{wanted - self.answered.writes} of {writes} writes not within {seconds} s"
            )
            self._stop.wait(0.02)
        assert not self.failed, self.failed

    def _write(self, number: int) -> None:
        turn = 0
        try:
            with httpx.Client(base_url=self.person.address, timeout=30.0) as client:
                while not self._stop.is_set():
                    self._one_deal(client, f"{number}-{turn}", turn)
                    turn += 1
        except BaseException as error:
            self.failed.append(error)
            raise

    def _one_deal(self, client: httpx.Client, name: str, turn: int) -> None:
        """A customer, changed once; an opportunity for it, and its outcome: won, lost, or none yet."""
        body = {"name": f"Customer {name}"}
        customer = self._until_answered(client, "POST", "customers/customers", body)
        if customer is None:
            return
        self._note(self.answered.customers, customer.json())
        changed = {"description": f"spoken to {name}"}
        answer = self._until_answered(client, "PATCH", f"customers/customers/{customer.json()['id']}", changed)
        if answer is not None:
            self._note(self.answered.customers, answer.json())
        body = {"name": f"Deal {name}", "customer_id": customer.json()["id"], "value": usd(f"{turn + 1}.25")}
        # Another service's: it waits until it knows the customer (PL-13).
        after = customer.headers["consistency-token"]
        deal = self._until_answered(client, "POST", "sales/opportunities", body, after=after)
        if deal is None:
            return
        self._note(self.answered.opportunities, deal.json())
        outcome = [("win", {}), ("lose", {"reason": "price"}), None][turn % 3]
        if outcome is not None:
            path = f"sales/opportunities/{deal.json()['id']}/{outcome[0]}"
            answer = self._until_answered(client, "POST", path, outcome[1])
            if answer is not None:
                self._note(self.answered.opportunities, answer.json())
                if outcome[0] == "win":
                    self._one_contract(client, f"{after}, {answer.headers['consistency-token']}", answer)
        self._one_ticket(client, customer, name)

    def _one_contract(self, client: httpx.Client, after: str, won: httpx.Response) -> None:
        """The contract of a won opportunity, approved; a payment of a quarter of it, approved; another one that waits.

        after: the tokens of customer and opportunity, for billing needs to know both.
        """
        contracts, payments = self.answered.contracts, self.answered.payments
        body = {"opportunity_id": won.json()["id"]}
        contract = self._until_answered(client, "POST", "billing/contracts/from-opportunity", body, after=after)
        if contract is None:
            return
        self._note(contracts, contract.json())
        contract_id, value = contract.json()["id"], Decimal(contract.json()["value"]["amount"])
        submitted = self._until_answered(client, "POST", f"billing/contracts/{contract_id}/submit", {})
        if submitted is None:
            return
        self._note(contracts, submitted.json())
        if not self._approve(client, contract_id):
            return
        quarter = (value / 4).quantize(Decimal("0.01"))
        body = {"contract_id": contract_id, "amount": usd(str(quarter)), "paid_on": str(dt.datetime.now(dt.UTC).date())}
        for number in range(2):
            payment = self._until_answered(client, "POST", "billing/payments", body)
            if payment is None:
                return
            self._note(payments, payment.json())
            if number == 0 and self._approve(client, payment.json()["id"]):
                with self._lock:
                    self.answered.received[contract_id] = quarter

    def _approve(self, client: httpx.Client, subject: str) -> bool:
        """Whether the decider approved what waits about this record. AssertionError when nothing does."""
        # As who submitted it, whose newest come first: what waits for the decider is listed oldest first, and in a long run undecided
        # leftovers fill its first page.
        asked = self._until_answered(client, "GET", "billing/approvals?role=submitted&limit=200", None)
        if asked is None:
            return False
        waiting = [
            one["id"] for one in asked.json()["items"] if one["subject_id"] == subject and one["status"] == "pending"
        ]
        assert len(waiting) == 1, f"{len(waiting)} approvals wait about {subject}, which was submitted just now"
        answer = self._until_answered(client, "POST", f"billing/approvals/{waiting[0]}/approve", {}, by=self.decider)
        if answer is None:
            return False
        with self._lock:
            self.answered.writes += 1
        return True

    def _one_ticket(self, client: httpx.Client, customer: httpx.Response, name: str) -> None:
        """A ticket of the customer, claimed, answered and solved."""
        body = {"subject": f"Ticket {name}", "customer_id": customer.json()["id"]}
        after = customer.headers["consistency-token"]
        made = self._until_answered(client, "POST", "support/tickets", body, after=after)
        if made is None:
            return
        self._note(self.answered.tickets, made.json())
        path = f"support/tickets/{made.json()['id']}"
        claimed = self._until_answered(client, "POST", f"{path}/claim", None)
        replied = self._until_answered(client, "POST", f"{path}/replies", {"text": f"Answer to {name}"})
        solved = self._until_answered(client, "POST", f"{path}/move", {"status": "solved"})
        if claimed is not None and replied is not None and solved is not None:
            self._note(self.answered.tickets, solved.json())

    def _note(self, records: dict[str, Any], record: Any) -> None:
        with self._lock:
            records[record["id"]] = record
            self.answered.writes += 1

    def _note_failure(self, answer: httpx.Response, seconds: float) -> None:
        with self._lock:
            self.answered.slowest = max(self.answered.slowest, seconds)
            if answer.status_code < 400:
                return
            if answer.headers.get("content-type") == PROBLEM:
                self.answered.failures[answer.json()["code"]] += 1
            else:
                self.answered.malformed.append(f"{answer.status_code} {answer.text}")

    def _token(self, person: Person) -> str:
        """Renewed half a minute before it expires: identity may be dead just then, and comes back in time."""
        with self._renewing:
            if time.monotonic() > person._expires_at:
                answer = person._http.post(
                    "/oauth/token", data={"grant_type": "refresh_token", "refresh_token": person.refresh_token}
                )
                if answer.status_code == 200:
                    person._take(answer)
            return person.access_token

    def _renew_before(self, person: Person, refused: str) -> None:
        """Have the next try take a fresh token, unless another writer has fetched one meanwhile."""
        with self._renewing:
            if refused == f"Bearer {person.access_token}":
                person._expires_at = 0.0

    def _until_answered(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        body: Any,
        *,
        after: str | None = None,
        by: Person | None = None,
    ) -> httpx.Response | None:
        """The 2xx answer; None when it was refused. by: who asks; the writer unless given."""
        person = by or self.person
        headers = {} if method == "GET" else {"idempotency-key": uuid.uuid4().hex}
        if after is not None:
            headers["consistency-token"] = after
        until = time.monotonic() + PATIENCE
        last = ""
        while time.monotonic() < until:
            asked = time.monotonic()
            try:
                headers["authorization"] = f"Bearer {self._token(person)}"
                asked = time.monotonic()
                answer = client.request(method, whole(path), json=body, headers=headers)
            except httpx.TransportError as error:
                last = repr(error)
                with self._lock:
                    self.answered.silent.append(f"{method} {path}: {last}")
            else:
                self._note_failure(answer, time.monotonic() - asked)
                if answer.status_code < 300:
                    return answer
                last = f"{answer.status_code} {answer.text}"
                if answer.status_code == 401:
                    # Stale or expired: a service that was deaf to the bus takes fresh tokens only (ID-24).
                    self._renew_before(person, headers["authorization"])
                    continue
                # The first try may still be running where nobody waits for its answer any more.
                if answer.status_code not in AGAIN and answer.json().get("code") != "idempotency.running":
                    with self._lock:
                        self.answered.refused.append(f"{method} {path}: {last}")
                    return None
            with self._lock:
                self.answered.again += 1
            time.sleep(0.05)  # Between tries, as any client; nothing is assumed to have happened meanwhile.
        raise NotAnswered(f"{method} {path}: {last}")
