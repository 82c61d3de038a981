"""What staff and requesters write in a ticket (SU-2): kept, told, and what it does to the status."""

import uuid
from typing import Any

from crm_contracts.support import TicketReplied
from crm_kernel import new_id
from crm_records import Change, Record, write_changes
from crm_support.ticket import store
from crm_support.ticket.record import TICKET, progress_of, progress_values
from crm_support.ticket.rules import Author, Visibility, replied
from crm_support.ticket.waiting import lock_ticket
from crm_web import WriteUnit


async def write_reply(
    unit: WriteUnit, ticket_id: uuid.UUID, author: Author, visibility: Visibility, text: str
) -> tuple[Record, dict[str, Any]]:
    """One more reply; answers the ticket as it is then, and the reply.

    author: who says it; what a requester wrote is entered by whoever received it. Raises NotFound, RecordOutOfScope, Stale, TicketClosed,
    ReopenTooLate, RequesterInternal.
    """
    found = await lock_ticket(unit, ticket_id, "write")
    after = replied(progress_of(found), author, visibility, unit.now)
    written: dict[str, Any] = {
        "id": new_id(),
        "ticket_id": found.id,
        "position": await store.last_position(unit.session, found.id) + 1,
        "author": author,
        "author_id": unit.session.context.actor_id,
        "visibility": visibility,
        "text": text,
        "created_at": unit.now,
    }
    change = Change(
        index=0,
        record=found,
        values=progress_values(after),
        always=True,
        extra={
            "reply_id": written["id"],
            "author": author,
            "visibility": visibility,
            "text": text if visibility == "public" else None,
            "length": len(text),
        },
    )
    await write_changes(unit, TICKET, [change], TicketReplied)
    await store.add_reply(unit.session, written)
    return change.after or found, written
