"""What a user may become: statuses, superiors, logins, and the super administrators who always remain (ID-1, ID-4, ID-5)."""

import unicodedata
import uuid
from collections.abc import Callable, Mapping
from typing import Literal

import email_validator
import phonenumbers

from crm_kernel import Conflict, FieldError, Forbidden, Invalid, NotFound

UserStatus = Literal["pending_activation", "active", "inactive", "dismissed"]
StatusAction = Literal["activate", "deactivate", "dismiss", "reinstate"]

#: From which statuses an action leads, and where to.
_TRANSITIONS: Mapping[StatusAction, tuple[frozenset[UserStatus], UserStatus]] = {
    "activate": (frozenset({"pending_activation", "inactive"}), "active"),
    "deactivate": (frozenset({"active"}), "inactive"),
    "dismiss": (frozenset({"pending_activation", "active", "inactive"}), "dismissed"),
    "reinstate": (frozenset({"dismissed"}), "active"),
}

#: What about a user makes older tokens worthless when it changes (ID-24).
_EPOCH_FIELDS = frozenset({"status", "department_id", "superior_id", "role_ids"})


class UserNotFound(NotFound):
    code = "user.not_found"
    title = "There is no such user"


class StatusForbids(Conflict):
    code = "user.status_forbids"
    title = "The user's status does not allow this"


class OnlySuperAdmin(Forbidden):
    """403: only a super administrator may change a super administrator, or take a dismissal back."""

    code = "user.super_admin_only"
    title = "Only a super administrator may do this"


class RoleNotYours(Forbidden):
    code = "user.role_not_yours"
    title = "You can give others only rights that you have yourself"


class LastSuperAdmin(Conflict):
    code = "user.last_super_admin"
    title = "One active super administrator must remain"


class SuperiorCycle(Conflict):
    code = "user.superior_cycle"
    title = "Nobody can be their own superior, not even through others"


class EmailTaken(Conflict):
    code = "user.email_taken"
    title = "Another user has this e-mail address"


class MobileTaken(Conflict):
    code = "user.mobile_taken"
    title = "Another user has this mobile number"


class UnknownSuperior(Invalid):
    code = "user.unknown_superior"
    title = "The superior named is no active user"

    def __init__(self) -> None:
        super().__init__(errors=[FieldError("/superior_id", self.code, "There is no such active user.")])


class UnknownRole(Invalid):
    code = "user.unknown_role"
    title = "A role named does not exist"

    def __init__(self) -> None:
        super().__init__(errors=[FieldError("/role_ids", self.code, "There is no such role.")])


class LoginMissing(Invalid):
    code = "user.login_missing"
    title = "A user needs an e-mail address or a mobile number"


class NotActivated(Conflict):
    code = "user.password_missing"
    title = "The user has no password yet; activate with one, or with a code"


def next_status(status: UserStatus, action: StatusAction) -> UserStatus:
    """The status that an action leads to. Raises StatusForbids."""
    allowed, after = _TRANSITIONS[action]
    if status not in allowed:
        raise StatusForbids(f"A user who is {status.replace('_', ' ')} can't be changed by '{action}'.")
    return after


def raises_epoch(changed: frozenset[str] | set[str]) -> bool:
    """Whether a change of these fields makes tokens issued before worthless."""
    return bool(_EPOCH_FIELDS & changed)


def check_superior(
    user: uuid.UUID, superior: uuid.UUID | None, superior_of: Callable[[uuid.UUID], uuid.UUID | None]
) -> None:
    """Raises SuperiorCycle when the chain above `superior` leads to the user. superior_of: the present superior of a user."""
    at, seen = superior, set[uuid.UUID]()
    while at is not None and at not in seen:
        if at == user:
            raise SuperiorCycle
        seen.add(at)
        at = superior_of(at)


def check_super_admins(*, was: bool, stays: bool, others: int) -> None:
    """was, stays: whether the user is an active super administrator before and after. others: how many more there are.

    Raises LastSuperAdmin.
    """
    if was and not stays and others == 0:
        raise LastSuperAdmin


def normal_email(text: str, pointer: str = "/email") -> str:
    """An address as it is stored. Raises Invalid when it is none (nobody is asked whether it exists)."""
    try:
        return email_validator.validate_email(text, check_deliverability=False).normalized
    except email_validator.EmailNotValidError as error:
        raise Invalid(errors=[FieldError(pointer, "field.email", str(error))]) from error


def normal_mobile(text: str, pointer: str = "/mobile") -> str:
    """A number in E.164 (`+821012345678`). Raises Invalid when it is no possible number or lacks the country's code."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise Invalid(
            errors=[FieldError(pointer, "field.phone", "Write the number with its country's code: +82 10 1234 5678.")]
        ) from error
    if not phonenumbers.is_possible_number(number):
        raise Invalid(errors=[FieldError(pointer, "field.phone", "That is no possible phone number.")])
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def folded(text: str) -> str:
    """Text as it is compared, sorted and searched: composed and without case."""
    return unicodedata.normalize("NFKC", text).casefold()


def login_keys(login: str) -> tuple[str, str | None]:
    """What a login may stand for: an e-mail as it is compared, and a mobile number if it can be one."""
    mobile = None
    if "@" not in login:
        try:
            mobile = normal_mobile(login)
        except Invalid:
            mobile = None
    return folded(login.strip()), mobile
