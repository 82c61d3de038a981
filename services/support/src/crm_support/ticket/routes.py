"""Tickets over HTTP: the standard operations, who sees to them, statuses, replies, who asks."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from crm_authz import TargetOutOfScope
from crm_kernel import NotFound, Stale
from crm_records import Id, OwnerNotActive, Record, RecordOutOfScope, record_router, to_bytes, whole
from crm_support.queue.rules import QueueUnknown
from crm_support.ticket import assign, move, replies, requester, store
from crm_support.ticket.bodies import (
    AssignBody,
    ContactView,
    CustomerView,
    MoveBody,
    ReplyBody,
    ReplyList,
    ReplyView,
    RequesterView,
    StrangerView,
)
from crm_support.ticket.record import TICKET
from crm_support.ticket.rules import (
    AlreadyAssigned,
    MoveNotAllowed,
    NotAssigned,
    ReopenTooLate,
    RequesterInternal,
    TicketClosed,
)
from crm_support.ticket.waiting import see_ticket
from crm_web import Json, ReadUnit, Router, WriteUnit

router: Router = record_router(TICKET)

_SEEN = (NotFound, RecordOutOfScope, Stale)


@router.post(
    "/tickets/{id}/claim",
    permission="support.ticket:claim",
    summary="Take a ticket that waits in a queue of yours",
    errors=[*_SEEN, AlreadyAssigned, TicketClosed],
    response=TICKET.models.view,
)
async def claim_ticket(id: Id, unit: WriteUnit) -> Json:
    return await _answer(unit, await assign.claim(unit, id))


@router.post(
    "/tickets/{id}/assign",
    permission="support.ticket:assign",
    summary="Make somebody see to a ticket, or let it wait in a queue",
    errors=[*_SEEN, TargetOutOfScope, OwnerNotActive, QueueUnknown, NotAssigned],
    response=TICKET.models.view,
)
async def assign_ticket(id: Id, body: AssignBody, unit: WriteUnit) -> Json:
    return await _answer(unit, await assign.assign(unit, id, body.user_id, body.queue, body.reason))


@router.post(
    "/tickets/{id}/move",
    permission="support.ticket:update",
    summary="Give a ticket another status",
    errors=[*_SEEN, MoveNotAllowed, ReopenTooLate, NotAssigned],
    response=TICKET.models.view,
)
async def move_ticket(id: Id, body: MoveBody, unit: WriteUnit) -> Json:
    return await _answer(unit, await move.move(unit, id, body.status, body.reason))


@router.post(
    "/tickets/{id}/replies",
    permission="support.ticket:update",
    summary="Answer a ticket, note something for staff, or enter what the requester wrote",
    status=201,
    errors=[*_SEEN, TicketClosed, ReopenTooLate, RequesterInternal],
    response=ReplyView,
)
async def reply_to_ticket(id: Id, body: ReplyBody, unit: WriteUnit) -> Json:
    found, written = await replies.write_reply(unit, id, body.author, body.visibility, body.text)
    return Json(to_bytes(ReplyView(**written).model_dump()), status=201, etag=found.version)


@router.get(
    "/tickets/{id}/replies",
    permission="support.ticket:read",
    summary="What was written in a ticket, oldest first",
    errors=[NotFound],
)
async def list_ticket_replies(
    id: Id,
    unit: ReadUnit,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=4000)] = None,
) -> ReplyList:
    await see_ticket(unit, id)
    bound = ["replies", str(id)]
    after = 0 if cursor is None else int(unit.open_cursor(cursor, query=bound)[0])
    rows = await store.replies_of(unit.session, id, after, limit + 1)
    following = unit.sign_cursor([rows[limit - 1]["position"]], query=bound) if len(rows) > limit else None
    return ReplyList(items=[ReplyView(**dict(row)) for row in rows[:limit]], next=following)


@router.get(
    "/tickets/{id}/requester",
    permission="support.ticket:read",
    summary="Who asks, as far as you may see them",
    errors=[NotFound],
)
async def read_ticket_requester(id: Id, unit: ReadUnit) -> RequesterView:
    found = await see_ticket(unit, id)
    customer_id, contact_id = found["customer_id"], found["contact_id"]
    customers = await requester.customers_seen(unit, [customer_id] if customer_id else [])
    contacts = await requester.contacts_seen(unit, [contact_id] if contact_id else [])
    customer, contact = customers.get(customer_id), contacts.get(contact_id)
    stranger = [found[f"stranger_{name}"] for name in ("name", "email", "phone")]
    return RequesterView(
        customer=None
        if customer is None
        else CustomerView(id=customer.id, number=customer["number"], name=customer["name"]),
        contact=None
        if contact is None
        else ContactView(id=contact.id, name=contact["name"], email=contact["email"], phone=contact["phone"]),
        stranger=StrangerView(name=stranger[0], email=stranger[1], phone=stranger[2]) if any(stranger) else None,
    )


async def _answer(unit: WriteUnit, found: Record) -> Json:
    return Json(await whole(unit, TICKET, found), etag=found.version)
