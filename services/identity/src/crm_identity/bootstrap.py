"""The first start (ID-1): the company, its root department, the shipped roles, the first super administrator."""

import asyncio
from dataclasses import dataclass

from crm_authz import SHIPPED_ROLES
from crm_contracts.identity import DepartmentCreated
from crm_database import Database, PoolSettings, WriteContext, WriteSession
from crm_events.record import Step
from crm_identity.announce import announce
from crm_identity.company import actions as companies
from crm_identity.company import store as company_store
from crm_identity.company.rules import check_company
from crm_identity.credential import store as credentials
from crm_identity.credential.hashing import Hasher
from crm_identity.credential.rules import check_password
from crm_identity.department import store as department_store
from crm_identity.department.actions import state
from crm_identity.department.rules import Department
from crm_identity.department.tables import department
from crm_identity.organisation import store as organisation
from crm_identity.role import actions as roles
from crm_identity.role.rules import SUPER_ADMIN
from crm_identity.user import actions as users
from crm_identity.user.people import SYSTEM
from crm_identity.user.rules import normal_email
from crm_kernel import SystemClock, new_id


@dataclass(frozen=True)
class BootstrapResult:
    """created: whether this call set the company up; False: there was one already, and nothing was changed."""

    created: bool


def bootstrap(
    dsn: str,
    *,
    email: str,
    password: str,
    name: str = "Administrator",
    company: str = "My company",
    time_zone: str = "UTC",
    currency: str = "USD",
    locale: str = "en",
) -> BootstrapResult:
    """Set the company up unless there is one. Call it after the migrations; several at once do it once.

    email, password, name: of the first super administrator. time_zone: IANA. currency: ISO 4217. locale: `en`, `ko`, `zh`, `ru`.
    The first signing key is made by the service itself, which has the secret for it.

    Raises Invalid (crm_kernel) with pointers for what is not acceptable; asyncpg's errors without a database.
    """
    settings = {"name": company, "time_zone": time_zone, "currency": currency, "locale": locale}
    check_company(settings)
    return asyncio.run(_bootstrap(dsn, email, password, name, settings))


async def _bootstrap(dsn: str, email: str, password: str, name: str, settings: dict[str, str]) -> BootstrapResult:
    database = await Database.open(dsn, name="identity-bootstrap", settings=PoolSettings(min_size=1, max_size=2))
    try:
        async with database.read() as session:
            if await company_store.find(session) is not None:
                return BootstrapResult(created=False)
        email = normal_email(email)
        check_password(password, administrator=True, own=(name, email))
        hashed = Hasher().hash_now(password)
        async with database.write(WriteContext(now=SystemClock().now())) as session:
            await organisation.lock(session)
            # Somebody else may have been first.
            if await company_store.find(session) is not None:
                return BootstrapResult(created=False)
            await _set_up(session, email, hashed, name, settings)
        return BootstrapResult(created=True)
    finally:
        await database.close()


async def _set_up(session: WriteSession, email: str, hashed: str, name: str, settings: dict[str, str]) -> None:
    await companies.create(session, settings)
    root = Department(id=new_id(), name=settings["name"], parent_id=None, business_area="other")
    now = session.context.now
    await announce(
        session,
        [
            Step(
                table=department,
                id=root.id,
                event=DepartmentCreated,
                state=state(root, (root.id,)),
                values={**department_store.values(root, (root.id,), now), "created_at": now},
                new=True,
            )
        ],
    )
    role_ids = {role.key: await roles.ship(session, role, settings["locale"]) for role in SHIPPED_ROLES}
    administrator = await users.create(
        session,
        SYSTEM,
        {
            "name": name,
            "email": email,
            "department_id": root.id,
            "role_ids": (role_ids[SUPER_ADMIN],),
            "status": "active",
        },
    )
    await credentials.set_password(session, administrator.id, hashed)
