"""The directory replica in memory: one moment of identity's users, departments, roles, sets, sessions and keys.

A Directory never changes: a request keeps the one that it started with. `with_changes` gives the next one, cheaply.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from crm_authz import admission
from crm_authz.grants import Grants, unite
from crm_authz.keys import VerifyingKey
from crm_authz.organisation import Organisation, Reach
from crm_authz.people import Changes, Company, Department, DepartmentSet, Role, User
from crm_authz.principal import Principal
from crm_authz.rules import Rule
from crm_contracts import Credit
from crm_contracts.control import ALL as SERVICES


@dataclass(frozen=True)
class Directory:
    """version: raised with every change; 0: nothing was ever heard. heard_at: identity's last heartbeat.

    ended_sessions: session → when it may be forgotten, because no token of it can be in time any more.
    """

    version: int = 0
    heard_at: dt.datetime | None = None
    organisation: Organisation = field(default_factory=Organisation.empty, repr=False)
    roles: Mapping[uuid.UUID, Role] = field(default_factory=dict, repr=False)
    keys: Mapping[str, VerifyingKey] = field(default_factory=dict, repr=False)
    ended_sessions: Mapping[uuid.UUID, dt.datetime] = field(default_factory=dict, repr=False)
    company: Company | None = None

    def with_changes(self, changes: Changes, *, version: int, heard_at: dt.datetime | None, now: dt.datetime) -> Self:
        """The directory after these changes, at their version. Ended sessions whose time to be forgotten has come are dropped."""
        return type(self)(
            version=version,
            heard_at=heard_at,
            organisation=self.organisation.moved(changes.users, changes.departments, changes.sets),
            roles={**self.roles, **{role.id: role for role in changes.roles}} if changes.roles else self.roles,
            keys={**self.keys, **{key.kid: key for key in changes.keys}} if changes.keys else self.keys,
            ended_sessions=_remembered({**self.ended_sessions, **changes.ended_sessions}, now),
            company=changes.company or self.company,
        )

    def heard(self, heard_at: dt.datetime | None) -> Self:
        """The same directory after a heartbeat."""
        return replace(self, heard_at=heard_at)

    # Access

    def admit(self, principal: Principal, now: dt.datetime) -> None:
        """Return when the token still counts. Raises TokenStale or DirectoryBehind; see crm_authz.admission."""
        admission.admit(principal, self, now)

    def is_deaf(self, now: dt.datetime) -> bool:
        """Whether identity was not heard for 30 s; a warning in /readyz."""
        return admission.is_deaf(self, now)

    def owners(self, rule: Rule, user_id: uuid.UUID) -> Reach:
        """Whose records a rule reaches for a user, or EVERYBODY. The user's place is the one known here, not a token's."""
        return self.organisation.owners(rule, user_id)

    def grants_of(self, user_id: uuid.UUID, services: Iterable[str] = SERVICES) -> Grants:
        """A user's rights by the roles known here: what jobs run with (PL-40). An unknown or inactive user has none."""
        user = self.users.get(user_id)
        if user is None or not user.active:
            return unite(user_id, (), ())
        return unite(user_id, self.roles_of(user), tuple(services), super_admin=user.super_admin)

    def roles_of(self, user: User) -> list[Role]:
        """The roles of a user that are known and not deleted."""
        return [role for held in user.role_ids if (role := self.roles.get(held)) is not None and not role.deleted]

    # People

    @property
    def users(self) -> Mapping[uuid.UUID, User]:
        return self.organisation.users

    @property
    def departments(self) -> Mapping[uuid.UUID, Department]:
        return self.organisation.departments

    @property
    def sets(self) -> Mapping[uuid.UUID, DepartmentSet]:
        return self.organisation.sets

    def is_active(self, user_id: uuid.UUID) -> bool:
        """Whether the user is known and active: only then records may be assigned to them (ID-5)."""
        user = self.users.get(user_id)
        return user is not None and user.active

    @property
    def super_admins(self) -> frozenset[uuid.UUID]:
        """The active super administrators."""
        return frozenset(user.id for user in self.users.values() if user.super_admin and user.active)

    def credit_of(self, user_id: uuid.UUID) -> Credit:
        """To whom something that a user does now counts (AN-6): the user, with department and path as known now."""
        user = self.users.get(user_id)
        if user is None:
            return Credit(user_id=user_id)
        return Credit(
            user_id=user_id,
            department_id=user.department_id,
            department_path=self.organisation.path(user.department_id),
        )

    # Names, for labels; None: not known here (yet)

    def user_name(self, user_id: uuid.UUID) -> str | None:
        user = self.users.get(user_id)
        return None if user is None else user.name

    def department_name(self, department_id: uuid.UUID) -> str | None:
        department = self.departments.get(department_id)
        return None if department is None else department.name

    def department_path(self, department_id: uuid.UUID) -> list[uuid.UUID]:
        """From the root down to the department, both included."""
        return self.organisation.path(department_id)

    def children(self, department_id: uuid.UUID) -> list[uuid.UUID]:
        """The departments directly below, in the company's order."""
        below = [self.departments[child] for child in self.organisation.child_departments(department_id)]
        return [department.id for department in sorted(below, key=lambda d: (d.position, d.name, d.id))]


def _remembered(ended: Mapping[uuid.UUID, dt.datetime], now: dt.datetime) -> Mapping[uuid.UUID, dt.datetime]:
    return {session_id: forget_at for session_id, forget_at in ended.items() if now < forget_at}
