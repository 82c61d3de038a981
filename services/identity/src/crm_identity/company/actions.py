"""Set the company up, and change its settings."""

from collections.abc import Mapping
from typing import Any

from crm_contracts.identity import CompanyChanged, CompanyCreated
from crm_database import WriteSession
from crm_events.record import Step, changes_between
from crm_identity.announce import announce
from crm_identity.company.rules import check_company
from crm_identity.company.tables import company
from crm_kernel import new_id

FIELDS = ("name", "time_zone", "currency", "locale")


async def create(session: WriteSession, fields: Mapping[str, Any]) -> None:
    """The first and only company. Raises UnacceptableCompany."""
    check_company(fields)
    now = session.context.now
    values = {name: fields[name] for name in FIELDS}
    await announce(
        session,
        [
            Step(
                table=company,
                id=new_id(),
                event=CompanyCreated,
                state=values,
                values={**values, "created_at": now, "updated_at": now},
                new=True,
            )
        ],
    )


async def change(session: WriteSession, row: Any, fields: Mapping[str, Any]) -> None:
    """Change the locked row (store.locked). Raises UnacceptableCompany."""
    check_company(fields)
    before = {name: row[name] for name in FIELDS}
    after = {**before, **fields}
    if after == before:
        return
    await announce(
        session,
        [
            Step(
                table=company,
                id=row["id"],
                event=CompanyChanged,
                state=after,
                values={**after, "updated_at": session.context.now},
                changes=changes_between(before, after),
            )
        ],
    )
