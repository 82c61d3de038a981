"""The activity as a record type: its hooks say what must hold when one is noted or changed (SA-30)."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from crm_contracts.sales import ACTIVITY_EVENTS, ActivityState
from crm_kernel.errors import Refusal
from crm_records import Change, Draft, OccurredInFuture, RecordHooks, RecordType, Writing, open_before
from crm_sales.activity.known import customers_of, deleted_customers, visible_links
from crm_sales.activity.links import Link
from crm_sales.activity.rules import (
    LinkUnknown,
    ParticipantUnknown,
    check_links,
    check_participants,
    customer_of,
    needs_backdate,
)
from crm_sales.activity.store import hold_customers
from crm_sales.activity.tables import ACTIVITY_FIELDS, activity
from crm_sales.customer.tables import CUSTOMERS

_BACKDATE = "sales.activity:backdate"


class ActivityHooks(RecordHooks):
    """When it happened, what it is about, whose timeline it stands in."""

    refusals: ClassVar = {
        "create": (LinkUnknown, ParticipantUnknown),
        "change": (LinkUnknown, ParticipantUnknown, OccurredInFuture),
    }

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            if draft["happened_at"] is None:
                draft.values["happened_at"] = draft.occurred_at or unit.now
        await _settle(unit, drafts)

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        await _settle(unit, changes)

    async def prepare_restore(self, unit: Writing, changes: Sequence[Change]) -> None:
        """What it is about may have gone to another customer meanwhile."""
        await hold_customers(unit.session)
        customers = await customers_of(unit, [link for change in changes for link in change["links"]])
        for change in changes:
            change.values["customer_id"] = customer_of(change["links"], customers)


async def _settle(unit: Writing, rows: Sequence[Draft | Change]) -> None:
    linking = [row for row in rows if _differs(row, "links")]
    named = [link for row in linking for link in _added(row)]
    if any(link.type != CUSTOMERS.record for row in linking for link in row["links"]):
        await hold_customers(unit.session)
    visible = await visible_links(unit, named)
    customers = await customers_of(unit, [link for row in linking for link in row["links"]])
    # Customers that are named themselves were looked at already.
    through = {link: customers[link] for link in visible if link in customers and link.type != CUSTOMERS.record}
    deleted = await deleted_customers(unit, set(through.values()))
    visible -= {link for link, customer in through.items() if customer in deleted}
    for row in rows:
        try:
            _settle_row(unit, row, visible, customers)
        except Refusal as refusal:
            row.refuse(refusal)


def _settle_row(
    unit: Writing, row: Draft | Change, visible: Collection[Link], customers: Mapping[Link, uuid.UUID]
) -> None:
    """Fill what follows from what was given. Raises its refusal."""
    if _differs(row, "happened_at") and needs_backdate(row["happened_at"], unit.now):
        unit.require(_BACKDATE)
    if _differs(row, "links"):
        check_links(row["links"], visible, _present(row, "links"))
        row.values["customer_id"] = customer_of(row["links"], customers)
    if _differs(row, "participants"):
        check_participants(row["participants"] or (), unit.directory.users, _present(row, "participants"))


def _added(row: Draft | Change) -> list[Link]:
    """The links that the row names newly."""
    present = _present(row, "links")
    return [link for link in row["links"] if link not in present]


def _present(row: Draft | Change, name: str) -> Collection[Any]:
    """What the list has before the request; of a new row nothing."""
    return () if isinstance(row, Draft) else row.record.values[name]


def _differs(row: Draft | Change, name: str) -> bool:
    """Whether the row has another value than before; a new one has in all."""
    return isinstance(row, Draft) or (name in row.values and row.values[name] != row.record[name])


ACTIVITY = RecordType(
    service="sales",
    name="activity",
    plural="activities",
    title="Activity",
    titles={"ko": "활동", "zh": "活动记录", "ru": "Активность"},
    table=activity,
    events=ACTIVITY_EVENTS,
    state=ActivityState,
    fields=ACTIVITY_FIELDS,
    number="ACT-{yy}{mm}-{n:05}",
    hooks=ActivityHooks(),
    default_sort="-happened_at",
    # What happened stays with who did it; what was planned with it is a task, which somebody must do (ID-6).
    open=open_before("next_contact_at"),
)
