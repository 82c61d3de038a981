"""What the sample company consists of. Everything has a key, which is its external reference too; facts name each other by key.

Amounts are whole units of the company's currency, so that every currency can express them. Instants are in UTC.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Fate = Literal["kept", "pooled", "deleted"]
TicketStatus = Literal["new", "open", "pending", "on_hold", "solved", "closed"]
Ending = Literal["draft", "void", "in_approval", "rejected", "active", "terminated"]


@dataclass(frozen=True)
class Department:
    """A node of the organisation. parent: None directly below the company. manager: who leads it."""

    key: str
    name: str
    area: Literal["sales", "collections", "other"]
    parent: str | None
    manager: str


@dataclass(frozen=True)
class Person:
    """A user. email: what they log in with. role: key of a shipped role. department: None: the company itself. superior: whom they
    report to."""

    key: str
    name: str
    email: str
    role: str
    position: str
    department: str | None
    superior: str | None
    language: str


@dataclass(frozen=True)
class Product:
    """Something that is sold, at a price per piece."""

    key: str
    code: str
    name: str
    category: str
    price: int


@dataclass(frozen=True)
class Customer:
    """A customer. since: when they were met. fate: what becomes of them in the end, because of `reason`."""

    key: str
    name: str
    language: str
    owner: str
    since: dt.datetime
    industry: str
    employees: int
    founded: int
    revenue: int
    phone: str
    address: str
    source: str
    grade: str | None
    fate: Fate
    reason: str | None


@dataclass(frozen=True)
class Contact:
    """Somebody at a customer. primary: to be asked first."""

    key: str
    customer: str
    name: str
    job: str
    decision_role: str
    phone: str
    primary: bool


@dataclass(frozen=True)
class Line:
    """A product on an opportunity. discount: whole percents of its price."""

    product: str
    quantity: int
    discount: int


@dataclass(frozen=True)
class Opportunity:
    """A possible sale. value: what the lines come to, or an estimate while there are none. steps: stages entered after the first, by
    position, and when. outcome, ended, reason: how, when and why it ended or was held."""

    key: str
    name: str
    customer: str
    contact: str | None
    owner: str
    products: tuple[str, ...]
    lines: tuple[Line, ...]
    value: int
    source: str
    opened: dt.datetime
    steps: tuple[tuple[int, dt.datetime], ...]
    outcome: Literal["open", "won", "lost", "on_hold"]
    ended: dt.datetime | None
    reason: str | None
    deadline: dt.date | None
    next_step: str | None


@dataclass(frozen=True)
class Contract:
    """A contract from a won opportunity. ending: what it comes to in the end. instalments: amount and day."""

    key: str
    opportunity: str
    owner: str
    ending: Ending
    signed: dt.date
    starts: dt.date
    ends: dt.date
    our_signatory: str
    their_signatory: str | None
    terms: str
    instalments: tuple[tuple[int, dt.date], ...]
    comment: str | None


@dataclass(frozen=True)
class Payment:
    """Money that came in for a contract. recorder: who enters it. ending: what becomes of it. comment: why it is rejected."""

    key: str
    contract: str
    recorder: str
    amount: int
    paid: dt.date
    method: str
    reference: str
    ending: Literal["approved", "pending", "rejected"]
    comment: str | None


@dataclass(frozen=True)
class Activity:
    """What somebody did. links: record type and key of what it was about."""

    key: str
    owner: str
    kind: str
    subject: str
    text: str | None
    happened: dt.datetime
    minutes: int
    direction: str
    links: tuple[tuple[str, str], ...]
    next_contact: dt.datetime | None


@dataclass(frozen=True)
class Reply:
    """What was written in a ticket: by the requester, by staff, or internally among staff."""

    author: Literal["staff", "requester"]
    visibility: Literal["public", "internal"]
    text: str


@dataclass(frozen=True)
class Ticket:
    """A request. agent: who enters it; claimed: and sees to it. stranger: name and address of somebody unknown, else contact.
    status: what it ends in."""

    key: str
    agent: str
    claimed: bool
    contact: str | None
    stranger: tuple[str, str] | None
    subject: str
    description: str
    tag: str
    channel: str
    priority: str
    queue: str
    replies: tuple[Reply, ...]
    status: TicketStatus


@dataclass(frozen=True)
class Size:
    """How much of what there is; people and departments are always the same."""

    customers: int
    opportunities: int
    activities: int
    contracts: int
    tickets: int


#: What `./crm up --demo` loads.
WHOLE = Size(customers=400, opportunities=1500, activities=1800, contracts=240, tickets=200)


@dataclass(frozen=True)
class Company:
    """The whole plan. day: what is today in it, at most six days before it is loaded; nothing of it happens later, but what is due or
    promised."""

    seed: int
    day: dt.date
    departments: tuple[Department, ...]
    people: Mapping[str, Person]
    products: tuple[Product, ...]
    customers: Mapping[str, Customer]
    contacts: Mapping[str, Contact]
    opportunities: Mapping[str, Opportunity]
    contracts: Mapping[str, Contract]
    payments: tuple[Payment, ...]
    activities: tuple[Activity, ...]
    tickets: tuple[Ticket, ...]
