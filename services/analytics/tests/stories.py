"""What happens in other services at the test's own time, and people with rights that the directory knows."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from services.analytics.tests.history import History, Record

from crm_authz import Rule, apply_state, keeper_of
from crm_authz.shipped import SALES_REPRESENTATIVE
from crm_contracts import Envelope, identity
from crm_database import WriteContext
from crm_kernel import FixedClock, new_id
from crm_testing.service import Caller, Person, Rights, Running, role_state

WEBHOOKS = tuple(f"analytics.webhook:{action}" for action in ("read", "create", "update", "delete"))
#: A sales representative who may have webhooks.
SENDING = Rights((*SALES_REPRESENTATIVE.permissions, *WEBHOOKS), SALES_REPRESENTATIVE.scopes)
ALL = Rule("all")
#: Everything of everybody.
AUDIT = Rights(
    ("analytics.*:read", "analytics.*:create", "analytics.*:update", "analytics.*:delete", "sales.*:read"),
    {"*": {"*": ALL}},
)


class Story(History):
    """Tells what happens now: at the time of a clock that stands still."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__()
        self._clock = clock
        self.now = clock.now()

    def _send(self, topic: str, type_name: str, subject: uuid.UUID, data: bytes) -> Envelope:
        self.now = self._clock.now()
        sent = super()._send(topic, type_name, subject, data)
        self.now = self._clock.now()
        return sent

    def deal(self, owner: uuid.UUID | None, pipeline: Record) -> Record:
        return self.opportunity(owner, pipeline, value=("10.00", "USD"))

    def approval(self, submitter: uuid.UUID, approver: uuid.UUID) -> Record:
        """Submitted by one, to be decided by another."""
        from crm_contracts import registry

        example = dict(registry.examples["crm.billing.approval.submitted.v1"]["state"])
        record = Record(new_id(), "crm.billing.approval", {**example, "owner_id": submitter})
        record.members = [{"user_id": approver, "right": "read", "expires_at": None}]
        self.tell(record, "submitted")
        return record


async def hear_new(running: Running, story: Story, heard: int = 0) -> int:
    """Give the service what was told since; answers how many were told by now."""
    await running.hear(*story.told[heard:])
    return len(story.told)


async def employ(
    running: Running,
    person: Person,
    permissions: Sequence[str],
    scopes: Mapping[str, Mapping[str, Rule]],
    *,
    status: str = "active",
    version: int = 2,
) -> None:
    """The directory learns that a person has these rights, and none but these."""
    async with running.database.write(WriteContext(now=running.clock.now())) as session:
        role = new_id()
        await apply_state(session, identity.ROLE_TOPIC.name, role, 1, role_state(permissions, scopes))
        state = identity.UserState(
            name="Kim",
            status=status,
            department_id=person.department,
            superior_id=person.superior,
            role_ids=[role],
            epoch=1,
        )
        await apply_state(session, identity.USER_TOPIC.name, person.id, version, state)
    await look_again(running)


async def look_again(running: Running) -> None:
    """The directory in memory is that of the database now; by itself it would be 200 ms later."""
    await keeper_of(running.database).current(running.database, at_most=0)


async def feed(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    """All events that somebody hears, page by page."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        params = {"limit": 20, **query} | ({} if after is None else {"after": after})
        page = await caller.done("GET", "/api/events/v1/feed", params=params)
        found += page["items"]
        if not page["more"]:
            return found
        after = page["cursor"]


def minutes(number: float) -> dt.timedelta:
    return dt.timedelta(minutes=number)
