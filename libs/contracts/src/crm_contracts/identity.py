"""Events of the identity service: organisation, users, roles, sessions, signing keys."""

import datetime as dt
import uuid
from typing import Any, Literal

from pydantic import Field

from crm_contracts.control import ALL
from crm_contracts.events import Event, Part
from crm_contracts.examples import ROLE, ROOT, USER, sample
from crm_contracts.operations import operation_events
from crm_contracts.registry import Topic, registry

EVERYBODY = tuple(service for service in ALL if service != "identity")


class CompanyState(Part):
    """The company's settings. time_zone: IANA name; days, weeks and months are reckoned in it. currency: ISO 4217 default."""

    name: str
    time_zone: str
    currency: str
    locale: str = "en"


class DepartmentState(Part):
    """A node of the organisation tree. business_area: `sales`, `collections` or `other`. path: from the root to itself."""

    name: str
    parent_id: uuid.UUID | None
    manager_id: uuid.UUID | None = None
    business_area: Literal["sales", "collections", "other"]
    position: int = 0
    path: list[uuid.UUID]
    deleted: bool = False


UserStatus = Literal["pending_activation", "active", "inactive", "dismissed"]


class UserState(Part):
    """A person who logs in. epoch: raised by everything that makes older tokens worthless (ID-24)."""

    name: str
    email: str | None = None
    mobile: str | None = None
    status: UserStatus
    department_id: uuid.UUID
    position: str | None = None
    superior_id: uuid.UUID | None = None
    role_ids: list[uuid.UUID]
    group_ids: list[uuid.UUID] = Field(default_factory=list)
    super_admin: bool = False
    locale: str | None = None
    time_zone: str | None = None
    epoch: int


class ScopeRule(Part):
    """One data-scope rule (ID-12). set_id: the named set of departments, for `departments` only."""

    scope: Literal["self", "peers", "subordinates", "department", "department_tree", "departments", "all"]
    set_id: uuid.UUID | None = None


class RoleState(Part):
    """A role. permissions: `<service>.<record>:<action>`, `*` as wildcard of the last or all parts.

    scopes: `<service>.<record>` (or `<service>.*`, `*`) → action class (`read`, `write`, `delete`, `transfer`, `export`, or `*`)
    → rule. epoch: raised by every edit of permissions or scopes.
    """

    name: str
    description: str = ""
    shipped: str | None = None
    permissions: list[str]
    scopes: dict[str, dict[str, ScopeRule]]
    epoch: int
    deleted: bool = False


class DepartmentSetState(Part):
    """Chosen departments, each with or without its subtree: what the scope `departments` names."""

    name: str
    departments: list[uuid.UUID]
    subtrees: list[uuid.UUID]
    deleted: bool = False


class SessionState(Part):
    """One login. Refused everywhere as soon as `ended_at` is set."""

    user_id: uuid.UUID
    client: str
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    reason: str | None = None


class SigningKeyState(Part):
    """A public key that tokens are verified with. not_after: from then on nothing signed by it is accepted."""

    kid: str
    jwk: dict[str, Any]
    not_after: dt.datetime | None = None


class HandOverStepState(Part):
    """One service's part in a hand-over. attempt: rises each time it is asked (again); who has dealt with it already answers the same."""

    service: str
    status: Literal["waiting", "asked", "done", "failed", "cancelled"]
    attempt: int
    code: str | None = None


class HandOverState(Part):
    """A leaver's open records go to a successor, in every service (ID-6). user_epoch, successor_epoch: those of both users when it was
    asked: a service whose directory knows older ones has not heard of the dismissal yet, and waits.
    """

    user_id: uuid.UUID
    user_epoch: int
    successor_id: uuid.UUID
    successor_epoch: int
    status: Literal["running", "succeeded", "failed", "cancelled"]
    asked_by: uuid.UUID
    asked_at: dt.datetime
    ended_at: dt.datetime | None = None
    steps: list[HandOverStepState]


