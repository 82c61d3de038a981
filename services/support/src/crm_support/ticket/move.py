"""A ticket gets another status: one event."""

import uuid

from crm_contracts.support import TicketMoved
from crm_records import Change, Record, write_changes
from crm_support.ticket.record import TICKET, progress_of, progress_values
from crm_support.ticket.rules import Status, check_assigned, moved
from crm_support.ticket.waiting import lock_ticket
from crm_web import WriteUnit


async def move(unit: WriteUnit, ticket_id: uuid.UUID, target: Status, reason: str | None) -> Record:
    """Give a ticket a status; nothing happens when it has it already.

    Raises NotFound, RecordOutOfScope, Stale, MoveNotAllowed, ReopenTooLate, NotAssigned.
    """
    found = await lock_ticket(unit, ticket_id, "write")
    before = progress_of(found)
    after = moved(before, target, unit.now)
    if after == before:
        return found
    check_assigned(after.status, found.owner_id is not None)
    change = Change(
        index=0,
        record=found,
        values=progress_values(after),
        extra={"from_status": before.status, "to_status": after.status, "reason": reason},
    )
    await write_changes(unit, TICKET, [change], TicketMoved)
    return change.after or found
