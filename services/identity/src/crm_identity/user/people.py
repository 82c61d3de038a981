"""Everybody as a value: what a change of one user needs to know of all others, decided without I/O."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from crm_identity.department.rules import UnknownDepartment
from crm_identity.role.rules import RoleRights, adds_rights
from crm_identity.user.rules import (
    EmailTaken,
    LoginMissing,
    MobileTaken,
    OnlySuperAdmin,
    RoleNotYours,
    UnknownRole,
    UnknownSuperior,
    UserStatus,
    check_super_admins,
    check_superior,
    folded,
    raises_epoch,
)
from crm_kernel import FieldError

ExternalRef = tuple[str, str]


@dataclass(frozen=True)
class User:
    """A user. role_ids: sorted, without doubles. super_admin: holds the role Super administrator."""

    id: uuid.UUID
    name: str
    department_id: uuid.UUID
    email: str | None = None
    mobile: str | None = None
    gender: str | None = None
    position: str | None = None
    superior_id: uuid.UUID | None = None
    role_ids: tuple[uuid.UUID, ...] = ()
    super_admin: bool = False
    status: UserStatus = "pending_activation"
    locale: str | None = None
    time_zone: str | None = None
    epoch: int = 1
    external_ref: ExternalRef | None = None


@dataclass(frozen=True)
class Authority:
    """Who changes users. super_admin may everything; others give only rights that their own roles give them."""

    super_admin: bool
    roles: Collection[RoleRights] = ()

    @property
    def held(self) -> Collection[RoleRights] | None:
        """The rights that may be given on; None: all."""
        return None if self.super_admin else self.roles


#: The product itself: the first start.
SYSTEM = Authority(super_admin=True)


@dataclass(frozen=True)
class Person:
    """What of a user matters to others."""

    id: uuid.UUID
    superior_id: uuid.UUID | None
    status: UserStatus
    super_admin: bool
    email_key: str | None
    mobile: str | None


@dataclass
class People:
    """All users, and the departments and roles that exist. `settle` answers one change, and counts it in for the next."""

    everybody: dict[uuid.UUID, Person]
    departments: Collection[uuid.UUID]
    roles: Mapping[uuid.UUID, RoleRights]
    super_admin_role: uuid.UUID | None
    services: Collection[str]
    _emails: dict[str, uuid.UUID] = field(init=False)
    _mobiles: dict[str, uuid.UUID] = field(init=False)

    def __post_init__(self) -> None:
        self._emails = {person.email_key: person.id for person in self.everybody.values() if person.email_key}
        self._mobiles = {person.mobile: person.id for person in self.everybody.values() if person.mobile}

    def settle(self, authority: Authority, before: User | None, after: User) -> User:
        """The user as it will be: roles in order, the flag and the epoch right. Changes nothing when it refuses.

        before: None for a new one. Raises the refusals of user.rules and UnknownDepartment.
        """
        roles = tuple(sorted(set(after.role_ids)))
        after = replace(after, role_ids=roles, super_admin=self.super_admin_role in roles)
        if after == before:
            return before
        self._check_references(before, after)
        self._check_logins(after)
        self._check_authority(authority, before, after)
        if before is None or before.superior_id != after.superior_id:
            check_superior(after.id, after.superior_id, self._superior_of)
        check_super_admins(
            was=before is not None and before.super_admin and before.status == "active",
            stays=after.super_admin and after.status == "active",
            others=sum(
                1 for p in self.everybody.values() if p.super_admin and p.status == "active" and p.id != after.id
            ),
        )
        if before is not None and raises_epoch(_differing(before, after)):
            after = replace(after, epoch=before.epoch + 1)
        self._count_in(after)
        return after

    def _superior_of(self, user_id: uuid.UUID) -> uuid.UUID | None:
        person = self.everybody.get(user_id)
        return None if person is None else person.superior_id

    def _check_references(self, before: User | None, after: User) -> None:
        if after.department_id not in self.departments:
            raise UnknownDepartment("/department_id")
        if any(role not in self.roles for role in after.role_ids if before is None or role not in before.role_ids):
            raise UnknownRole
        if after.superior_id is not None and (before is None or before.superior_id != after.superior_id):
            superior = self.everybody.get(after.superior_id)
            named_itself = after.superior_id == after.id
            if not named_itself and (superior is None or superior.status in ("inactive", "dismissed")):
                raise UnknownSuperior

    def _check_logins(self, after: User) -> None:
        if not after.email and not after.mobile:
            raise LoginMissing(errors=[FieldError("/email", LoginMissing.code, LoginMissing.title)])
        if after.email and self._emails.get(folded(after.email), after.id) != after.id:
            raise EmailTaken
        if after.mobile and self._mobiles.get(after.mobile, after.id) != after.id:
            raise MobileTaken

    def _check_authority(self, authority: Authority, before: User | None, after: User) -> None:
        if authority.super_admin:
            return
        if after.super_admin or (before is not None and before.super_admin):
            raise OnlySuperAdmin
        held = () if before is None else before.role_ids
        added = [self.roles[role] for role in after.role_ids if role not in held]
        if any(adds_rights(authority.roles, role, self.services) for role in added):
            raise RoleNotYours

    def _count_in(self, user: User) -> None:
        old = self.everybody.get(user.id)
        if old is not None:
            if old.email_key:
                self._emails.pop(old.email_key, None)
            if old.mobile:
                self._mobiles.pop(old.mobile, None)
        new = Person(
            id=user.id,
            superior_id=user.superior_id,
            status=user.status,
            super_admin=user.super_admin,
            email_key=folded(user.email) if user.email else None,
            mobile=user.mobile,
        )
        self.everybody[user.id] = new
        if new.email_key:
            self._emails[new.email_key] = new.id
        if new.mobile:
            self._mobiles[new.mobile] = new.id


def _differing(before: User, after: User) -> set[str]:
    names: Iterable[str] = User.__dataclass_fields__
    return {name for name in names if getattr(before, name) != getattr(after, name)}
