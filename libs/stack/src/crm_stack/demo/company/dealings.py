"""What people did for their customers, and what customers asked. Pure."""

import datetime as dt
from collections.abc import Mapping
from random import Random

from crm_stack.demo.company.chance import generator
from crm_stack.demo.company.facts import Activity, Contact, Customer, Opportunity, Person, Reply, Ticket, TicketStatus
from crm_stack.demo.company.market import phone
from crm_stack.demo.company.moments import Moments
from crm_stack.demo.company.people import AGENTS, person_name
from crm_stack.demo.company.words import LANGUAGES, Language

#: Queues besides `general`: key → name.
QUEUES = {"devices": "Devices", "orders": "Orders and invoices"}
_QUEUE_OF = {"delivery": "orders", "invoice": "orders", "question": "general"}
_MINUTES = {"call": (3, 40), "email": (5, 30), "visit": (45, 240), "meeting": (30, 120), "note": (0, 0)}
_STATUSES: tuple[TicketStatus, ...] = (
    "new",
    "open",
    "open",
    "open",
    "pending",
    "pending",
    "on_hold",
    "solved",
    "solved",
    "solved",
    "closed",
    "closed",
)
_CHANNELS = ("phone", "email", "email", "web", "chat", "api")
_PRIORITIES = ("low", "normal", "normal", "normal", "high", "urgent")


def plan_activities(
    seed: int,
    moments: Moments,
    customers: Mapping[str, Customer],
    contacts: Mapping[str, Contact],
    opportunities: Mapping[str, Opportunity],
    count: int,
) -> tuple[Activity, ...]:
    """Activities, oldest first: about opportunities while they were open, about customers and contacts at any time."""
    rng = generator(seed, "activities")
    kept = {key: one for key, one in customers.items() if one.fate == "kept"}
    deals = [one for one in opportunities.values() if one.customer in kept]
    people = [one for one in contacts.values() if one.customer in kept]
    found: list[Activity] = []
    for number in range(1, count + 1):
        if rng.random() < 0.7 and deals:
            deal = rng.choice(deals)
            links = [("sales.opportunity", deal.key)]
            contact = contacts[deal.contact] if deal.contact else None
            first, last = deal.opened.date(), (deal.ended.date() if deal.ended else moments.last)
            customer = kept[deal.customer]
        else:
            contact = rng.choice(people)
            customer = kept[contact.customer]
            links = [("customers.customer", customer.key)] if rng.random() < 0.5 else []
            first, last = moments.first, moments.last
        if contact is not None:
            links.append(("customers.contact", contact.key))
        key = f"activity/{number:05}"
        day = first + dt.timedelta(days=rng.randint(0, max(0, (last - first).days)))
        found.append(_activity(rng, moments, key, customer, contact, tuple(links), day))
    return tuple(sorted(found, key=lambda one: (one.happened, one.key)))


def _activity(
    rng: Random,
    moments: Moments,
    key: str,
    customer: Customer,
    contact: Contact | None,
    links: tuple[tuple[str, str], ...],
    day: dt.date,
) -> Activity:
    language = LANGUAGES[customer.language]
    kind = rng.choices(("call", "email", "visit", "meeting", "note"), (40, 30, 12, 10, 8))[0]
    text = rng.choice(language.notes) if contact is not None and rng.random() < 0.6 else None
    happened = moments.at(language, day, rng)
    recent = (moments.day - day).days < 30
    return Activity(
        key=key,
        owner=customer.owner,
        kind=kind,
        subject=rng.choice(language.kinds[kind]),
        text=text.format(contact=contact.name) if text and contact else None,
        happened=happened,
        minutes=rng.randint(*_MINUTES[kind]),
        direction="none" if kind in ("visit", "meeting", "note") else rng.choice(("in", "out", "out")),
        links=links,
        next_contact=happened + dt.timedelta(days=rng.randint(3, 45)) if recent and rng.random() < 0.6 else None,
    )


def plan_tickets(
    seed: int,
    people: Mapping[str, Person],
    customers: Mapping[str, Customer],
    contacts: Mapping[str, Contact],
    count: int,
) -> tuple[Ticket, ...]:
    """Tickets in every status, entered by agents who speak the requester's language."""
    rng = generator(seed, "tickets")
    asking = [one for one in contacts.values() if customers[one.customer].fate == "kept"]
    agents = {
        code: [f"user/support/{n}" for n, spoken in enumerate(AGENTS, start=1) if spoken == code] for code in AGENTS
    }
    found: list[Ticket] = []
    for number in range(1, count + 1):
        contact = None if rng.random() < 0.1 else rng.choice(asking)
        code = rng.choice(AGENTS) if contact is None else customers[contact.customer].language
        agent = people[rng.choice(agents[code])]
        status = _STATUSES[number % len(_STATUSES)]
        found.append(_ticket(rng, f"ticket/{number:04}", LANGUAGES[code], agent.key, contact, status))
    return tuple(found)


def _ticket(
    rng: Random, key: str, language: Language, agent: str, contact: Contact | None, status: TicketStatus
) -> Ticket:
    subject, description, tag = rng.choice(language.tickets)
    stranger = None if contact is not None else (person_name(rng, language), phone(rng, language))
    return Ticket(
        key=key,
        agent=agent,
        claimed=status != "new",
        contact=None if contact is None else contact.key,
        stranger=stranger,
        subject=subject,
        description=description,
        tag=tag,
        channel=rng.choice(_CHANNELS),
        priority=rng.choice(_PRIORITIES),
        queue=_QUEUE_OF.get(tag, "devices"),
        replies=_replies(rng, language, status),
        status=status,
    )


def _replies(rng: Random, language: Language, status: str) -> tuple[Reply, ...]:
    """What was written; never so that a reply would move the ticket away from the status that it is to have."""
    if status == "new":
        return (Reply("staff", "internal", rng.choice(language.internal)),) if rng.random() < 0.2 else ()
    replies = [Reply("staff", "public", rng.choice(language.answers))] if status != "open" or rng.random() < 0.6 else []
    if rng.random() < 0.35:
        replies.append(Reply("requester", "public", rng.choice(language.asked_again)))
        replies.append(Reply("staff", "public", rng.choice(language.answers)))
    if rng.random() < 0.3:
        replies.append(Reply("staff", "internal", rng.choice(language.internal)))
    return tuple(replies)
