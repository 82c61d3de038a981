"""The services in-process on real databases, and a world written straight into them: rows for those that keep records, events for
analytics. What is asked of them goes over ASGI with real tokens.
"""

import datetime as dt
import itertools
import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.scope.world import NOW, RECORDS, Record, World

from crm_authz import Place, Rule, TokenIssuer, apply_state, unite
from crm_authz.tables import record_member
from crm_contracts import Envelope, identity, registry
from crm_contracts.control import ALL
from crm_database import WriteContext, WriteSession, insert_rows
from crm_database.migrate import upgrade
from crm_kernel import new_id
from crm_testing.servers import SharedPostgres
from crm_testing.service import URL, Caller, Running, envelope, migrated, role_state, running
from crm_web.routes import installed
from crm_web.service import load_service

#: Everything over records but setting up pools: who configures pools administers all of them.
PERMISSIONS = (
    "customers.customer:*",
    "customers.contact:*",
    "customers.pool:read",
    "sales.*:*",
    # Not support.queue:read: members of a queue see more than their scope, which services/support shows.
    "support.ticket:*",
    "billing.contract:*",
    "billing.payment:*",
    "analytics.*:*",
    "identity.user:*",
    "identity.hand_over:*",
    *(f"{service}.operations:*" for service in ("customers", "support", "billing", "identity")),
)
_SETTINGS: dict[str, dict[str, Any]] = {"identity": {"key_secret": "k" * 32}}
_EMPTIED = {
    "customers": (
        "timeline_entry",
        "opportunity_replica",
        "activity_replica",
        "contract_replica",
        "payment_replica",
        "ticket_replica",
        "contact",
        "customer",
        "record_member",
    ),
    "sales": (
        "activity",
        "opportunity_line",
        "opportunity",
        "customer_replica",
        "contact_replica",
        "contract_replica",
        "ticket_replica",
        "record_member",
    ),
    "analytics": (
        "event_log",
        "record_access",
        "opportunity_fact",
        "opportunity_product",
        "stage_entry",
        "customer_fact",
        "contact_fact",
        "contract_fact",
        "contract_product",
        "payment_fact",
        "payment_product",
        "activity_fact",
        "record_member",
    ),
    "support": ("reply", "ticket", "customer_replica", "contact_replica", "record_member"),
    # Nothing is entered into the ledger: what stands there can't be removed.
    "billing": (
        "payment_allocation",
        "payment",
        "contract_instalment",
        "contract_line",
        "contract",
        "customer_replica",
        "product_replica",
        "opportunity_replica",
        "record_member",
    ),
    "identity": ("app_user",),
}
#: What analytics hears of here.
COUNTED = (
    "customers.customer",
    "customers.contact",
    "sales.opportunity",
    "sales.activity",
    "billing.contract",
    "billing.payment",
)


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
                    await _write_activities(session, world)
                elif name == "support":
                    await _write_tickets(session, world)
                elif name == "billing":
                    await _write_contracts(session, world)
                elif name == "identity":
                    await _write_users(session, world)
                    await _write_hand_overs(session, world)
                await _organise(session, world)
        if "analytics" in self.services:
            await self.services["analytics"].hear(*self._events(world, COUNTED))
        if "customers" in self.services:
            await self.services["customers"].hear(*self._events(world, RECORDS))

    async def _write_opportunities(self, session: WriteSession, world: World) -> None:
        (row,) = await session.connection.fetch(
            "SELECT p.id AS pipeline, s.id AS stage FROM pipeline p JOIN pipeline_stage s ON s.pipeline_id = p.id "
            "WHERE p.is_default ORDER BY s.position LIMIT 1"
        )
        self.pipeline, self.stage = str(row["pipeline"]), str(row["stage"])
        from crm_sales.customer.tables import customer_replica
        from crm_sales.opportunity.tables import opportunity

        replica = [{**row, "lifecycle": "prospect"} for row in _customer_copies(world)]
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

    def _events(self, world: World, types: Collection[str]) -> list[Envelope]:
        """What is told of the world's records of these types."""
        found = []
        for record in world.records:
            if record.type not in types:
                continue
            topic = f"crm.{record.type}"
            found.append(_event(f"{topic}.created.v1", record, 1, self._state(record)))
            facts = facts_of(record)
            after: dict[str, Any] = {}
            for version, (fact, after) in enumerate(facts, 2):
                found.append(_event(f"{topic}.{fact}.v1", record, version, self._state(record, **after)))
            if record.deleted:
                state = self._state(record, **after, deleted=True)
                found.append(_event(f"{topic}.deleted.v1", record, len(facts) + 2, state))
        return found

    def _state(self, record: Record, **more: Any) -> dict[str, Any]:
        state = {
            **registry.examples[f"crm.{record.type}.created.v1"]["state"],
            "name": record.name,
            "subject": record.name,
            "owner_id": record.owner,
            "created_at": _noon(record.day).isoformat(),
            "updated_at": _noon(record.day).isoformat(),
        }
        if record.customer is not None:
            state["customer_id"] = record.customer
        day = record.day.isoformat()
        amount = {"amount": f"{record.minor // 100}.{record.minor % 100:02}", "currency": "USD"}
        if record.type == "sales.opportunity":
            state |= {"opened_on": day, "value": amount, "weighted_value": amount}
        elif record.type == "sales.activity":
            state |= {"happened_at": _noon(record.day).isoformat()}
        elif record.type == "billing.contract":
            signed_on = day if record.number % 2 else None
            state |= {"value": amount, "signed_on": signed_on}
        elif record.type == "billing.payment":
            state |= {"amount": amount, "contract_id": record.contract, "paid_on": day}
        return state | more