def _topic(record: str, description: str) -> Topic:
    return registry.topic(
        Topic(
            name=f"crm.identity.{record}",
            producer="identity",
            consumers=EVERYBODY,
            description=description,
            partitions=1,
        )
    )


COMPANY = _topic("company", "The company's settings.")
DEPARTMENT = _topic("department", "The organisation tree.")
USER_TOPIC = _topic("user", "People who log in: place, superior, roles, status.")
ROLE_TOPIC = _topic("role", "Roles: permissions and data scopes.")
DEPARTMENT_SET = _topic("department-set", "Named sets of departments for the data scope `departments`.")
SESSION_TOPIC = _topic("session", "Logins and their ends.")
SIGNING_KEY = _topic("signing-key", "Public keys of access tokens.")
HAND_OVER = _topic("hand-over", "Leavers' records go to their successors: what the other services are asked to do.")
IDENTITY_OPERATIONS = operation_events("identity")

_company = {"name": "Example Ltd", "time_zone": "Asia/Seoul", "currency": "KRW", "locale": "ko"}
_department = {
    "name": "Central",
    "parent_id": ROOT,
    "manager_id": None,
    "business_area": "sales",
    "position": 1,
    "path": [ROOT, "01900000-0000-7000-8000-000000000005"],
}
_user = {
    "name": "김철수",
    "email": "cheolsu.kim@example.com",
    "mobile": "+821012345678",
    "status": "active",
    "department_id": "01900000-0000-7000-8000-000000000005",
    "superior_id": USER,
    "role_ids": [ROLE],
    "epoch": 3,
}
_role = {
    "name": "Sales representative",
    "permissions": ["customers.customer:read", "customers.customer:create"],
    "scopes": {"customers.customer": {"*": {"scope": "self"}}},
    "epoch": 1,
}
_set = {"name": "North", "departments": [ROOT], "subtrees": []}
_session = {"user_id": USER, "client": "console", "started_at": "2026-03-01T09:00:00Z"}
_steps = [{"service": service, "status": "asked", "attempt": 1} for service in ("customers", "sales")]
_hand_over = {
    "user_id": USER,
    "user_epoch": 4,
    "successor_id": ROOT,
    "successor_epoch": 1,
    "status": "running",
    "asked_by": ROOT,
    "asked_at": "2026-03-01T09:00:00Z",
    "ended_at": None,
    "steps": _steps,
}
_ended = "2026-03-01T09:05:00Z"
_key = {"kid": "2026-03-a", "jwk": {"kty": "EC", "crv": "P-256", "x": "…", "y": "…"}}


@registry.event("crm.identity.company.created.v1", COMPANY, example=sample(_company))
class CompanyCreated(Event[CompanyState]):
    """The company was set up (ID-1)."""


@registry.event(
    "crm.identity.company.changed.v1",
    COMPANY,
    example=sample(_company, version=2, changes={"currency": {"old": "USD", "new": "KRW"}}),
)
class CompanyChanged(Event[CompanyState]):
    """A setting of the company changed."""


@registry.event("crm.identity.department.created.v1", DEPARTMENT, example=sample(_department))
class DepartmentCreated(Event[DepartmentState]):
    """A department was created (ID-2)."""


@registry.event(
    "crm.identity.department.changed.v1",
    DEPARTMENT,
    example=sample(_department, version=2, changes={"name": {"old": "Middle", "new": "Central"}}),
)
class DepartmentChanged(Event[DepartmentState]):
    """A department was renamed, moved, or given another manager. Its descendants' paths follow in events of their own."""


@registry.event(
    "crm.identity.department.deleted.v1", DEPARTMENT, example=sample({**_department, "deleted": True}, version=3)
)
class DepartmentDeleted(Event[DepartmentState]):
    """An empty department was removed."""


@registry.event("crm.identity.user.created.v1", USER_TOPIC, example=sample(_user))
class UserCreated(Event[UserState]):
    """A user was created (ID-4)."""


