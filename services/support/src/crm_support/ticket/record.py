"""The ticket as a record type: its hooks say what must hold when one is created, changed or handed over (SU-1)."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from crm_contracts.support import TICKET_EVENTS, TicketState
from crm_kernel.errors import Refusal
from crm_records import Beside, Change, Draft, Record, RecordHooks, RecordType, Writing, open_while
from crm_support.queue.rules import QueueUnknown
from crm_support.ticket.bodies import CustomerView
from crm_support.ticket.known import known_for
from crm_support.ticket.requester import customers_seen
from crm_support.ticket.rules import (
    UNDONE,
    ContactElsewhere,
    ContactUnknown,
    CustomerUnknown,
    Progress,
    QueueByAssign,
    RequesterMissing,
    taken,
)
from crm_support.ticket.settle import settle_change, settle_draft
from crm_support.ticket.tables import TICKET_FIELDS, ticket
from crm_web import ReadUnit


class TicketHooks(RecordHooks):
    """Requester, queue and status of new and changed tickets."""

    refusals: ClassVar = {
        "create": (QueueUnknown, RequesterMissing, CustomerUnknown, ContactUnknown, ContactElsewhere),
        "change": (QueueByAssign, RequesterMissing, CustomerUnknown, ContactUnknown, ContactElsewhere),
    }

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        known = await known_for(unit, drafts)
        for draft in drafts:
            try:
                settle_draft(known, draft)
            except Refusal as refusal:
                draft.refuse(refusal)

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        known = await known_for(unit, changes)
        for change in changes:
            try:
                settle_change(known, change)
            except Refusal as refusal:
                change.refuse(refusal)

    async def prepare_transfer(
        self,
        unit: Writing,  # noqa: ARG002  (for those who need more than the rows)
        changes: Sequence[Change],
    ) -> None:
        for change in changes:
            change.values |= taken_values(change.record)

    async def read_beside(
        self,
        unit: ReadUnit,
        name: str,  # noqa: ARG002  (there is only one)
        ids: Sequence[uuid.UUID],
    ) -> Mapping[uuid.UUID, Any]:
        seen = await customers_seen(unit, ids)
        return {key: {"id": str(key), "number": copy["number"], "name": copy["name"]} for key, copy in seen.items()}


TICKET = RecordType(
    service="support",
    name="ticket",
    plural="tickets",
    title="Ticket",
    titles={"ko": "티켓", "zh": "工单", "ru": "Заявка"},
    table=ticket,
    events=TICKET_EVENTS,
    state=TicketState,
    fields=TICKET_FIELDS,
    number="TCK-{yy}{mm}-{n:05}",
    hooks=TicketHooks(),
    open=open_while("status", *UNDONE),
    beside={
        "customer": Beside(
            "customer_id",
            CustomerView,
            {"id": "01900000-0000-7000-8000-000000000006", "number": "AACC-2603-0001", "name": "주식회사 예시"},
        )
    },
)


def progress_of(found: Record) -> Progress:
    """How far a ticket is."""
    return Progress(found["status"], found["solved_at"], found["first_response_at"])


def progress_values(progress: Progress) -> dict[str, object]:
    """The fields that say how far a ticket is."""
    return {
        "status": progress.status,
        "solved_at": progress.solved_at,
        "first_response_at": progress.first_response_at,
    }


def taken_values(found: Record) -> dict[str, object]:
    """The fields that follow from somebody being made to see to a ticket: how far it is, and the queue it was taken from."""
    values = progress_values(taken(progress_of(found)))
    return values if found.owner_id is not None else {**values, "taken_from": found["queue"]}
