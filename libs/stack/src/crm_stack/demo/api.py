"""A small client of the public API for loaders: tokens refreshed, waits obeyed, one write's effects awaited by the next."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

BATCH = 1000
#: How long a busy or restarting service is waited for; seconds.
PATIENCE = 120.0
#: Conflicts that waiting mends: another try of the same request is under way; somebody took a unique value at this moment.
_PASSING = frozenset({"idempotency.running", "record.not_unique"})
#: What the consistency token of a write is told to.
Told = Callable[[str], None]


class LoadRefused(RuntimeError):
    """The API did not take something; says what and why, in a sentence for people. code: of the refusal, where it has one."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


class Api:
    """The API as one user; several threads may use it at once.

    refresh_token: of the OAuth client `crm`; or email and password to log in with. wrote: told the consistency token of every write;
    without it, each request waits until its service has applied the last write before it (PL-13).

    Raises LoadRefused for answers that waiting doesn't mend.
    """

    def __init__(
        self,
        address: str,
        refresh_token: str = "",
        *,
        email: str = "",
        password: str = "",
        client: httpx.Client | None = None,
        wrote: Told | None = None,
    ) -> None:
        self._own_http = client is None
        self._http = client or httpx.Client(base_url=address, timeout=60.0)
        self._email = email
        self._password = password
        self._refresh_token = refresh_token
        self._access_token = ""
        self._signing_in = threading.Lock()
        self._last_write: str | None = None
        self._wrote = wrote

    def close(self) -> None:
        """Close the connection, if it is this client's own."""
        if self._own_http:
            self._http.close()

    def get(self, path: str, *, after: str | None = None, **params: Any) -> Any:
        """The answer of a GET, as Python values. after: the consistency token of a write to be seen."""
        return self._call("GET", path, after, params=params)

    def post(self, path: str, body: Any) -> Any:
        """The answer of a POST, as Python values. What may be repeated without harm: searches, upserts."""
        return self._call("POST", path, None, json=body)

    def once(self, method: str, path: str, body: Any) -> Any:
        """The answer of an action that must happen once, however often it is tried (PL-8)."""
        return self._call(method, path, None, json=body, key=str(uuid.uuid4()))

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """The items of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, limit=200, **params, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next")
            if cursor is None:
                return

    def rows(
        self, path: str, rows: Sequence[Any], done: Callable[[int], None], *, at_once: int = BATCH, **body: Any
    ) -> list[Any]:
        """Send rows in batches; answers the row answers, all `ok`. done: told how many rows each batch had.

        Raises LoadRefused with the first row that was refused.
        """
        answers: list[Any] = []
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            answer = self.post(path, {**body, "rows": part})
            for row, sent in zip(answer["rows"], part, strict=True):
                if row["status"] != "ok":
                    told = f"{path}: {row.get('code')}: {row.get('detail')} ({row.get('errors')}) in {sent}"
                    raise LoadRefused(told, row.get("code"))
            answers += answer["rows"]
            done(len(part))
        return answers

    def _call(self, method: str, path: str, after: str | None, *, key: str | None = None, **options: Any) -> Any:
        deadline = time.monotonic() + PATIENCE
        while True:
            token = self._access_token or self._sign_in("", deadline)
            answer = self._send(method, path, token, after, key, options)
            if answer is not None and answer.is_success:
                return answer.json() if answer.content else None
            if answer is not None and answer.status_code == 401:
                self._sign_in(token, deadline)
            elif answer is not None and not _passes(answer):
                raise LoadRefused(f"{method} {path}: {answer.status_code} {answer.text[:500]}", _code_of(answer))
            if time.monotonic() > deadline:
                told = "no answer" if answer is None else f"{answer.status_code} {answer.text[:500]}"
                raise LoadRefused(f"{method} {path}: {told}, for {PATIENCE:.0f} s")
            if answer is None or answer.status_code != 401:
                time.sleep(_retry_after(answer))

    def _send(
        self, method: str, path: str, token: str, after: str | None, key: str | None, options: dict[str, Any]
    ) -> httpx.Response | None:
        """One try; None when nobody answered. Every request may be repeated when its answer was lost: batches are upserts, actions have
        a key."""
        headers = {"Authorization": f"Bearer {token}"}
        awaited = after or (self._last_write if self._wrote is None else None)
        if awaited is not None:
            headers["Consistency-Token"] = awaited
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            answer = self._http.request(method, path, headers=headers, **options)
        except httpx.TransportError:
            return None
        written = answer.headers.get("consistency-token")
        if written:
            self._last_write = written
            if self._wrote is not None:
                self._wrote(written)
        return answer

    def _sign_in(self, stale: str, deadline: float) -> str:
        """A new access token instead of the stale one, which another thread may have replaced already."""
        with self._signing_in:
            while self._access_token == stale:
                answer = self._ask_token()
                if answer is not None and answer.is_success:
                    tokens = answer.json()
                    self._refresh_token, self._access_token = tokens["refresh_token"], tokens["access_token"]
                    break
                if answer is not None and answer.status_code in (400, 401):
                    if self._refresh_token and self._password:
                        self._refresh_token = ""
                        continue
                    who = self._email or "The operator"
                    raise LoadRefused(f"{who} can't log in: {answer.text[:300]}", _code_of(answer))
                if time.monotonic() > deadline:
                    raise LoadRefused(f"No access token: {'no answer' if answer is None else answer.text[:300]}")
                time.sleep(_retry_after(answer))
            return self._access_token

    def _ask_token(self) -> httpx.Response | None:
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token, "client_id": "crm"}
        if not self._refresh_token:
            form = {"grant_type": "password", "username": self._email, "password": self._password}
            form["client_id"] = "crm"
        try:
            return self._http.post("/oauth/token", data=form)
        except httpx.TransportError:
            return None


def _passes(answer: httpx.Response) -> bool:
    """Whether waiting may mend it."""
    return answer.status_code in (429, 502, 503, 504) or (answer.status_code == 409 and _code_of(answer) in _PASSING)


def _code_of(answer: httpx.Response) -> str | None:
    """The stable code of a refusal; of OAuth's the error."""
    try:
        told = answer.json()
    except ValueError:
        return None
    return (told.get("code") or told.get("error")) if isinstance(told, dict) else None


def _retry_after(answer: httpx.Response | None) -> float:
    told = None if answer is None else answer.headers.get("retry-after")
    return min(float(told), 10.0) if told and told.isdigit() else 0.5
