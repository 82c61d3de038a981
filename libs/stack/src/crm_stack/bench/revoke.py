"""`revoke`: from the acknowledged dismissal of a user to the refusal of their token, at every service."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from crm_stack.bench.bed import PASSWORD, Bed, bed
from crm_stack.bench.load import WrongAnswer
from crm_stack.bench.result import Result, percentile
from crm_stack.layout import services_of, workspace

GOAL = "p99 ≤ 1 s, at every service"
TRIALS_PER_REPEAT = 10
#: One cheap operation of each service; whether the user may is all one: refused for the token is 401.
ASKED = {
    "identity": "/api/identity/v1/me",
    "customers": "/api/customers/v1/customers?limit=1",
    "sales": "/api/sales/v1/opportunities?limit=1",
    "billing": "/api/billing/v1/contracts?limit=1",
    "support": "/api/support/v1/tickets?limit=1",
    "analytics": "/api/analytics/v1/reports/sales-brief?from=2026-01-01&to=2026-01-31",
}
#: A service that accepts a dismissed user's token for so long has not heard of it; seconds.
DEAF_AFTER = 30.0


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """One result: of each trial the slowest service's time. What each service took stands beside."""
    del size, seconds
    services = services_of(workspace())
    if unasked := set(services) - set(ASKED):
        raise WrongAnswer(f"no operation is known of {', '.join(sorted(unasked))}")
    with bed(services) as made:
        trials = asyncio.run(_trials(made, list(services), TRIALS_PER_REPEAT * repeats))
        slowest = [max(trial.values()) for trial in trials]
        p99 = percentile(slowest, 0.99)
        beside = {name: round(percentile([trial[name] for trial in trials], 0.99), 1) for name in services}
        notes = {"p99_ms_by_service": beside}
        yield Result("revoke", "ms", percentile(slowest, 0.5), None, [], slowest, 0, GOAL, p99 <= 1000, notes)


async def _trials(made: Bed, services: list[str], count: int) -> list[dict[str, float]]:
    """Milliseconds of each service in each trial; users are hired in advance. Raises WrongAnswer."""
    async with httpx.AsyncClient(base_url=made.stack.address, timeout=60.0) as client:
        admin = _administrator(made)
        department = await _root(client, admin)
        role = await _role(client, admin)
        found = []
        for number in range(count):
            # All trials together may take longer than a token lives.
            admin = _administrator(made)
            user, token = await _hire(client, admin, department, role, number)
            async with asyncio.timeout(DEAF_AFTER):
                while not all(await asyncio.gather(*(_accepted(client, name, token) for name in services))):
                    pass  # Each round waits for the services' answers.
            answer = await client.post(f"/api/identity/v1/users/{user}/dismiss", headers=admin)
            acknowledged = time.perf_counter()
            _require(answer, 200)
            times = await asyncio.gather(*(_refused(client, name, token, acknowledged) for name in services))
            # Refused once, refused for good: no process of a service is behind another.
            if any(await asyncio.gather(*(_accepted(client, name, token) for name in services))):
                raise WrongAnswer("a token was accepted again after it had been refused")
            found.append(dict(zip(services, times, strict=True)))
        return found


def _administrator(made: Bed) -> dict[str, str]:
    return {"Authorization": f"Bearer {made.administrator_token()}"}


async def _root(client: httpx.AsyncClient, admin: dict[str, str]) -> str:
    answer = _require(await client.get("/api/identity/v1/departments", headers=admin), 200)
    return str(next(one["id"] for one in answer["items"] if one["parent_id"] is None))


async def _role(client: httpx.AsyncClient, admin: dict[str, str]) -> str:
    answer = _require(await client.get("/api/identity/v1/roles", headers=admin), 200)
    return str(next(one["id"] for one in answer["items"] if one["shipped"] == "executive"))


async def _hire(
    client: httpx.AsyncClient, admin: dict[str, str], department: str, role: str, number: int
) -> tuple[str, str]:
    """A new user, active and logged in: id and access token."""
    email = f"leaver{number}.{uuid.uuid4().hex[:8]}@crm.example"
    body = {"name": f"Leaver {number}", "email": email, "department_id": department, "role_ids": [role]}
    user = _require(await client.post("/api/identity/v1/users", json=body, headers=admin), 201)["id"]
    activated = await client.post(f"/api/identity/v1/users/{user}/activate", json={"password": PASSWORD}, headers=admin)
    _require(activated, 200)
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    return str(user), str(_require(await client.post("/oauth/token", data=form), 200)["access_token"])


async def _accepted(client: httpx.AsyncClient, service: str, token: str) -> bool:
    """Whether a service takes the token. Raises WrongAnswer for anything but an answer, or a refusal because the user is out."""
    answer = await client.get(ASKED[service], headers={"Authorization": f"Bearer {token}"})
    return accepted(service, answer)


def accepted(service: str, answer: httpx.Response) -> bool:
    """Whether this answer means that the token was taken. A token may be refused for reasons that have nothing to do with the dismissal,
    such as its age or a key that is not known yet: that would be a fast wrong figure.

    Raises WrongAnswer.
    """
    if answer.status_code == 401 and _code(answer) == "token.stale":
        return False
    if answer.status_code not in (200, 403):
        raise WrongAnswer(f"{service}: {answer.status_code} {answer.text[:300]}")
    return True


def _code(answer: httpx.Response) -> object:
    try:
        told = answer.json()
    except ValueError:
        return None
    return told.get("code") if isinstance(told, dict) else None


async def _refused(client: httpx.AsyncClient, service: str, token: str, since: float) -> float:
    """Milliseconds until a service's first refusal was here."""
    while await _accepted(client, service, token):
        if time.perf_counter() - since > DEAF_AFTER:
            raise WrongAnswer(f"{service} still accepts a dismissed user's token after {DEAF_AFTER:.0f} s")
    return (time.perf_counter() - since) * 1000


def _require(answer: httpx.Response, status: int) -> Any:
    if answer.status_code != status:
        raise WrongAnswer(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}"
        )
    return answer.json() if answer.content else None
