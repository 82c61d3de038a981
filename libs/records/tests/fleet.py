"""A fleet of voyages with gaps and ties in all their values, and a naive oracle: what a list must give, reckoned in Python."""

import datetime as dt
import functools
import random
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crm_database import WriteContext, insert_rows
from crm_kernel import new_id
from crm_kernel.currencies import MINOR_DIGITS

from .conftest import NOW, World
from .sample import voyage

WORDS = (
    "부산",
    "부산항",
    "김철수",
    "Äpfel",
    "apfel",
    "Ёлка",
    "елка",
    "ＡＢＣ",
    "abc",
    "北京",
    "北",
    "100% _x_",
    "a\\b",
    "Zoo",
    "zoo",
)
#: Accents that the search leaves out; written out once more, because this is an oracle.
PLAIN = dict(zip("ёàáâãäåçèéêëìíîïñòóôõöùúûüýÿ", "еaaaaaaceeeeiiiinooooouuuuyy", strict=True))


def fold(text: str) -> str:
    return "".join(PLAIN.get(letter, letter) for letter in unicodedata.normalize("NFKC", text).lower())


@dataclass(repr=False)
class Fleet:
    """All voyages as Python values, deleted ones too; and who shares in which until when."""

    rows: list[dict[str, Any]]
    members: dict[tuple[uuid.UUID, uuid.UUID], dt.datetime | None]
    ports: list[uuid.UUID]

    def visible(self, user: uuid.UUID, owners: set[uuid.UUID] | None, now: dt.datetime = NOW) -> list[dict[str, Any]]:
        """What somebody may see who reaches these owners (None: everybody). Deleted ones aside."""
        return [row for row in self.rows if row["deleted_at"] is None and self._sees(row, user, owners, now)]

    def _sees(self, row: dict[str, Any], user: uuid.UUID, owners: set[uuid.UUID] | None, now: dt.datetime) -> bool:
        if owners is None or row["owner_id"] in owners:
            return True
        if (row["id"], user) not in self.members:
            return False
        expires = self.members[row["id"], user]
        return expires is None or expires > now


async def build_fleet(world: World, count: int = 160, seed: int = 7) -> Fleet:
    """Straight into the tables."""
    chance = random.Random(seed)
    people = [world.director, world.captain, world.other_captain, *world.crew]
    ports = [new_id() for _ in range(4)]
    rows = [_voyage(chance, people, ports, index) for index in range(count)]
    members: dict[tuple[uuid.UUID, uuid.UUID], dt.datetime | None] = {}
    for row in rows:
        for user in chance.sample(people, chance.choice((0, 0, 1, 3))):
            after = dt.timedelta(seconds=chance.choice((-3600, 0, 3600)))
            members[row["id"], user] = chance.choice((None, NOW + after))
    async with world.database.write(WriteContext(now=NOW)) as session:
        await insert_rows(session, voyage, [_stored(row) for row in rows])
        await session.connection.executemany(
            "INSERT INTO record_member (record_type, record_id, user_id, \"right\", expires_at) VALUES ($1, $2, $3, 'read', $4)",
            [("shipping.voyage", record_id, user, expires) for (record_id, user), expires in members.items()],
        )
        # Memberships of another record type must not count.
        await session.connection.executemany(
            "INSERT INTO record_member (record_type, record_id, user_id, \"right\") VALUES ('shipping.port', $1, $2, 'write')",
            [(row["id"], world.crew[1]) for row in rows],
        )
    return Fleet(rows, members, ports)


def _voyage(
    chance: random.Random, people: Sequence[uuid.UUID], ports: Sequence[uuid.UUID], index: int
) -> dict[str, Any]:
    def perhaps(make: Callable[[], Any]) -> Any:
        return None if chance.random() < 0.25 else make()

    return {
        "id": new_id(),
        "number": f"V-2611-{index:04}",
        "name": f"{chance.choice(WORDS)} {chance.choice(WORDS)}",
        "phone": perhaps(lambda: f"+8210{chance.randrange(100):08}"),
        "email": perhaps(lambda: f"{chance.choice('abc')}@example.com"),
        "crew": perhaps(lambda: chance.randrange(5)),
        "weight": perhaps(lambda: Decimal(chance.randrange(5000)) / 1000),
        "price": perhaps(lambda: (chance.choice(("KRW", "USD")), chance.randrange(4) * 100)),
        "insured": chance.random() < 0.5,
        "departs_on": perhaps(lambda: NOW.date() + dt.timedelta(days=chance.randrange(-9, 9))),
        "docked_at": perhaps(
            lambda: NOW + dt.timedelta(hours=chance.randrange(-200, 200), microseconds=chance.randrange(3))
        ),
        "kind": perhaps(lambda: chance.choice(("freight", "passengers"))),
        "status": "planned",
        "port_id": perhaps(lambda: chance.choice(ports)),
        "captain_id": perhaps(lambda: chance.choice(people[:5])),
        "stop_ids": chance.sample(ports, chance.randrange(3)),
        "note": perhaps(lambda: chance.choice(WORDS)),
        "owner_id": chance.choice([*people, None]),
        "created_at": NOW - dt.timedelta(days=chance.randrange(5)),
        "updated_at": NOW - dt.timedelta(minutes=chance.randrange(40)),
        "deleted_at": NOW if chance.random() < 0.1 else None,
    }


