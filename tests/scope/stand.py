"""The services in-process on real databases, and a world written straight into them: rows for those that keep records, events for
analytics. What is asked of them goes over ASGI with real tokens.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.scope.world import NOW, Record, World

from crm_authz import Place, Rule, TokenIssuer, apply_state, unite
from crm_authz.tables import record_member
from crm_contracts import Envelope, identity, registry
from crm_contracts.control import ALL
from crm_database import WriteContext, WriteSession, insert_rows
from crm_database.migrate import upgrade
from crm_kernel import new_id
from crm_testing.servers import SharedPostgres
from crm_testing.service import URL, Caller, Running, envelope, migrated, running
from crm_web.routes import installed
from crm_web.service import load_service

#: Everything over records but setting up pools: who configures pools administers all of them.
PERMISSIONS = (
    "customers.customer:*",
    "customers.contact:*",
    "customers.pool:read",
    "sales.*:*",
    "analytics.*:*",
    "identity.user:*",
)
_SETTINGS: dict[str, dict[str, Any]] = {"identity": {"key_secret": "k" * 32}}
_EMPTIED = {
    "customers": ("contact", "customer", "record_member"),
    "sales": ("opportunity_line", "opportunity", "customer_replica", "record_member"),
    "analytics": (
        "opportunity_fact",
        "opportunity_product",
        "stage_entry",
        "customer_fact",
        "contact_fact",
        "record_member",
    ),
    "identity": ("app_user",),
}


@dataclass
class _Role:
    """What a role gives."""

    permissions: tuple[str, ...]
    scopes: dict[str, dict[str, Rule]]


@dataclass
class Stand:
    """The running services by name, and the world that is in them."""

    services: dict[str, Running]
    world: World | None = None
    pipeline: str = ""
    stage: str = ""

    def caller(self, service: str, user: str, *, permissions: Iterable[str] = PERMISSIONS) -> Caller:
        """A user of the world with a token of its roles."""
        if self.world is None:
            raise RuntimeError("no world was settled")
        where = self.services[service]
        roles = [
            _Role(
                tuple(permissions),
                {key: {name: _rule(rule) for name, rule in classes.items()} for key, classes in role.items()},
            )
            for role in self.world.roles[user]
        ]
        token = TokenIssuer(URL).issue(
            where.key,
            unite(uuid.UUID(user), roles, ALL),
            now=where.clock.now(),
            token_id=new_id(),
            session_id=new_id(),
            client_id="test",
            epoch=1,
            role_epochs={},
            modules=list(ALL),
            place=Place(),
        )
        return Caller(where, token)

    async def settle(self, world: World) -> None:
        """Put the world in the place of the one before."""
        self.world = world
        for name, where in self.services.items():
            async with where.database.write(WriteContext(now=NOW)) as session:
                for table in _EMPTIED[name]:
                    await session.connection.execute(f"DELETE FROM {table}")
                if name == "customers":
                    await _write_customers(session, world)
                elif name == "sales":
                    await self._write_opportunities(session, world)
                elif name == "identity":
                    await _write_users(session, world)
                await _organise(session, world)
        if "analytics" in self.services:
            await self.services["analytics"].hear(*self._events(world))

    async def _write_opportunities(self, session: WriteSession, world: World) -> None:
        (row,) = await session.connection.fetch(
            "SELECT p.id AS pipeline, s.id AS stage FROM pipeline p JOIN pipeline_stage s ON s.pipeline_id = p.id "
            "WHERE p.is_default ORDER BY s.position LIMIT 1"
        )
        self.pipeline, self.stage = str(row["pipeline"]), str(row["stage"])
        from crm_sales.customer.tables import customer_replica
        from crm_sales.opportunity.tables import opportunity

        replica = [
            {
                "id": one.id,
                "version": 1,
                "number": f"C{index}",
                "name": one.name,
                "lifecycle": "prospect",
                "owner_id": one.owner,
                "deleted": one.deleted,
            }
            for index, one in enumerate(world.of("customers.customer"))
        ]
        await insert_rows(session, customer_replica, replica)
        rows = [
            {
                **_standing(index, one),
                "customer_id": one.customer,
                "contact_ids": [],
                "product_ids": [],
                "pipeline_id": self.pipeline,
                "stage_id": self.stage,
                "stage_entered_at": _noon(one.day),
                "outcome": one.outcome,
                "opened_on": one.day,
                "closed_on": None if one.outcome == "open" else one.day,
                "probability": one.number,
            }
            for index, one in enumerate(world.of("sales.opportunity"))
        ]
        await insert_rows(session, opportunity, rows)
        await _write_members(session, [*world.of("customers.customer"), *world.of("sales.opportunity")])

    def _events(self, world: World) -> list[Envelope]:
        found = []
        for record in world.records:
            topic = f"crm.{record.type}"
            found.append(_event(f"{topic}.created.v1", record, 1, self._state(record)))
            closing = {"outcome": record.outcome, "closed_on": record.day.isoformat()}
            if record.outcome != "open":
                found.append(_event(f"{topic}.{record.outcome}.v1", record, 2, self._state(record, **closing)))
            if record.deleted:
                state = self._state(record, **(closing if record.outcome != "open" else {}), deleted=True)
                found.append(_event(f"{topic}.deleted.v1", record, 3, state))
        return found

    def _state(self, record: Record, **more: Any) -> dict[str, Any]:
        state = {
            **registry.examples[f"crm.{record.type}.created.v1"]["state"],
            "name": record.name,
            "owner_id": record.owner,
            "created_at": _noon(record.day).isoformat(),
            "updated_at": _noon(record.day).isoformat(),
        }
        if record.type == "sales.opportunity":
            amount = {"amount": f"{record.minor // 100}.{record.minor % 100:02}", "currency": "USD"}
            state |= {"opened_on": record.day.isoformat(), "value": amount, "weighted_value": amount}
        return state | more


def _rule(text: str) -> Rule:
    found = Rule.parse(text)
    if found is None:
        raise ValueError(f"{text} is no rule")
    return found


def _noon(day: dt.date) -> dt.datetime:
    """Noon in Seoul, where the company is."""
    return dt.datetime.combine(day, dt.time(3), dt.UTC)


def _event(kind: str, record: Record, version: int, state: dict[str, Any]) -> Envelope:
    members = [
        {"user_id": member["user"], "right": member["right"], "expires_at": member["expires_at"]}
        for member in record.members
    ]
    credit = None if record.credited is None else {"user_id": record.credited}
    data = {
        **registry.examples[kind],
        "version": version,
        "occurred_at": _noon(record.day),
        "state": state,
        "access": {"owner_id": record.owner, "members": members},
        "credit": credit,
    }
    return envelope(registry.events[kind], uuid.UUID(record.id), data)


def _standing(index: int, record: Record) -> dict[str, Any]:
    """What every record's row has."""
    at = _noon(record.day) + dt.timedelta(seconds=index)
    return {
        "id": record.id,
        "version": 1,
        "number": f"N{index}",
        "name": record.name,
        "owner_id": record.owner,
        "external_system": "test",
        "external_id": record.name,
        "custom": {},
        "created_at": at,
        "updated_at": at,
        "deleted_at": NOW if record.deleted else None,
    }


