"""What tests of the pool do over and over."""

import datetime as dt
from typing import Any

from services.customers.tests.conftest import make_customer

from crm_testing.service import Answered, Caller, Running

#: The shipped pool has no limits; tests make others with these.
OPEN: dict[str, Any] = {"name": "Test pool", "open_to_all": True}


async def make_pool(admin: Caller, **settings: Any) -> Any:
    return await admin.done("POST", "/pools", json={**OPEN, **settings})


async def pooled(owner: Caller, pool: Any | None = None, name: str = "Pooled", reason: str = "no need") -> Any:
    """A customer that its owner has just released, to the default pool unless one is given."""
    made = await make_customer(owner, name)
    body = {"reason": reason} | ({} if pool is None else {"pool_id": pool["id"]})
    return await owner.done("POST", f"/customers/{made['id']}/release", json=body)


async def claim(caller: Caller, customer: Any) -> Answered:
    return await caller("POST", f"/customers/{customer['id']}/claim")


async def assign(caller: Caller, pool_id: str, customers: list[Any], to: Any, reason: str | None = None) -> Answered:
    ids = [one["id"] for one in customers]
    return await caller(
        "POST", f"/pools/{pool_id}/assign", json={"customer_ids": ids, "user_id": str(to.id), "reason": reason}
    )


async def moves(caller: Caller, path: str, limit: int = 200) -> list[dict[str, Any]]:
    """All moves of a pool's or customer's history, oldest first, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
        page = await caller.done("GET", path, params=params)
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found[::-1]


def rewind(running: Running) -> None:
    """Set the service's clock back a week, so that the days that a test lets pass lie behind the machine's clock: the journal's ids,
    by which the day's claims are bounded, are made by that one.
    """
    running.clock.advance(-dt.timedelta(days=7))
