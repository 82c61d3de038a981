"""Tickets that nobody sees to: besides whom the data scope lets see everything, the members of their queue see and take them."""

import datetime as dt
import uuid
from collections.abc import Sequence

from crm_authz import Scope
from crm_authz.rules import ActionClass
from crm_database import ReadSession
from crm_kernel import NotFound
from crm_records import (
    Record,
    SystemUnit,
    all_columns,
    lock_records,
    read_record,
    record_of,
    refuse_out_of_scope,
)
from crm_support.queue.actions import is_member
from crm_support.queue.store import queues_of
from crm_support.ticket import store
from crm_support.ticket.record import TICKET
from crm_support.ticket.rules import UNDONE
from crm_web import ReadUnit, WriteUnit

_REASON = "what waits in a queue is its members', whatever their scope; that is judged before anything is shown or done"


async def waiting(
    session: ReadSession, queues: Sequence[str], after: tuple[dt.datetime, uuid.UUID] | None, limit: int
) -> list[Record]:
    """The tickets waiting in these queues, the oldest first; whoever calls has checked that the caller is a member of each."""
    rows = await store.waiting_rows(session, all_columns(TICKET), queues, after, limit)
    return [record_of(TICKET, row) for row in rows]


async def in_my_queue(unit: ReadUnit | WriteUnit, found: Record) -> bool:
    """Whether the ticket waits, and the caller is a member of the queue that it waits in."""
    if found.owner_id is not None or found["status"] not in UNDONE:
        return False
    return await _is_mine(unit, found["queue"])


async def was_in_my_queue(unit: WriteUnit, found: Record) -> bool:
    """Whether the caller is a member of the queue that the ticket, which is somebody's now, was taken from."""
    if found.owner_id is None or found["taken_from"] is None:
        return False
    return await _is_mine(unit, found["taken_from"])


async def _is_mine(unit: ReadUnit | WriteUnit, key: str) -> bool:
    return is_member(unit, (await queues_of(unit.session, [key])).get(key))


async def see_ticket(unit: ReadUnit, ticket_id: uuid.UUID) -> Record:
    """A ticket that the caller's scope reaches, or that waits in a queue of the caller's. Raises NotFound."""
    try:
        return await read_record(unit.session, TICKET, unit.scope(TICKET.key, "read"), ticket_id)
    except NotFound:
        found = await read_record(unit.session, TICKET, Scope.system(_REASON, record_type=TICKET.key), ticket_id)
        if not await in_my_queue(unit, found):
            raise NotFound from None
        return found


async def lock_any(unit: WriteUnit, ticket_id: uuid.UUID) -> Record:
    """A ticket, locked, whoever may see it: to be judged under the lock. Raises NotFound for one that isn't there."""
    system = SystemUnit(session=unit.session, directory=unit.directory, calendar=unit.calendar, reason=_REASON)
    found = (await lock_records(system, TICKET, [ticket_id])).get(ticket_id)
    if found is None:
        raise NotFound
    return found


def sees(unit: WriteUnit, found: Record) -> bool:
    """Whether the caller's scope reaches the ticket."""
    return unit.scope(TICKET.key, "read").reaches(found.owner_id, found.members)


async def lock_ticket(unit: WriteUnit, ticket_id: uuid.UUID, action: ActionClass) -> Record:
    """A ticket, locked, with which the caller may do this: by scope, or because it waits in a queue of the caller's.

    Raises NotFound, RecordOutOfScope; Stale when If-Match doesn't match.
    """
    found = await lock_any(unit, ticket_id)
    refusal = refuse_out_of_scope(unit, TICKET, found, action)
    seen = sees(unit, found)
    if (refusal is not None or not seen) and not await in_my_queue(unit, found):
        if refusal is None or not seen:
            raise NotFound
        raise refusal
    unit.require_match(found.version)
    return found