async def _write_customers(session: WriteSession, world: World) -> None:
    from crm_customers.contact.tables import contact
    from crm_customers.customer.tables import customer
    from crm_customers.pool.tables import pool

    await session.connection.execute("DELETE FROM pool WHERE NOT is_default")
    pools = [
        {
            "id": one.id,
            "version": 1,
            "name": f"Pool {index}",
            "administrator_ids": one.administrators,
            "member_user_ids": one.users,
            "member_department_ids": one.departments,
            "open_to_all": False,
            "daily_claim_cap": None,
            "cooldown_days": 0,
            # So that a member's claim is refused for another reason than a stranger's, and changes nothing.
            "hold_hours": 8760,
            "is_default": False,
            "created_at": NOW,
        }
        for index, one in enumerate(world.pools)
    ]
    await insert_rows(session, pool, pools)
    customers = [
        {
            **_standing(index, one),
            "lifecycle": "prospect",
            "kind": "company",
            "employees": one.number,
            "locked": False,
            "pool_id": one.pool,
            "pooled_at": None if one.pool is None else NOW,
        }
        for index, one in enumerate(world.of("customers.customer"))
    ]
    await insert_rows(session, customer, customers)
    contacts = [
        {
            **_standing(index, one),
            "customer_id": one.customer,
            "is_primary": False,
            "do_not_call": False,
            "do_not_email": False,
            "follows_customer": False,
        }
        for index, one in enumerate(world.of("customers.contact"))
    ]
    await insert_rows(session, contact, contacts)
    await _write_members(session, [*world.of("customers.customer"), *world.of("customers.contact")])


