"""Tickets by the agents who take them, with replies, up to the status that each is to have."""

from collections.abc import Sequence
from typing import Any

from crm_stack.demo.company.facts import Reply, Ticket
from crm_stack.demo.company.load.market import grouped
from crm_stack.demo.company.load.staff import Staff, ref

_PATH = "/api/support/v1/tickets"
_ENDED = ("solved", "closed")


def load_tickets(staff: Staff) -> None:
    """Enter them, then answer each."""
    new = [one for one in staff.plan.tickets if one.key not in staff.known["ticket"]]
    rows = grouped(new, lambda one: one.agent, lambda one: _row(staff, one))
    staff.rows("tickets", f"{_PATH}/batch", rows, mode="upsert")
    asked = [one for one in staff.plan.tickets if _is_undone(staff.known["ticket"].get(one.key), one)]
    left = {one.key: one.replies for one in asked}
    seen = [one for one in asked if one.replies and one.key in staff.known["ticket"]]
    staff.spread(seen, lambda one: left.update({one.key: one.replies[_written(staff, one) :]}))
    undone = [one for one in asked if left[one.key] or one.status not in ("new", "open")]
    staff.each("answered", undone, lambda one: _answer(staff, one, left[one.key]))


def _row(staff: Staff, one: Ticket) -> dict[str, Any]:
    asking = {"contact_id": staff.ids[one.contact]} if one.contact else {}
    stranger = {"stranger_name": one.stranger[0], "stranger_phone": one.stranger[1]} if one.stranger else {}
    return {
        "external_ref": ref(one.key),
        "subject": one.subject,
        "description": one.description,
        "channel": one.channel,
        "priority": one.priority,
        "queue": one.queue,
        "tags": [one.tag],
        **asking,
        **stranger,
        **({"owner_id": staff.ids[one.agent]} if one.claimed else {}),
    }


def _is_undone(seen: Any, one: Ticket) -> bool:
    """Whether there is something left to do with it. Replies come before a ticket gets the status that it is to have."""
    if seen is None:
        return bool(one.replies) or one.status not in ("new", "open")
    return bool(seen["deleted_at"] is None and (seen["status"] in ("new", "open") or seen["status"] != one.status))


def _written(staff: Staff, one: Ticket) -> int:
    """How many replies there were before this load."""
    return len(list(staff.person(one.agent).pages(f"{_PATH}/{staff.ids[one.key]}/replies")))


def _answer(staff: Staff, one: Ticket, replies: Sequence[Reply]) -> None:
    agent, path = staff.person(one.agent), f"{_PATH}/{staff.ids[one.key]}"
    for reply in replies:
        body = {"text": reply.text, "visibility": reply.visibility, "author": reply.author}
        agent.once("POST", f"{path}/replies", body)
    if one.status in ("new", "open"):
        return
    status = staff.known["ticket"].get(one.key, {}).get("status")
    if status not in _ENDED:
        agent.once("POST", f"{path}/move", {"status": "solved" if one.status == "closed" else one.status})
    if one.status == "closed":
        agent.once("POST", f"{path}/move", {"status": "closed"})
