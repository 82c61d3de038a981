"""A small client of the public API for loaders: tokens refreshed, waits obeyed, one write's effects awaited by the next."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

BATCH = 1000
#: How long a busy or restarting service is waited for; seconds.
PATIENCE = 120.0


class LoadRefused(RuntimeError):
    """The API did not take something; says what and why, in a sentence for people."""


class Api:
    """The API as one user. Every write is awaited by the requests after it (PL-13), at whichever service.

    address: the gateway's. refresh_token: of the OAuth client `crm`. Raises LoadRefused for answers that waiting doesn't mend.
    """

    def __init__(self, address: str, refresh_token: str, *, client: httpx.Client | None = None) -> None:
        self._http = client or httpx.Client(base_url=address, timeout=60.0)
        self._refresh_token = refresh_token
        self._access_token = ""
        self._consistency: dict[str, str] = {}

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """The answer of a GET, as Python values."""
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Any) -> Any:
        """The answer of a POST, as Python values."""
        return self._call("POST", path, json=body)

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """The items of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, limit=200, **params, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next")
            if cursor is None:
                return

    def rows(self, path: str, rows: Sequence[Any], done: Callable[[int], None], **body: Any) -> list[Any]:
        """Send rows in batches; answers the row answers, all `ok`. done: told how many rows each batch had.

        Raises LoadRefused with the first row that was refused.
        """
        answers: list[Any] = []
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            answer = self.post(path, {**body, "rows": part})
            for row, sent in zip(answer["rows"], part, strict=True):
                if row["status"] != "ok":
                    raise LoadRefused(f"{path}: {row.get('code')}: {row.get('detail')} ({row.get('errors')}) in {sent}")
            answers += answer["rows"]
            done(len(part))
        return answers

    def _call(self, method: str, path: str, **options: Any) -> Any:
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._send(method, path, **options)
            if answer is not None and answer.is_success:
                return answer.json() if answer.content else None
            if answer is not None and answer.status_code == 401:
                self._sign_in(deadline)
            elif answer is not None and answer.status_code not in (409, 429, 502, 503, 504):
                raise LoadRefused(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
            if time.monotonic() > deadline:
                told = "no answer" if answer is None else f"{answer.status_code} {answer.text[:500]}"
                raise LoadRefused(f"{method} {path}: {told}, for {PATIENCE:.0f} s")
            if answer is None or answer.status_code != 401:
                time.sleep(_retry_after(answer))

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """One try; None when nobody answered. Every batch is an upsert, so a try whose answer was lost may be repeated."""
        if not self._access_token:
            self._sign_in(time.monotonic() + PATIENCE)
        headers = {"Authorization": f"Bearer {self._access_token}"}
        if self._consistency:
            headers["Consistency-Token"] = list(self._consistency.values())[-1]
        try:
            answer = self._http.request(method, path, headers=headers, **options)
        except httpx.TransportError:
            return None
        token = answer.headers.get("consistency-token")
        if token:
            self._consistency[path] = token
        return answer

    def _sign_in(self, deadline: float) -> None:
        while True:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token, "client_id": "crm"}
            try:
                answer = self._http.post("/oauth/token", data=form)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.is_success:
                tokens = answer.json()
                self._access_token, self._refresh_token = tokens["access_token"], tokens["refresh_token"]
                return
            if answer is not None and answer.status_code in (400, 401):
                raise LoadRefused(f"The operator's session is over: {answer.text[:300]}")
            if time.monotonic() > deadline:
                raise LoadRefused(f"No access token: {'no answer' if answer is None else answer.text[:300]}")
            time.sleep(_retry_after(answer))


def _retry_after(answer: httpx.Response | None) -> float:
    told = None if answer is None else answer.headers.get("retry-after")
    return min(float(told), 10.0) if told and told.isdigit() else 0.5
