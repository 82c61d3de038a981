"""Random organisations with records, as plain data: what the oracle reads, and what is written into the services' databases.

Imports nothing of the product. Ids are texts (UUIDs), instants are datetimes.
"""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from random import Random
from typing import Any

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
#: What others are below stands before them.
RECORDS = (
    "customers.customer",
    "customers.contact",
    "sales.opportunity",
    "sales.activity",
    "support.ticket",
    "billing.contract",
    "billing.payment",
)
CLASSES = ("read", "write", "delete", "transfer", "export")
RULES = ("self", "peers", "subordinates", "department", "department_tree", "all")
#: From here on every membership with an end has ended.
LATER = dt.timedelta(hours=2)


@dataclass
class Record:
    """One record. members: {"user", "right", "expires_at"}. pool: of a customer that waits in one. contract: of a payment.

    outcome: of an opportunity; of contracts and payments the status that analytics hears of (billing has them as they can be changed).
    """

    id: str
    type: str
    name: str
    owner: str | None
    members: list[dict[str, Any]]
    deleted: bool
    number: int
    day: dt.date
    customer: str | None = None
    pool: str | None = None
    contract: str | None = None
    outcome: str = "open"
    minor: int = 0
    credited: str | None = None

    @property
    def ref(self) -> dict[str, str]:
        return {"system": "test", "id": self.name}


@dataclass
class Pool:
    """A public pool: who administers it, who claims from it."""

    id: str
    administrators: list[str]
    users: list[str]
    departments: list[str]


@dataclass
class World:
    """An organisation (see oracle.py), its callers' roles, its records."""

    seed: int
    organisation: dict[str, Any]
    active: set[str]
    roles: dict[str, list[dict[str, dict[str, str]]]]
    records: list[Record] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)

    def of(self, record_type: str) -> list[Record]:
        return [record for record in self.records if record.type == record_type]


def make(seed: int, *, users: int = 14, depth: int = 5, records: int = 12, callers: int = 3) -> World:
    """A world of about this size; the same for the same numbers."""
    random = Random(seed)

    def new_id() -> str:
        return str(uuid.UUID(int=random.getrandbits(128), version=4))

    departments = _departments(random, new_id, depth)
    people = _people(random, new_id, departments, random.randint(2, users))
    sets = {
        new_id(): {
            "departments": random.sample(list(departments), min(len(departments), random.randint(0, 2))),
            "subtrees": random.sample(list(departments), min(len(departments), random.randint(0, 2))),
            "deleted": random.random() < 0.2,
        }
        for _ in range(2)
    }
    organisation = {"users": people, "departments": departments, "sets": sets}
    active = {user for user in people if random.random() < 0.85}
    chosen = random.sample(list(people), min(len(people), callers))
    active |= set(chosen)
    named = [*sets, new_id()]
    world = World(seed, organisation, active, {user: _roles(random, named) for user in chosen})
    # Whatever is drawn, there is somebody with each kind of sight now and then; and who sees all meets who sees little.
    world.pools = [
        Pool(new_id(), _some(random, people, 1), _some(random, people, 2), _some(random, departments, 1))
        for _ in range(2)
    ]
    _add_records(random, new_id, world, records)
    return world


def _some(random: Random, choices: Any, most: int) -> list[str]:
    return random.sample(list(choices), min(len(choices), random.randint(0, most)))


def _departments(random: Random, new_id: Any, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    levels: list[list[str]] = [[]]
    for level in range(random.randint(1, depth)):
        above = levels[-1]
        levels.append([new_id() for _ in range(random.randint(1, 2))])
        for one in levels[-1]:
            found[one] = {
                "parent": random.choice(above) if above else None,
                "deleted": level > 0 and random.random() < 0.08,
            }
    return found


def _people(random: Random, new_id: Any, departments: dict[str, Any], count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number in range(count):
        above = random.choice(list(found)) if found and random.random() < 0.85 else None
        found[new_id()] = {
            "department": random.choice(list(departments)),
            "superior": new_id() if number and random.random() < 0.04 else above,
            "super_admin": random.random() < 0.1,
        }
    return found


def _roles(random: Random, sets: list[str]) -> list[dict[str, dict[str, str]]]:
    """One to three roles: record key → action class → rule, each with the same rights to act; `*` stands for all of its kind."""

    def rule() -> str:
        return f"departments:{random.choice(sets)}" if random.random() < 0.15 else random.choice(RULES)

    def classes() -> dict[str, str]:
        found = {"*": rule()} if random.random() < 0.8 else {}
        return found | {name: rule() for name in CLASSES if random.random() < 0.4}

    roles = []
    for _ in range(random.choice((1, 1, 2, 3))):
        keys = [*RECORDS, "customers.*", "sales.*", "support.*", "billing.*", "*", "identity.user", "analytics.event"]
        role = {key: classes() for key in keys if random.random() < 0.45}
        roles.append(role or {"*": {"*": rule()}})
    return roles


def _add_records(random: Random, new_id: Any, world: World, count: int) -> None:
    people = list(world.organisation["users"])
    ends = [None, NOW - dt.timedelta(days=1), NOW, NOW + dt.timedelta(microseconds=1), NOW + dt.timedelta(hours=1)]
    # Those who call are met more often, as owners and as members: else little of what is drawn would concern them.
    likely = [*people, *world.roles, *world.roles]

    def owner() -> str | None:
        return random.choices([random.choice(likely), new_id(), None], [0.9, 0.05, 0.05])[0]

    def members() -> list[dict[str, Any]]:
        chosen = dict.fromkeys(random.choice(likely) for _ in range(random.choice((0, 0, 1, 2))))
        return [
            {"user": user, "right": random.choice(("read", "write")), "expires_at": random.choice(ends)}
            for user in chosen
        ]

    for record_type in RECORDS:
        for number in range(count):
            record = Record(
                id=new_id(),
                type=record_type,
                name=f"{record_type.split('.')[1]} {random.getrandbits(40):010x}",
                owner=owner(),
                members=members(),
                deleted=random.random() < 0.12,
                number=random.randint(0, 5),
                day=NOW.date() - dt.timedelta(days=random.randint(0, 60)),
            )
            if record_type == "customers.customer" and random.random() < 0.2:
                record.owner, record.pool = None, random.choice(world.pools).id
            elif record_type == "billing.payment":
                record.contract = random.choice(world.of("billing.contract")).id
            elif record_type != "customers.customer":
                record.customer = random.choice(world.of("customers.customer")).id
            if record_type == "sales.opportunity":
                record.outcome = random.choice(("open", "won", "lost"))
                record.minor = random.randint(1, 10**6)
            elif record_type == "billing.contract":
                record.outcome = random.choice(("draft", "active", "active", "terminated"))
                record.minor = random.randint(1, 10**6)
            elif record_type == "billing.payment":
                record.outcome = random.choice(("pending", "approved", "approved"))
                record.minor = random.randint(1, 10**6)
            record.credited = record.owner
            if record.contract is not None:
                # A payment counts for whose contract it is, and for its customer.
                (its_contract,) = [one for one in world.of("billing.contract") if one.id == record.contract]
                record.credited, record.customer = its_contract.owner, its_contract.customer
            record.number = number if random.random() < 0.5 else record.number
            world.records.append(record)
