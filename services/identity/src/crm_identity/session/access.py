"""The access token of a session: who, where, and what the user's roles give, as of now (ID-21)."""

import datetime as dt
from typing import Any

from crm_authz.claims import services_of
from crm_authz.grants import unite
from crm_authz.issuer import Place, TokenIssuer
from crm_authz.tokens import LONGEST_LIFE
from crm_contracts.control import ALL
from crm_database import ReadSession
from crm_identity.department import store as departments
from crm_identity.role import store as roles
from crm_identity.signing_key.actions import KeyRing
from crm_kernel import new_id


async def issue(
    session: ReadSession, keys: KeyRing, issuer: TokenIssuer, user: Any, login: Any, now: dt.datetime
) -> str:
    """A token for a user's row and a session's row (id, client). Raises NoSigningKey, RightsTooLarge."""
    held = await roles.some(session, user["role_ids"])
    grants = unite(user["id"], [roles.as_rights(row) for row in held], ALL, super_admin=user["super_admin"])
    department = await departments.one(session, user["department_id"])
    return issuer.issue(
        await keys.current(session, now),
        grants,
        now=now,
        token_id=new_id(),
        session_id=login["id"],
        client_id=login["client"],
        epoch=user["epoch"],
        role_epochs={row["id"]: row["epoch"] for row in held},
        modules=services_of(grants),
        place=Place(user["department_id"], user["superior_id"], department["business_area"]),
        life=LONGEST_LIFE,
    )
