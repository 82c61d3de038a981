"""Who sees to a ticket, and in which queue it waits (SU-3): claimed from the queue, assigned, given back; one event each."""

import uuid

from crm_contracts.support import TicketAssigned
from crm_kernel import FieldError, NotFound
from crm_records import (
    Change,
    OwnerNotActive,
    Record,
    RecordOutOfScope,
    forget_new_owners,
    without_new_owner,
    write_changes,
)
from crm_support.queue.rules import queue_unknown
from crm_support.queue.store import queues_of
from crm_support.ticket.record import TICKET, taken_values
from crm_support.ticket.rules import AlreadyAssigned, TicketClosed, check_assigned
from crm_support.ticket.waiting import in_my_queue, lock_any, lock_ticket, sees, was_in_my_queue
from crm_web import WriteUnit


async def claim(unit: WriteUnit, ticket_id: uuid.UUID) -> Record:
    """The caller takes a ticket that nobody sees to; exactly one of many who try at once gets it. Once more changes nothing.

    That somebody was faster is told to who sees the ticket, and to those who saw it waiting: the members of the queue it was taken
    from. Raises NotFound, RecordOutOfScope, TicketClosed, AlreadyAssigned, Stale.
    """
    found = await lock_any(unit, ticket_id)
    member, seen = await in_my_queue(unit, found), sees(unit, found)
    if not member and not seen and not await was_in_my_queue(unit, found):
        raise NotFound
    if found.owner_id == unit.caller.user_id:
        return found
    if found["status"] == "closed":
        raise TicketClosed
    if found.owner_id is not None:
        raise AlreadyAssigned
    if not member and not unit.scope(TICKET.key, "write").reaches(None, found.members):
        raise RecordOutOfScope
    unit.require_match(found.version)
    return await _give(unit, found, unit.caller.user_id, found["queue"], None)


async def assign(
    unit: WriteUnit, ticket_id: uuid.UUID, user_id: uuid.UUID | None, queue: str | None, reason: str | None
) -> Record:
    """Make somebody see to a ticket, or nobody (None): then it waits. queue: in which; None: as it is. Nothing happens when all is so.

    Raises NotFound, RecordOutOfScope, Stale, TargetOutOfScope, OwnerNotActive, QueueUnknown, NotAssigned.
    """
    found = await lock_ticket(unit, ticket_id, "transfer")
    if user_id is not None and user_id != found.owner_id:
        unit.scope(TICKET.key, "transfer").require_target(user_id)
        if not unit.directory.is_active(user_id):
            raise OwnerNotActive(errors=[FieldError("/user_id", OwnerNotActive.code, "No such active user")])
    target = queue or found["queue"]
    if target != found["queue"] and target not in await queues_of(unit.session, [target]):
        raise queue_unknown()
    check_assigned(found["status"], user_id is not None or found.owner_id is None)
    return await _give(unit, found, user_id, target, reason)


async def _give(unit: WriteUnit, found: Record, to: uuid.UUID | None, queue: str, reason: str | None) -> Record:
    if (to, queue) == (found.owner_id, found["queue"]):
        return found
    values: dict[str, object] = {"queue": queue}
    if to is not None:
        values |= taken_values(found)
    change = Change(
        index=0,
        record=found,
        values=values,
        owner_id=to,
        owner_changes=True,
        extra={
            "from_user_id": found.owner_id,
            "to_user_id": to,
            "from_queue": found["queue"],
            "to_queue": queue,
            "reason": reason,
        },
    )
    without_new_owner(change)
    await forget_new_owners(unit.session, TICKET, await write_changes(unit, TICKET, [change], TicketAssigned))
    return change.after or found
