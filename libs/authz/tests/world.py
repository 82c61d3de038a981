"""Random organisations, as the product has them and as the oracle of tests/scope reads them; tokens; a migrated database."""

import datetime as dt
import importlib.util
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import asyncpg

from crm_authz import (
    AUTHZ_1,
    Changes,
    Department,
    DepartmentSet,
    Directory,
    Grants,
    Role,
    Rule,
    SigningKey,
    TokenIssuer,
    User,
    encode_claims,
    unite,
)
from crm_authz.grants import RoleRights
from crm_contracts import Member
from crm_contracts.control import ALL as SERVICES
from crm_database import Database, PoolSettings

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, tzinfo=dt.UTC)
ISSUER = "https://crm.example.com"
SCOPES = ("self", "peers", "subordinates", "department", "department_tree", "departments", "all")


def _load_oracle() -> ModuleType:
    """By its path: tests are no package, and the oracle belongs to the suite over all services."""
    path = Path(__file__).parents[3] / "tests" / "scope" / "oracle.py"
    spec = importlib.util.spec_from_file_location("scope_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


oracle = _load_oracle()


def uid(number: int) -> uuid.UUID:
    """A readable id."""
    return uuid.UUID(int=number)


class World:
    """One organisation in both forms, and the events that would build it. Broken on purpose here and there: circles, unknown
    superiors and parents, removed departments with people in them: events come in any order."""

    def __init__(self, random: Random, *, users: int = 12, departments: int = 7) -> None:
        self.random = random
        n_users, n_departments = random.randint(1, users), random.randint(1, departments)
        self.user_ids = [uid(1000 + n) for n in range(n_users)]
        self.department_ids = [uid(2000 + n) for n in range(n_departments)]
        self.set_ids = [uid(3000 + n) for n in range(3)]
        unknown_user, unknown_department = uid(1999), uid(2999)
        self.departments = [
            Department(
                place,
                f"Department {n}",
                random.choice(
                    [None, *self.department_ids[:n], *self.department_ids[:n], *self._odd(unknown_department)]
                ),
                deleted=random.random() < 0.1,
            )
            for n, place in enumerate(self.department_ids)
        ]
        self.users = [
            User(
                person,
                f"User {n}",
                random.choice(["active", "active", "inactive", "dismissed"]),
                random.choice([*self.department_ids, *self._odd(unknown_department)]),
                superior_id=random.choice([None, *self.user_ids[:n], *self.user_ids[:n], *self._odd(unknown_user)]),
                super_admin=random.random() < 0.2,
            )
            for n, person in enumerate(self.user_ids)
        ]
        self.sets = [
            DepartmentSet(chosen, "Set", self._some_departments(), self._some_departments(), random.random() < 0.2)
            for chosen in self.set_ids
        ]

    def _odd(self, unknown: uuid.UUID) -> list[uuid.UUID]:
        """Now and then something that well-ordered data would not have."""
        if self.random.random() < 0.8:
            return []
        return [unknown, self.random.choice(self.user_ids if unknown.int < 2000 else self.department_ids)]

    def _some_departments(self) -> frozenset[uuid.UUID]:
        return frozenset(self.random.choices(self.department_ids, k=self.random.randint(0, 2)))

    def directory(self, **more: Any) -> Directory:
        """Built in random portions, in random order: each step is an incremental update."""
        rows: list[Any] = [*self.users, *self.departments, *self.sets]
        self.random.shuffle(rows)
        directory = Directory()
        while rows:
            portion = [rows.pop() for _ in range(min(len(rows), self.random.randint(1, 6)))]
            directory = directory.with_changes(changes(portion), version=directory.version + 1, heard_at=NOW, now=NOW)
        return directory.with_changes(Changes(**more), version=directory.version + 1, heard_at=NOW, now=NOW)

    def told(self) -> dict[str, Any]:
        """The form of the oracle."""
        return {
            "users": {
                u.id: {"department": u.department_id, "superior": u.superior_id, "super_admin": u.super_admin}
                for u in self.users
            },
            "departments": {d.id: {"parent": d.parent_id, "deleted": d.deleted} for d in self.departments},
            "sets": {
                str(s.id): {
                    "departments": list(s.departments),
                    "subtrees": list(s.subtrees),
                    "deleted": s.deleted,
                }
                for s in self.sets
            },
        }

    def rule(self) -> Rule:
        """Any rule; sets may be unknown."""
        scope = self.random.choice(SCOPES)
        return Rule(scope, self.random.choice([*self.set_ids, uid(3999)]) if scope == "departments" else None)

    def move(self) -> list[Any]:
        """Change somebody's place, a department's parent or a set; answers the changed rows."""
        other = World(Random(self.random.random()), users=len(self.users), departments=len(self.departments))
        changed: list[Any] = []
        for mine, theirs in ((self.users, other.users), (self.departments, other.departments), (self.sets, other.sets)):
            for n in range(min(len(mine), len(theirs))):
                if self.random.random() < 0.3:
                    mine[n] = theirs[n]
                    changed.append(theirs[n])
        return changed


def changes(rows: Sequence[Any]) -> Changes:
    """Rows sorted into a Changes."""
    return Changes(
        users=tuple(row for row in rows if isinstance(row, User)),
        departments=tuple(row for row in rows if isinstance(row, Department)),
        sets=tuple(row for row in rows if isinstance(row, DepartmentSet)),
        roles=tuple(row for row in rows if isinstance(row, Role)),
    )


class Rules:
    """A holder with given rules for every record and class."""

    def __init__(self, user_id: uuid.UUID, *rules: Rule) -> None:
        self.user_id = user_id
        self._rules = rules

    def allows(self, code: str) -> bool:
        return True

    def rules(self, record_type: str, action: str) -> tuple[Rule, ...]:
        return self._rules


def role(number: int, permissions: Sequence[str], scopes: dict[str, dict[str, Rule]], **more: Any) -> Role:
    return Role(uid(4000 + number), f"Role {number}", tuple(permissions), scopes, **more)


def grants(*roles: RoleRights, user_id: uuid.UUID | None = None, super_admin: bool = False) -> Grants:
    return unite(user_id or uid(1000), roles, SERVICES, super_admin=super_admin)


KEY = SigningKey.generate("key-a")


def issue(key: SigningKey = KEY, given: Grants | None = None, now: dt.datetime = NOW, **more: Any) -> str:
    """A token as identity writes it."""
    return TokenIssuer(ISSUER).issue(
        key,
        given or grants(role(1, ["customers.customer:read"], {"customers.customer": {"*": Rule("self")}})),
        now=now,
        **{
            "token_id": uid(5),
            "session_id": uid(6),
            "client_id": "console",
            "epoch": 1,
            "role_epochs": {uid(4001): 1},
            "modules": ["customers"],
            **more,
        },
    )


def good_claims(now: dt.datetime = NOW) -> dict[str, Any]:
    """The claims of `issue()`, written out for tampering."""
    iat = int(now.timestamp())
    return {
        "iss": ISSUER,
        "aud": "crm-api",
        "sub": str(uid(1000)),
        "sid": str(uid(6)),
        "client_id": "console",
        "jti": str(uid(5)),
        "iat": iat,
        "nbf": iat,
        "exp": iat + 300,
        "use": "access",
        "epoch": 1,
        "roles": {str(uid(4001)): 1},
        "mod": ["customers"],
        **encode_claims(grants(role(1, ["customers.customer:read"], {"customers.customer": {"*": Rule("self")}}))),
        "place": {"department": None, "superior": None, "business_area": None, "groups": []},
        "ip": False,
    }


def some_members(random: Random, users: Sequence[uuid.UUID]) -> list[Member]:
    """Members of one record: at most one row per user, some expired, some expiring at this very instant."""
    chosen = random.sample(list(users), k=min(len(users), random.choice([0, 0, 1, 2])))
    seconds = dt.timedelta(seconds=1)
    return [
        Member(
            user_id=user,
            right=random.choice(["read", "write"]),
            expires_at=random.choice([None, NOW - seconds, NOW, NOW + seconds]),
        )
        for user in chosen
    ]


@asynccontextmanager
async def migrated(dsn: str) -> AsyncIterator[Database]:
    """A database with this library's tables."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in AUTHZ_1:
            await connection.execute(statement)
    finally:
        await connection.close()
    database = await Database.open(dsn, name="authz-tests", settings=PoolSettings(max_size=4))
    try:
        yield database
    finally:
        await database.close()
