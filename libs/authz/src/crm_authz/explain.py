"""Why somebody may or may not do something to a record (ID-16), by the same decisions that let them or don't."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from crm_authz.catalogue import action_class
from crm_authz.directory import Directory
from crm_authz.grants import EVERYTHING, RoleRights, role_rule, split_record_type, unite
from crm_authz.organisation import Everybody
from crm_authz.people import User
from crm_authz.rules import Rule
from crm_authz.scope import Scope
from crm_contracts import Member

DecidedBy = Literal["status", "permission", "scope", "membership"]


@dataclass(frozen=True)
class Grounds:
    """A role's rule that reaches the record. role_id: None for the super administrator's own right."""

    role_id: uuid.UUID | None
    role: str
    rule: str


@dataclass(frozen=True)
class Explanation:
    """The decision and what decides it.

    decided_by: `status` (the user is unknown or not active), `permission` (missing), `scope`, `membership`. permission: the code
    that is needed. missing: what is not there: that code, or `<record type>:<action class>` for a scope that doesn't reach;
    None when allowed. granted_by: the roles that give the permission. scopes: their and other roles' rules that reach the record.
    rules: all rules that the user has here, reaching or not. membership: the right and expiry that let them.
    """

    allowed: bool
    decided_by: DecidedBy
    permission: str
    missing: str | None = None
    granted_by: tuple[str, ...] = ()
    scopes: tuple[Grounds, ...] = ()
    rules: tuple[Grounds, ...] = ()
    membership: Member | None = None


def explain(
    directory: Directory,
    user_id: uuid.UUID,
    record_type: str,
    action: str,
    *,
    owner_id: uuid.UUID | None,
    members: Iterable[Member] = (),
    now: dt.datetime,
) -> Explanation:
    """Explain an action (`read`, `claim`, …) of a user on a record of `<service>.<record>` with this owner and these members.

    By the roles as the directory knows them now: a token of that user says the same or is stale.
    """
    permission = f"{record_type}:{action}"
    user = directory.users.get(user_id)
    if user is None or not user.active:
        return Explanation(False, "status", permission, missing="active user")
    roles = _roles(directory, user)
    service, record = split_record_type(record_type)
    granted_by = tuple(name for _, name, role in roles if unite(user_id, [role], [service]).allows(permission))
    if not granted_by:
        return Explanation(False, "permission", permission, missing=permission)
    kind = action_class(action)
    rules = [
        (Grounds(role_id, name, str(rule)), rule)
        for role_id, name, role in roles
        if (rule := role_rule(role, service, record, kind)) is not None
    ]
    everywhere = tuple(grounds for grounds, _ in rules)
    reaching = tuple(grounds for grounds, rule in rules if _reaches(directory, rule, user_id, owner_id))
    if reaching:
        return Explanation(True, "scope", permission, granted_by=granted_by, scopes=reaching, rules=everywhere)
    scope = Scope.of(directory.grants_of(user_id, [service]), directory, record_type, kind, now=now)
    for member in members:
        if scope.reaches(None, [member]):
            return Explanation(
                True, "membership", permission, granted_by=granted_by, rules=everywhere, membership=member
            )
    return Explanation(
        False, "scope", permission, missing=f"{record_type}:{kind}", granted_by=granted_by, rules=everywhere
    )


def _roles(directory: Directory, user: User) -> Sequence[tuple[uuid.UUID | None, str, RoleRights]]:
    found: list[tuple[uuid.UUID | None, str, RoleRights]] = [
        (role.id, role.name, role) for role in directory.roles_of(user)
    ]
    if user.super_admin:
        found.insert(0, (None, "Super administrator", EVERYTHING))
    return found


def _reaches(directory: Directory, rule: Rule, user_id: uuid.UUID, owner_id: uuid.UUID | None) -> bool:
    reach = directory.owners(rule, user_id)
    return isinstance(reach, Everybody) or (owner_id is not None and owner_id in reach)
