"""Somebody who uses the platform through the gateway, with an ordinary HTTP client."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from .waiting import until

PROBLEM = "application/problem+json"
#: One cheap operation of each service that everybody with figures and records may call.
EVERY_SERVICE = (
    "identity/me",
    "customers/customers?limit=1",
    "sales/opportunities?limit=1",
    "billing/contracts?limit=1",
    "support/tickets?limit=1",
    "analytics/reports/sales-brief?from=2026-01-01&to=2026-01-31",
)


@dataclass(frozen=True, repr=False)
class Answer:
    """An answer of the API. A refusal was checked to be a problem document with status, code and trace id."""

    status: int
    body: Any
    headers: httpx.Headers

    @classmethod
    def of(cls, answer: httpx.Response) -> "Answer":
        """Checks the form. AssertionError when a refusal is none of ours."""
        body: Any = answer.json() if answer.content else None
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == PROBLEM, (answer.status_code, answer.text)
            assert body["status"] == answer.status_code, body
            assert body["type"] == f"urn:pelagic:problem:{body['code']}", body
            assert body["title"], body
            assert len(body["trace_id"]) == 32, body
        return cls(answer.status_code, body, answer.headers)

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    def __repr__(self) -> str:
        return f"{self.status} {self.body}"

    @property
    def code(self) -> str | None:
        """The code of a refusal; None for a success."""
        return self.body["code"] if self.status >= 400 else None

    @property
    def errors(self) -> list[tuple[str, str]]:
        """Pointer and code of each thing that is wrong."""
        return [(error["pointer"], error["code"]) for error in self.body.get("errors", [])]

    @property
    def etag(self) -> str:
        """The version's ETag."""
        return self.headers["etag"]

    @property
    def consistency(self) -> str:
        """What a next request sends to see this write everywhere (PL-13)."""
        return self.headers["consistency-token"]


class Person:
    """One user with one log-in. Access tokens that are about to expire are renewed, as any client does; refusals are left as they are."""

    def __init__(self, address: str, login: str, password: str, *, id: str = "", name: str = "") -> None:
        self.address = address
        self.login = login
        self.password = password
        self.id = id
        self.name = name
        self.access_token = ""
        self.refresh_token = ""
        self._expires_at = 0.0
        self._http = httpx.Client(base_url=address, timeout=60.0)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def token(self, **form: str) -> httpx.Response:
        """POST /oauth/token, as it is; waits for the log-in rate of the address when that is used up."""

        def ask() -> httpx.Response | None:
            answer = self._http.post("/oauth/token", data=form)
            return None if answer.status_code == 429 and PROBLEM in answer.headers["content-type"] else answer

        return until(ask, 60.0, "the rate limit lets a log-in through")  # type: ignore[return-value]

    def sign_in(self) -> "Person":
        """Log in with the password."""
        self._take(self.token(grant_type="password", username=self.login, password=self.password))
        return self

    def refresh(self) -> "Person":
        """Get a new access token with the refresh token."""
        self._take(self.token(grant_type="refresh_token", refresh_token=self.refresh_token))
        return self

    def _take(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, f"{self.login}: {answer.status_code} {answer.text}"
        tokens = answer.json()
        self.access_token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]
        self._expires_at = time.monotonic() + tokens["expires_in"] - 30

    def send(
        self,
        method: str,
        path: str,
        *,
        match: str | None = None,
        key: str | None = None,
        after: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """One request, as it is. path: "<service>/<rest>" below the service's prefix, or a whole one. match: If-Match. key:
        Idempotency-Key. after: Consistency-Token. token: instead of the own access token."""
        if token is None and time.monotonic() > self._expires_at:
            self.refresh()
        given = {"authorization": f"Bearer {token or self.access_token}"}
        asked = {"if-match": match, "idempotency-key": key, "consistency-token": after}
        given |= {name: value for name, value in asked.items() if value is not None}
        return self._http.request(method, whole(path), headers={**given, **(headers or {})}, **options)

    def call(self, method: str, path: str, **options: Any) -> Answer:
        """One request; the answer was checked to have its form. See `send`."""
        return Answer.of(self.send(method, path, **options))

    def done(self, method: str, path: str, **options: Any) -> Answer:
        """One request that must succeed."""
        answer = self.call(method, path, **options)
        assert answer.status < 300, f"{self.login}: {method} {path}: {answer}"
        return answer

    def get(self, path: str, **options: Any) -> Any:
        """The body of a GET that must succeed."""
        return self.done("GET", path, **options).body

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        """A POST that must succeed."""
        return self.done("POST", path, **({} if body is None else {"json": body}), **options)

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """The items of a list, page by page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, params={"limit": 200, **params, **cursor})
            yield from page["items"]
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}

    def found(self, path: str, **body: Any) -> Iterator[Any]:
        """The items that POST …/search gives, page by page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.post(path, {"limit": 200, **body, **cursor}).body
            yield from page["items"]
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}

    def everywhere(self, token: str | None = None) -> list[tuple[int, str | None]]:
        """Status and code that every service answers to this person (or to another token)."""
        answers = [self.call("GET", path, token=token) for path in EVERY_SERVICE]
        return [(answer.status, answer.code) for answer in answers]


def whole(path: str) -> str:
    """ "sales/opportunities" is /api/sales/v1/opportunities."""
    if path.startswith("/"):
        return path
    service, _, rest = path.partition("/")
    return f"/api/{service}/v1/{rest}"
