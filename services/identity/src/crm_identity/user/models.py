"""Users as requests and answers."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from crm_identity.company.rules import LOCALES, check_time_zone
from crm_identity.models import MAX_ROWS, ExternalRef, Name, Request, left_out
from crm_identity.user.rules import UserStatus, normal_email, normal_mobile
from crm_kernel import Invalid

EXAMPLE = {
    "id": "01900000-0000-7000-8000-000000000002",
    "version": 3,
    "name": "김철수",
    "email": "cheolsu.kim@example.com",
    "mobile": "+821012345678",
    "gender": None,
    "status": "active",
    "department_id": "01900000-0000-7000-8000-000000000005",
    "position": "Account manager",
    "superior_id": None,
    "role_ids": ["01900000-0000-7000-8000-000000000003"],
    "super_admin": False,
    "locale": "ko",
    "time_zone": "Asia/Seoul",
    "external_ref": None,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}


def _email(text: str) -> str:
    return _checked(normal_email, text)


def _mobile(text: str) -> str:
    return _checked(normal_mobile, text)


def _zone(text: str) -> str:
    for error in check_time_zone(text):
        raise PydanticCustomError(error.code, "{detail}", {"detail": error.detail})
    return text


def _checked(normal: Any, text: str) -> str:
    try:
        return str(normal(text))
    except Invalid as invalid:
        error = invalid.errors[0]
        raise PydanticCustomError(error.code, "{detail}", {"detail": error.detail}) from None


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=254)]
Email = Annotated[
    _Text, AfterValidator(_email), WithJsonSchema({"type": "string", "format": "email", "maxLength": 254})
]
Mobile = Annotated[
    _Text,
    AfterValidator(_mobile),
    WithJsonSchema({"type": "string", "maxLength": 254, "description": "With the country's code; kept as E.164."}),
]
TimeZone = Annotated[_Text, AfterValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Asia/Seoul"]})]
Locale = Literal["en", "ko", "zh", "ru"]
Gender = Literal["female", "male", "other"]
RoleIds = Annotated[list[uuid.UUID], Field(max_length=100)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=1024)]

if set(LOCALES) != set(Locale.__args__):  # type: ignore[attr-defined]
    raise RuntimeError("the locales of the company and of its users differ")


class User(BaseModel):
    """A person who logs in. super_admin: holds the role Super administrator."""

    id: uuid.UUID
    version: int
    name: str
    email: str | None
    mobile: str | None
    gender: str | None
    status: UserStatus
    department_id: uuid.UUID
    position: str | None
    superior_id: uuid.UUID | None
    role_ids: list[uuid.UUID]
    super_admin: bool
    locale: str | None
    time_zone: str | None
    external_ref: ExternalRef | None
    created_at: dt.datetime
    updated_at: dt.datetime


class UserList(BaseModel):
    """A page, by name. next: the cursor of the next one, null on the last. count: when asked for."""

    items: list[User]
    next: str | None
    count: int | None = None


class CreateUser(Request):
    """A new user, who waits for activation. At least one of e-mail and mobile number, which both log in."""

    name: Name
    email: Email | None = None
    mobile: Mobile | None = None
    gender: Gender | None = None
    department_id: uuid.UUID
    position: Name | None = None
    superior_id: uuid.UUID | None = None
    role_ids: RoleIds = Field(default_factory=list)
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    external_ref: ExternalRef | None = None


class PatchUser(Request):
    """What is to change."""

    name: Name = left_out()
    email: Email | None = left_out()
    mobile: Mobile | None = left_out()
    gender: Gender | None = left_out()
    department_id: uuid.UUID = left_out()
    position: Name | None = left_out()
    superior_id: uuid.UUID | None = left_out()
    role_ids: RoleIds = left_out()
    locale: Locale | None = left_out()
    time_zone: TimeZone | None = left_out()


class UserRow(Request):
    """external_ref decides whether it is new. Department and superior are named by id or as the other system knows them; the superior
    may stand in the same batch. status and password are for new users: who is there already keeps theirs.
    """

    external_ref: ExternalRef
    name: Name
    email: Email | None = left_out()
    mobile: Mobile | None = left_out()
    gender: Gender | None = left_out()
    department_id: uuid.UUID = left_out()
    department_ref: ExternalRef | None = None
    position: Name | None = left_out()
    superior_id: uuid.UUID | None = left_out()
    superior_ref: ExternalRef | None = None
    role_ids: RoleIds = left_out()
    locale: Locale | None = left_out()
    time_zone: TimeZone | None = left_out()
    status: Literal["pending_activation", "active"] = left_out()
    password: Password | None = None


class BatchUsers(Request):
    """Up to 1000 rows; a row that is wrong is answered and does not stop the others."""

    rows: Annotated[
        list[Annotated[Any, WithJsonSchema(UserRow.model_json_schema(ref_template="#/components/schemas/{model}"))]],
        Field(min_length=1, max_length=MAX_ROWS),
    ]


class ActivateUser(Request):
    """password: needed for a user who has none yet."""

    password: Password | None = None


class DismissUser(Request):
    """successor_id: an active user who gets the leaver's open records. Left out: the nearest active superior, else who dismisses."""

    successor_id: uuid.UUID | None = None


class SetPassword(Request):
    """A new password for the user."""

    password: Password


class ActivationCode(BaseModel):
    """code: told this once. expires_at: from then on it is void."""

    code: str
    expires_at: dt.datetime


class Activation(Request):
    """The code that an administrator passed on, and the password that the new user chooses."""

    code: Annotated[str, Field(min_length=1, max_length=200)]
    password: Password


class Colleague(BaseModel):
    """What everybody may know of an active user."""

    id: uuid.UUID
    name: str
    position: str | None
    department_id: uuid.UUID
    department_name: str


class ColleagueList(BaseModel):
    """A page, by name. next: the cursor of the next one, null on the last."""

    items: list[Colleague]
    next: str | None


def view(row: Any) -> User:
    """A row as an answer."""
    ref = None
    if row["external_system"] is not None:
        ref = ExternalRef(system=row["external_system"], id=row["external_id"])
    return User(**{name: row[name] for name in User.model_fields if name != "external_ref"}, external_ref=ref)
