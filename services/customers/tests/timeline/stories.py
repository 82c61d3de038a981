"""Events of all services about one customer, and what its timeline shows of them."""

import uuid
from typing import Any

from crm_contracts import Envelope, Event, registry
from crm_kernel import new_id
from crm_testing.service import Caller, Person, Running, envelope


def told(
    event: type[Event[Any]],
    *,
    id: uuid.UUID | None = None,
    owner: Person | None = None,
    version: int | None = None,
    occurred_at: str | None = None,
    members: list[dict[str, Any]] | None = None,
    actor: uuid.UUID | None = None,
    extra: dict[str, Any] | None = None,
    **state: Any,
) -> Envelope:
    """An event as another service tells it: its contract's example, with these differences."""
    example = registry.examples[event.type]
    owner_id = None if owner is None else str(owner.id)
    data = {
        **example,
        "version": version or example["version"],
        "occurred_at": occurred_at or example["occurred_at"],
        "actor": {"kind": "user", "id": str(actor or new_id())},
        "state": {**example["state"], "owner_id": owner_id, **state},
        "access": {"owner_id": owner_id, "members": members or []},
        **(extra or {}),
    }
    return envelope(event, id or new_id(), data)


async def relayed(customers: Running, *, since: int = 0) -> list[Envelope]:
    """What the service itself recorded, as it comes round over the bus."""
    rows = await customers.rows(
        "SELECT j.* FROM journal j JOIN outbox o USING (event_id) "
        "WHERE o.position > $1 AND j.type NOT LIKE 'crm.customers.pool.%' ORDER BY o.position",
        since,
    )
    return [
        Envelope(
            id=uuid.UUID(int=row["event_id"].int),
            type=row["type"],
            source="/crm/customers",
            subject=uuid.UUID(int=row["subject"].int),
            time=row["time"],
            data=registry.events[row["type"]].model_validate(row["data"]).model_dump_json().encode(),
            write_id=uuid.UUID(int=row["write_id"].int),
            topic=row["topic"],
            partition=0,
        )
        for row in rows
    ]


async def timeline(caller: Caller, customer: Any, **asked: Any) -> list[dict[str, Any]]:
    """The entries of a customer's timeline, all pages together."""
    found: list[dict[str, Any]] = []
    while True:
        page = await caller.done("GET", f"/customers/{customer['id']}/timeline", params=asked)
        found += page["items"]
        if page["next"] is None:
            return found
        asked["cursor"] = page["next"]


async def kinds(caller: Caller, customer: Any, **asked: Any) -> list[tuple[str, str]]:
    """Of each entry, the newest first: the record's type without its service, and what happened."""
    return [(one["record"]["type"].split(".")[1], one["kind"]) for one in await timeline(caller, customer, **asked)]


async def rows(customers: Running) -> list[dict[str, Any]]:
    """All entries as they are stored, in the order of their ids."""
    return [dict(row) for row in await customers.rows("SELECT * FROM timeline_entry ORDER BY id")]