def _stored(row: dict[str, Any]) -> dict[str, Any]:
    money = row["price"] or (None, None)
    stored = {name: value for name, value in row.items() if name != "price"}
    weight = row["weight"]
    return {
        **stored,
        "weight": None if weight is None else str(weight),
        "price_currency": money[0],
        "price_minor": money[1],
        "custom": {},
        "version": 1,
    }


# -- the oracle --------------------------------------------------------------------------------------------------------


def holds(row: dict[str, Any], tree: dict[str, Any], me: uuid.UUID, team: set[uuid.UUID]) -> bool:
    """Whether a row fulfils a filter; the filter as the API takes it."""
    if "and" in tree:
        return all(holds(row, part, me, team) for part in tree["and"])
    if "or" in tree:
        return any(holds(row, part, me, team) for part in tree["or"])
    if "not" in tree:
        return not holds(row, tree["not"], me, team)
    value = row[tree["field"]]
    op, given = tree["op"], tree.get("value")
    if op == "is_empty":
        return (value is None or value == []) is (given if given is not None else True)
    if op == "me":
        return bool(value == me)
    if op == "my_team":
        return value in team
    if op == "ne":
        return bool(value != plain(tree["field"], given))
    if value is None:
        return False
    return _compared(tree["field"], op, value, given)


def _compared(name: str, op: str, value: Any, given: Any) -> bool:
    if op == "in":
        return value in [plain(name, item) for item in given]
    if op == "contains":
        return uuid.UUID(given) in value if name == "stop_ids" else fold(given) in fold(value)
    if op == "starts_with":
        return fold(value).startswith(fold(given))
    if op == "eq":
        return bool(value == plain(name, given))
    if op in ("within_last", "before_next"):
        # The company's days: Asia/Seoul is nine hours ahead, and has no clock changes.
        day = value if not isinstance(value, dt.datetime) else (value + dt.timedelta(hours=9)).date()
        today = (NOW + dt.timedelta(hours=9)).date()
        days = (today - day).days if op == "within_last" else (day - today).days
        return 0 <= days < given
    low = plain(name, given[0] if op == "between" else given)
    high = plain(name, given[1]) if op == "between" else None
    if name == "price":
        if value[0] != low[0]:
            return False
        value, low, high = value[1], low[1], high and high[1]
    if isinstance(value, str):
        value, low, high = fold(value), fold(low), high and fold(high)
    return {
        "gt": lambda: value > low,
        "gte": lambda: value >= low,
        "lt": lambda: value < low,
        "lte": lambda: value <= low,
        "between": lambda: low <= value <= high,
    }[op]()


def plain(name: str, given: Any) -> Any:
    """A filter's value as the rows have it."""
    if name in ("id", "port_id", "captain_id", "owner_id"):
        return uuid.UUID(given)
    if name == "weight":
        return Decimal(given)
    if name == "price":
        return given["currency"], int(Decimal(given["amount"]) * 10 ** MINOR_DIGITS[given["currency"]])
    if name == "departs_on":
        return dt.date.fromisoformat(given)
    if name in ("docked_at", "created_at", "updated_at"):
        return dt.datetime.fromisoformat(given)
    return given


def in_order(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Rows sorted as `sort=` says: empty values last, ties by id in the last key's direction."""
    keys = [(part.lstrip("-"), part.startswith("-")) for part in sort.split(",")]
    if all(name != "id" for name, _ in keys):
        keys.append(("id", keys[-1][1]))

    def compare(a: dict[str, Any], b: dict[str, Any]) -> int:
        for name, descending in keys:
            left, right = a[name], b[name]
            if left is None or right is None:
                if (left is None) != (right is None):
                    return 1 if left is None else -1
                continue
            if isinstance(left, str) and name == "name":
                left, right = fold(left)[:80], fold(right)[:80]
            if left != right:
                return -1 if (left < right) != descending else 1
        return 0

    return sorted(rows, key=functools.cmp_to_key(compare))
