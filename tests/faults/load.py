"""People at work while parts die: writers through the gateway that note exactly what they were answered.

A request without an answer, or with a 5xx or 429, is sent again with the same Idempotency-Key until it is answered: as any client does.
Every other refusal is noted; none is expected.
"""

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
from journeys.company import usd
from journeys.person import Person, whole

#: Seconds that one write is tried again for before the load gives up.
PATIENCE = 120.0
AGAIN = (429, 500, 502, 503, 504)


class NotAnswered(Exception):
    """A write had no answer but failures for all of the load's patience."""


@dataclass
class Answered:
    """What the writers were told, 2xx only. customers, opportunities: id → the record as the last answer had it."""

    customers: dict[str, Any] = field(default_factory=dict)
    opportunities: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    writes: int = 0
    again: int = 0


class Load:
    """Writers, each with a connection of its own, until it is left; `answered` may be read at any time."""

    def __init__(self, person: Person, writers: int = 4) -> None:
        self.person = person
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

    def _note(self, records: dict[str, Any], record: Any) -> None:
        with self._lock:
            records[record["id"]] = record
            self.answered.writes += 1

    def _token(self) -> str:
        """Renewed half a minute before it expires: identity may be dead just then, and comes back in time."""
        with self._renewing:
            if time.monotonic() > self.person._expires_at:
                answer = self.person._http.post(
                    "/oauth/token", data={"grant_type": "refresh_token", "refresh_token": self.person.refresh_token}
                )
                if answer.status_code == 200:
                    self.person._take(answer)
            return self.person.access_token

    def _renew_before(self, refused: str) -> None:
        """Have the next try take a fresh token, unless another writer has fetched one meanwhile."""
        with self._renewing:
            if refused == f"Bearer {self.person.access_token}":
                self.person._expires_at = 0.0

    def _until_answered(
        self, client: httpx.Client, method: str, path: str, body: Any, *, after: str | None = None
    ) -> httpx.Response | None:
        """The 2xx answer; None when it was refused."""
        headers = {"idempotency-key": uuid.uuid4().hex}
        if after is not None:
            headers["consistency-token"] = after
        until = time.monotonic() + PATIENCE
        last = ""
        while time.monotonic() < until:
            try:
                headers["authorization"] = f"Bearer {self._token()}"
                answer = client.request(method, whole(path), json=body, headers=headers)
            except httpx.TransportError as error:
                last = repr(error)
            else:
                if answer.status_code < 300:
                    return answer
                last = f"{answer.status_code} {answer.text}"
                if answer.status_code == 401:
                    # Stale or expired: a service that was deaf to the bus takes fresh tokens only (ID-24).
                    self._renew_before(headers["authorization"])
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
