"""What the directory replica knows of each user, department, role, set and company: the rows, as values."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from crm_authz.keys import VerifyingKey
from crm_authz.rules import Rule


@dataclass(frozen=True, slots=True)
class User:
    """A user of any status: who was dismissed still owns what is not handed over yet. epoch: see UserState."""

    id: uuid.UUID
    name: str
    status: str
    department_id: uuid.UUID
    superior_id: uuid.UUID | None = None
    role_ids: tuple[uuid.UUID, ...] = ()
    group_ids: tuple[uuid.UUID, ...] = ()
    super_admin: bool = False
    epoch: int = 1
    position: str | None = None
    locale: str | None = None
    time_zone: str | None = None

    @property
    def active(self) -> bool:
        """Whether the user may log in, be assigned records, appear in pickers (ID-5)."""
        return self.status == "active"


@dataclass(frozen=True, slots=True)
class Department:
    """A node of the organisation tree. path: from the root to itself, as identity last said."""

    id: uuid.UUID
    name: str
    parent_id: uuid.UUID | None
    business_area: str = "other"
    manager_id: uuid.UUID | None = None
    position: int = 0
    path: tuple[uuid.UUID, ...] = ()
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """A role. permissions, scopes: see crm_authz.grants.RoleRights."""

    id: uuid.UUID
    name: str
    permissions: tuple[str, ...]
    scopes: Mapping[str, Mapping[str, Rule]]
    epoch: int = 1
    shipped: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class DepartmentSet:
    """Chosen departments. subtrees: those that count with all below them."""

    id: uuid.UUID
    name: str
    departments: frozenset[uuid.UUID]
    subtrees: frozenset[uuid.UUID]
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Company:
    """The company's settings. time_zone: IANA name, its days are the company's. currency: ISO 4217."""

    name: str
    time_zone: str
    currency: str
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from an earlier state of the directory: the new state of each changed row."""

    users: tuple[User, ...] = ()
    departments: tuple[Department, ...] = ()
    roles: tuple[Role, ...] = ()
    sets: tuple[DepartmentSet, ...] = ()
    keys: tuple[VerifyingKey, ...] = ()
    company: Company | None = None
    #: Session that ended → when that may be forgotten.
    ended_sessions: Mapping[uuid.UUID, dt.datetime] = field(default_factory=dict)