def _rule(text: str) -> Rule:
    found = Rule.parse(text)
    if found is None:
        raise ValueError(f"{text} is no rule")
    return found


def _noon(day: dt.date) -> dt.datetime:
    """Noon in Seoul, where the company is."""
    return dt.datetime.combine(day, dt.time(3), dt.UTC)


def facts_of(record: Record) -> list[tuple[str, dict[str, Any]]]:
    """What is told of a record after its creation: each fact, and what is so from then on."""
    if record.type == "sales.opportunity" and record.outcome != "open":
        return [(record.outcome, {"outcome": record.outcome, "closed_on": record.day.isoformat()})]
    if record.type == "billing.contract" and record.outcome != "draft":
        ended = [("terminated", {"status": "terminated"})] if record.outcome == "terminated" else []
        return [("approved", {"status": "active"}), *ended]
    if record.type == "billing.payment" and record.outcome == "approved":
        return [("approved", {"status": "approved"})]
    return []


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
    if "approved_on" in data:
        data["approved_on"] = record.day
    if "paid_for" in data:
        data["paid_for"] = {"customer_id": record.customer}
    return envelope(registry.events[kind], uuid.UUID(record.id), data)


def _standing(index: int, record: Record, *, named_by: str = "name") -> dict[str, Any]:
    """What every record's row has. named_by: the column of its name."""
    at = _noon(record.day) + dt.timedelta(seconds=index)
    return {
        "id": record.id,
        "version": 1,
        "number": f"N{index}",
        named_by: record.name,
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


async def _write_tickets(session: WriteSession, world: World) -> None:
    from crm_support.customer.tables import CUSTOMERS
    from crm_support.ticket.tables import ticket

    await insert_rows(session, CUSTOMERS.table, _customer_copies(world))
    tickets = [
        {
            **_standing(index, one, named_by="subject"),
            "customer_id": one.customer,
            "channel": "api",
            "priority": "normal",
            "status": "open",
            "queue": "general",
        }
        for index, one in enumerate(world.of("support.ticket"))
    ]
    await insert_rows(session, ticket, tickets)
    await _write_members(session, [*world.of("customers.customer"), *world.of("support.ticket")])


async def _write_activities(session: WriteSession, world: World) -> None:
    """After the opportunities: what an activity can be about is there, with its members."""
    from crm_sales.activity.tables import activity
    from crm_sales.contact.tables import CONTACTS
    from crm_sales.contract.tables import CONTRACTS
    from crm_sales.ticket.tables import TICKETS

    contacts = [
        {"id": one.id, "version": 1, "customer_id": one.customer, "owner_id": one.owner, "deleted": one.deleted}
        for one in world.of("customers.contact")
    ]
    await insert_rows(session, CONTACTS.table, contacts)
    for replica, record_type in ((CONTRACTS, "billing.contract"), (TICKETS, "support.ticket")):
        copies = [
            {"id": one.id, "version": 1, "customer_id": one.customer, "owner_id": one.owner, "deleted": one.deleted}
            for one in world.of(record_type)
        ]
        await insert_rows(session, replica.table, copies)
    activities = [
        {
            **_standing(index, one, named_by="subject"),
            "kind": "call",
            "happened_at": _noon(one.day),
            "direction": "none",
            "links_ids": [one.customer],
            "links_types": ["customers.customer"],
            "customer_id": one.customer,
            "participants": [],
        }
        for index, one in enumerate(world.of("sales.activity"))
    ]
    await insert_rows(session, activity, activities)
    records = ("customers.contact", "billing.contract", "support.ticket", "sales.activity")
    await _write_members(session, [one for record_type in records for one in world.of(record_type)])


async def _write_contracts(session: WriteSession, world: World) -> None:
    """Drafts, because only they change; and payments that were withdrawn, because they stand for nothing that is open."""
    from crm_billing.contract.tables import contract
    from crm_billing.customer.tables import CUSTOMERS
    from crm_billing.payment.tables import payment

    await insert_rows(session, CUSTOMERS.table, _customer_copies(world))
    contracts = [
        {**_standing(index, one), "customer_id": one.customer, "status": "draft"}
        for index, one in enumerate(world.of("billing.contract"))
    ]
    await insert_rows(session, contract, contracts)
    payments = [
        {
            **_standing(index, one, named_by="reference"),
            "contract_id": one.contract,
            "amount_currency": "USD",
            "amount_minor": 100 + one.number,
            "paid_on": one.day,
            "method": "cash",
            "status": "withdrawn",
        }
        for index, one in enumerate(world.of("billing.payment"))
    ]
    await insert_rows(session, payment, payments)
    records = ("customers.customer", "billing.contract", "billing.payment")
    await _write_members(session, [one for record_type in records for one in world.of(record_type)])


def _customer_copies(world: World) -> list[dict[str, Any]]:
    """Customers as every replica of them knows them."""
    return [
        {
            "id": one.id,
            "version": 1,
            "number": f"C{index}",
            "name": one.name,
            "owner_id": one.owner,
            "deleted": one.deleted,
        }
        for index, one in enumerate(world.of("customers.customer"))
    ]


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


async def _write_hand_overs(session: WriteSession, world: World) -> None:
    """One of each leaver, under the leaver's id: whoever may see the one sees the other."""
    from crm_identity.hand_over.store import KIND
    from crm_sagas.tables import saga, saga_step

    leavers = sorted(user for user in world.organisation["users"] if user not in world.active)
    data = {"user_epoch": 1, "successor_id": min(world.active), "successor_epoch": 1}
    rows = [
        {
            "id": user,
            "version": 1,
            "kind": KIND,
            "state": state,
            "about": user,
            "data": data,
            "asked_at": NOW,
            "ended_at": ended,
        }
        for user, (state, ended) in zip(
            leavers, itertools.cycle([("running", None), ("failed", NOW), ("succeeded", NOW)])
        )
    ]
    await insert_rows(session, saga, rows)
    steps = [
        {
            "saga_id": user,
            "name": "customers",
            "stage": 0,
            "state": "done",
            "attempt": 1,
            "tries": 1,
            "heard": 1,
            "outcome": {},
        }
        for user in leavers
    ]
    await insert_rows(session, saga_step, steps)


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
    # Requests go by their tokens; jobs by the roles that the directory knows.
    roles: dict[str, list[uuid.UUID]] = {user: [] for user in organisation["users"]}
    for user, held in world.roles.items():
        for scopes in held:
            rules = {key: {name: _rule(rule) for name, rule in classes.items()} for key, classes in scopes.items()}
            role_id = new_id()
            await apply_state(session, identity.ROLE_TOPIC.name, role_id, 1, role_state(PERMISSIONS, rules))
            roles[user].append(role_id)
    for user, place in organisation["users"].items():
        person = identity.UserState(
            name=f"User {user}",
            status="active" if user in world.active else "dismissed",
            department_id=place["department"],
            superior_id=place["superior"],
            role_ids=roles[user],
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


__all__ = ["PERMISSIONS", "Stand", "facts_of", "standing", "templates"]