async def _write_members(session: WriteSession, records: Iterable[Record]) -> None:
    rows = [
        {
            "record_type": record.type,
            "record_id": record.id,
            "user_id": member["user"],
            "right": member["right"],
            "expires_at": member["expires_at"],
        }
        for record in records
        for member in record.members
    ]
    await insert_rows(session, record_member, rows)


async def _write_users(session: WriteSession, world: World) -> None:
    """Identity's own rows; its foreign keys are gone, because the worlds have superiors that nobody knows."""
    from crm_identity.user.tables import app_user

    rows = [
        {
            "id": user,
            "version": 1,
            "name": f"User {user}",
            "name_key": f"user {user}",
            "email": f"{user}@example.com",
            "email_key": f"{user}@example.com",
            "department_id": place["department"],
            "superior_id": place["superior"],
            "role_ids": [],
            "super_admin": False,
            "status": "active" if user in world.active else "dismissed",
            "epoch": 1,
            "created_at": NOW,
            "updated_at": NOW,
        }
        for user, place in world.organisation["users"].items()
    ]
    await insert_rows(session, app_user, rows)


async def _organise(session: WriteSession, world: World) -> None:
    organisation = world.organisation
    for department, place in organisation["departments"].items():
        state = identity.DepartmentState(
            name=f"Department {department}",
            parent_id=place["parent"],
            business_area="sales",
            path=[department],
            deleted=place["deleted"],
        )
        await apply_state(session, identity.DEPARTMENT.name, uuid.UUID(department), 1, state)
    for chosen, content in organisation["sets"].items():
        told = identity.DepartmentSetState(
            name="Chosen",
            departments=content["departments"],
            subtrees=content["subtrees"],
            deleted=content["deleted"],
        )
        await apply_state(session, identity.DEPARTMENT_SET.name, uuid.UUID(chosen), 1, told)
    for user, place in organisation["users"].items():
        person = identity.UserState(
            name=f"User {user}",
            status="active" if user in world.active else "dismissed",
            department_id=place["department"],
            superior_id=place["superior"],
            role_ids=[],
            super_admin=place["super_admin"],
            epoch=1,
        )
        await apply_state(session, identity.USER_TOPIC.name, uuid.UUID(user), 1, person)


def templates(postgres: SharedPostgres) -> dict[str, str]:
    """The migrated database of each service, to be copied. Outside of an event loop: migrations run one of their own."""
    found = {name: migrated(name, postgres) for name in installed() if name != "identity"}
    # Identity's own tests share a template that a first start has filled already.
    found["identity"] = postgres.template("identity_bare", lambda dsn: upgrade("identity", dsn))
    return found


@asynccontextmanager
async def standing(postgres: SharedPostgres, found: Mapping[str, str]) -> AsyncIterator[Stand]:
    """Services, each on a fresh copy of its template. found: service → template."""
    made = []
    try:
        async with AsyncExitStack() as stack:
            services = {}
            for name, template in found.items():
                dsn = postgres.create(template)
                made.append(dsn)
                one = await stack.enter_async_context(running(load_service(name), dsn, **_SETTINGS.get(name, {})))
                services[name] = one
                if name == "identity":
                    await _without_foreign_keys(one)
            yield Stand(services)
    finally:
        for dsn in made:
            postgres.drop(dsn)


async def _without_foreign_keys(where: Running) -> None:
    async with where.database.write(WriteContext(now=NOW)) as session:
        found = await session.connection.fetch(
            "SELECT conrelid::regclass::text AS name, conname FROM pg_constraint WHERE contype = 'f'"
        )
        for row in found:
            await session.connection.execute(f'ALTER TABLE {row["name"]} DROP CONSTRAINT "{row["conname"]}"')


__all__ = ["PERMISSIONS", "Stand", "standing", "templates"]
