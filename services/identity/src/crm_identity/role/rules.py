"""What a role may say, and whether it gives more than somebody has (ID-10 to ID-12, ID-18)."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from crm_authz.grants import ANY, unite
from crm_authz.rules import ACTION_CLASSES, Rule
from crm_kernel import Conflict, FieldError, Forbidden, Invalid, NotFound

SUPER_ADMIN = "super_administrator"
_NOBODY = uuid.UUID(int=0)


class RoleNotFound(NotFound):
    code = "role.not_found"
    title = "There is no such role"


class RoleImmutable(Conflict):
    code = "role.immutable"
    title = "The role Super administrator can't be changed or removed"


class RoleHeld(Conflict):
    code = "role.held"
    title = "Users still hold this role"


class RoleNameTaken(Conflict):
    code = "role.name_taken"
    title = "Another role has this name"


class RightsNotYours(Forbidden):
    code = "role.rights_not_yours"
    title = "A role can't be given rights that you don't have yourself"


class UnacceptableRole(Invalid):
    code = "role.unacceptable"
    title = "The role's permissions or scopes are not right"


@dataclass(frozen=True)
class RoleRights:
    """What a role gives; see crm_authz.grants.RoleRights."""

    permissions: Collection[str]
    scopes: Mapping[str, Mapping[str, Rule]]


def adds_rights(held: Iterable[RoleRights], wanted: RoleRights, services: Collection[str]) -> bool:
    """Whether `wanted` gives anything, an operation or a reach, that `held` together don't give already."""
    held = list(held)
    return unite(_NOBODY, held, services) != unite(_NOBODY, [*held, wanted], services)


def check_permissions(permissions: Iterable[str], catalogue: Collection[str]) -> None:
    """Every permission names an operation of the catalogue, or, with `*` for a record or action, at least one.

    Raises UnacceptableRole with a pointer for each that doesn't.
    """
    known = [_parts(code) for code in catalogue]
    errors = [
        FieldError(f"/permissions/{index}", "permission.unknown", "No operation has this code.")
        for index, code in enumerate(permissions)
        if code not in catalogue and not _names_something(code, known)
    ]
    if errors:
        raise UnacceptableRole(errors=errors)


def _parts(code: str) -> tuple[str, str, str]:
    target, _, action = code.partition(":")
    service, _, record = target.partition(".")
    return service, record, action


def _names_something(code: str, known: Iterable[tuple[str, str, str]]) -> bool:
    if code == ANY:
        return True
    wanted = _parts(code)
    if "" in wanted or f"{wanted[0]}.{wanted[1]}:{wanted[2]}" != code:
        return False
    return any(
        all(want in (ANY, have) for want, have in zip(wanted, known_parts, strict=True)) for known_parts in known
    )


def check_scopes(
    scopes: Mapping[str, Mapping[str, Rule]],
    record_types: Collection[str],
    services: Collection[str],
    sets: Collection[uuid.UUID],
) -> None:
    """record_types: all `<service>.<record>`. sets: the department sets that exist. Raises UnacceptableRole."""
    allowed = {*record_types, *(f"{service}.{ANY}" for service in services), ANY}
    errors = []
    for record, classes in scopes.items():
        where = f"/scopes/{_escaped(record)}"
        if record not in allowed:
            errors.append(FieldError(where, "scope.unknown_record", "No record type has this name."))
        for action, rule in classes.items():
            if action != ANY and action not in ACTION_CLASSES:
                errors.append(
                    FieldError(f"{where}/{_escaped(action)}", "scope.unknown_action", "No action class has this name.")
                )
            if rule.set_id is not None and rule.set_id not in sets:
                errors.append(
                    FieldError(f"{where}/{_escaped(action)}/set_id", "scope.unknown_set", "There is no such set.")
                )
    if errors:
        raise UnacceptableRole(errors=errors)


def _escaped(name: str) -> str:
    """A member's name inside a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
