"""The people of the sample company at work: each with a session of their own, several at once but not too many."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from crm_stack.demo.api import Api
from crm_stack.demo.company.facts import Company
from crm_stack.demo.progress import Progress

T = TypeVar("T")

#: Whose external references they are.
SYSTEM = "sample-company"
#: Requests under way at once: enough to keep two cores busy, and no more than a service has connections.
AT_ONCE = 8
#: A cheap operation of each service that has applied another's write before it answers (PL-13).
_ASKED = {
    "customers": "/api/customers/v1/pools",
    "sales": "/api/sales/v1/pipelines",
    "billing": "/api/billing/v1/contracts",
    "support": "/api/support/v1/queues",
    "analytics": "/api/analytics/v1/events",
}
_LEAST = {"billing": {"limit": 1}, "analytics": {"limit": 1}}


def ref(key: str) -> dict[str, str]:
    """A key as an external reference."""
    return {"system": SYSTEM, "id": key}


class Staff:
    """Sessions of people, and the ids of what was made.

    operator: the first administrator. ids: key → id, of everything that is there. known: record type → key → what the API showed of
    it before this load; new records are not in it.
    """

    def __init__(self, plan: Company, address: str, operator_token: str, password: str, progress: Progress) -> None:
        self.plan = plan
        self.progress = progress
        self.ids: dict[str, str] = {}
        self.known: dict[str, dict[str, Any]] = {}
        self.written: dict[str, int] = {}
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._http = httpx.Client(base_url=address, timeout=60.0, limits=limits)
        self._address = address
        self._password = password
        self._requests = 0
        self._recent: deque[str] = deque(maxlen=4 * AT_ONCE)
        self._batches: list[str] = []
        self._lock = threading.Lock()
        self.operator = Api(address, operator_token, client=self._http, wrote=self._wrote)
        self._people: dict[str, Api] = {}

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    @property
    def writes(self) -> int:
        """How many requests changed something so far."""
        return self._requests

    def person(self, key: str) -> Api:
        """Somebody, logged in when first asked to do something."""
        with self._lock:
            if key not in self._people:
                email = self.plan.people[key].email
                self._people[key] = Api(
                    self._address, email=email, password=self._password, client=self._http, wrote=self._wrote
                )
            return self._people[key]

    def leader(self, key: str) -> str:
        """Who may enter the past of somebody's records: whoever leads, else their superior."""
        person = self.plan.people[key]
        return key if person.role == "supervisor" or person.superior is None else person.superior

    def spread(self, tasks: Sequence[T], act: Callable[[T], object], done: Callable[[int], None] | None = None) -> None:
        """Do it for all, several at a time; the first refusal ends it, when what is under way has ended. done: told how many are."""
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sample")
        try:
            for count, _ in enumerate(pool.map(act, tasks), start=1):
                if done is not None:
                    done(count)
        finally:
            pool.shutdown(cancel_futures=True)

    def each(self, what: str, tasks: Sequence[T], act: Callable[[T], None]) -> None:
        """`spread`, shown and counted as `what`."""
        total = len(tasks)
        self.written[what] = self.written.get(what, 0) + total
        if total:
            self.progress(what, 0, total)
            self.spread(tasks, act, lambda done: self.progress(what, done, total))

    def rows(
        self,
        what: str,
        path: str,
        rows: Mapping[str, Iterable[Mapping[str, Any]]],
        *,
        at_once: int = 250,
        before: int = 0,
        whole: int = 0,
        **body: Any,
    ) -> None:
        """Send each person's rows in batches; who is there already was left out. Fills `ids` by the rows' references.

        before, whole: where these are some of many, how many were sent before, and how many there are.
        """
        parts = [
            (key, all_of_one[start : start + at_once])
            for key, some in rows.items()
            for all_of_one in [list(some)]
            for start in range(0, len(all_of_one), at_once)
        ]
        total = sum(len(part) for _, part in parts)
        self.written[what] = self.written.get(what, 0) + total
        if not parts:
            return
        finished = before

        def done(count: int) -> None:
            nonlocal finished
            with self._lock:
                finished += count
                self.progress(what, finished, whole or total)

        self.progress(what, before, whole or total)

        def send(part: tuple[str, list[Mapping[str, Any]]]) -> None:
            answers = self.person(part[0]).rows(path, part[1], done, at_once=at_once, **body)
            with self._lock:
                for row, answer in zip(part[1], answers, strict=True):
                    if "external_ref" in row:
                        self.ids[row["external_ref"]["id"]] = answer["id"]

        self.spread(parts, send)
        with self._lock:
            # Each batch is many records: none of them may be forgotten, as of single writes the older ones may.
            self._batches += self._recent
            self._recent.clear()

    def settle(self, *services: str) -> None:
        """Return when these services know what was written since the last time."""
        with self._lock:
            tokens = dict.fromkeys([*self._batches, *self._recent])
            self._batches.clear()
            self._recent.clear()
        asked = [(service, token) for token in tokens for service in services]
        self.spread(asked, lambda one: self.operator.get(_ASKED[one[0]], after=one[1], **_LEAST.get(one[0], {})))

    def _wrote(self, token: str) -> None:
        with self._lock:
            self._requests += 1
            self._recent.append(token)