@registry.event(
    "crm.identity.user.changed.v1",
    USER_TOPIC,
    example=sample(_user, version=2, changes={"name": {"old": "김철", "new": "김철수"}}),
)
class UserChanged(Event[UserState]):
    """A user's profile, place, superior, roles or status changed (ID-4, ID-5, ID-24); `changes` says what."""


@registry.event("crm.identity.user.sessions-revoked.v1", USER_TOPIC, example=sample(_user, version=3))
class UserSessionsRevoked(Event[UserState]):
    """All tokens issued so far are refused from now on: the epoch was raised (password change, all sessions ended)."""


@registry.event("crm.identity.role.created.v1", ROLE_TOPIC, example=sample(_role))
class RoleCreated(Event[RoleState]):
    """A role was defined (ID-10)."""


@registry.event("crm.identity.role.changed.v1", ROLE_TOPIC, example=sample(_role, version=2))
class RoleChanged(Event[RoleState]):
    """A role was edited: its epoch rose, older tokens of its holders are refused."""


@registry.event("crm.identity.role.deleted.v1", ROLE_TOPIC, example=sample({**_role, "deleted": True}, version=3))
class RoleDeleted(Event[RoleState]):
    """A role was removed; it gives nobody anything."""


@registry.event("crm.identity.department-set.created.v1", DEPARTMENT_SET, example=sample(_set))
class DepartmentSetCreated(Event[DepartmentSetState]):
    """A named set of departments was defined."""


@registry.event("crm.identity.department-set.changed.v1", DEPARTMENT_SET, example=sample(_set, version=2))
class DepartmentSetChanged(Event[DepartmentSetState]):
    """A named set of departments changed, in force when this arrives."""


@registry.event(
    "crm.identity.department-set.deleted.v1", DEPARTMENT_SET, example=sample({**_set, "deleted": True}, version=3)
)
class DepartmentSetDeleted(Event[DepartmentSetState]):
    """A named set of departments was removed; it reaches nobody."""


@registry.event("crm.identity.session.started.v1", SESSION_TOPIC, example=sample(_session))
class SessionStarted(Event[SessionState]):
    """Somebody logged in."""


@registry.event(
    "crm.identity.session.ended.v1",
    SESSION_TOPIC,
    example=sample({**_session, "ended_at": "2026-03-01T10:00:00Z", "reason": "logout"}, version=2),
)
class SessionEnded(Event[SessionState]):
    """A session ended: its access tokens are refused from now on."""


@registry.event("crm.identity.signing-key.published.v1", SIGNING_KEY, example=sample(_key))
class SigningKeyPublished(Event[SigningKeyState]):
    """A public key is valid from now on."""


@registry.event(
    "crm.identity.signing-key.retired.v1",
    SIGNING_KEY,
    example=sample({**_key, "not_after": "2026-06-01T00:00:00Z"}, version=2),
)
class SigningKeyRetired(Event[SigningKeyState]):
    """A public key stops verifying at `not_after`."""


@registry.event("crm.identity.hand-over.asked.v1", HAND_OVER, example=sample(_hand_over))
class HandOverAsked(Event[HandOverState]):
    """The services whose step is `asked` are asked to give the leaver's open records to the successor, the first time or again (ID-6)."""


@registry.event(
    "crm.identity.hand-over.cancelled.v1",
    HAND_OVER,
    example=sample(
        {
            **_hand_over,
            "status": "cancelled",
            "ended_at": _ended,
            "steps": [{**_steps[0], "status": "done"}, {**_steps[1], "status": "cancelled"}],
        },
        version=2,
    ),
)
class HandOverCancelled(Event[HandOverState]):
    """No more records change hands. Those that did stay the successor's."""


@registry.event(
    "crm.identity.hand-over.finished.v1",
    HAND_OVER,
    example=sample(
        {
            **_hand_over,
            "status": "succeeded",
            "ended_at": _ended,
            "steps": [{**step, "status": "done"} for step in _steps],
        },
        version=2,
    ),
)
class HandOverFinished(Event[HandOverState]):
    """Every service has answered: `succeeded`, or `failed` when one could not go on; then it may be asked again."""
