"""Define, change and remove named sets of departments."""

import uuid
from collections.abc import Mapping
from typing import Any

from crm_contracts.identity import DepartmentSetChanged, DepartmentSetCreated, DepartmentSetDeleted
from crm_database import WriteSession
from crm_events.record import Step, changes_between
from crm_identity.announce import announce
from crm_identity.department_set import store
from crm_identity.department_set.rules import DepartmentSetUsed, UnknownMember
from crm_identity.department_set.tables import department_set
from crm_identity.organisation import store as organisation
from crm_kernel import new_id

_FIELDS = ("name", "departments", "subtrees")


async def create(session: WriteSession, fields: Mapping[str, Any]) -> uuid.UUID:
    """Raises UnknownMember."""
    await organisation.lock(session)
    await _check(session, fields)
    set_id, now = new_id(), session.context.now
    values = {name: fields[name] for name in _FIELDS}
    await announce(
        session,
        [
            Step(
                table=department_set,
                id=set_id,
                event=DepartmentSetCreated,
                state=values,
                values={**values, "created_at": now, "updated_at": now, "deleted_at": None},
                new=True,
            )
        ],
    )
    return set_id


async def change(session: WriteSession, row: Any, fields: Mapping[str, Any]) -> None:
    """Change the locked row (store.locked, under organisation.lock). In force where its event arrives. Raises UnknownMember."""
    await _check(session, fields)
    before = {name: row[name] for name in _FIELDS}
    after = {**before, **fields}
    if after == before:
        return
    await announce(
        session,
        [
            Step(
                table=department_set,
                id=row["id"],
                event=DepartmentSetChanged,
                state=after,
                values={**after, "updated_at": session.context.now},
                changes=changes_between(before, after),
            )
        ],
    )


async def remove(session: WriteSession, set_id: uuid.UUID) -> None:
    """Remove a set that no role names. Raises DepartmentSetNotFound, DepartmentSetUsed."""
    await organisation.lock(session)
    row = await store.locked(session, set_id)
    if await store.used(session, set_id):
        raise DepartmentSetUsed
    now = session.context.now
    await announce(
        session,
        [
            Step(
                table=department_set,
                id=set_id,
                event=DepartmentSetDeleted,
                state={**{name: row[name] for name in _FIELDS}, "deleted": True},
                values={"deleted_at": now, "updated_at": now},
            )
        ],
    )


async def _check(session: WriteSession, fields: Mapping[str, Any]) -> None:
    live = await organisation.live_departments(session)
    for member in ("departments", "subtrees"):
        for index, department_id in enumerate(fields.get(member, ())):
            if department_id not in live:
                raise UnknownMember(f"/{member}/{index}")
