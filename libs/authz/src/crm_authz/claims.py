"""The claims that carry rights: `perm`, `scp`, `roles`, `place`, … to and from what they mean.

Reading is strict: a claim of the wrong type refuses the whole token. An unknown scope name is of the right type and reaches nothing.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from crm_authz.grants import Grants, Permissions, ScopeRules
from crm_authz.rules import Rule, canonical_uuid, widest

ValueT = TypeVar("ValueT")


class MalformedClaim(ValueError):
    """A claim is missing or has the wrong type. Says which, never what stood there."""


def encode_claims(grants: Grants) -> dict[str, Any]:
    """The claims `perm` and `scp` of somebody's rights, as compact as they stay exact."""
    return {
        "perm": {
            service: {record: sorted(actions) for record, actions in sorted(records.items())}
            for service, records in grants.permissions.granted.items()
        },
        "scp": {
            service: {
                record: {action: [str(rule) for rule in rules] for action, rules in sorted(classes.items())}
                for record, classes in sorted(records.items())
            }
            for service, records in grants.scopes.granted.items()
        },
    }


def services_of(grants: Grants) -> list[str]:
    """The services in which anything is permitted: the most that the claim `mod` may name."""
    return sorted(service for service, records in grants.permissions.granted.items() if any(records.values()))


def read_permissions(claim: object) -> Permissions:
    """The claim `perm`. Raises MalformedClaim."""

    def actions(value: object) -> frozenset[str]:
        return frozenset(_texts("perm", value))

    return Permissions(_members("perm", claim, lambda records: _members("perm", records, actions)))


def read_scope_rules(claim: object) -> ScopeRules:
    """The claim `scp`. Raises MalformedClaim; rules with an unknown name are left out: they reach nothing."""

    def rules(value: object) -> tuple[Rule, ...]:
        return widest(rule for text in _texts("scp", value) if (rule := Rule.parse(text)) is not None)

    def classes(value: object) -> Mapping[str, tuple[Rule, ...]]:
        return _members("scp", value, rules)

    return ScopeRules(_members("scp", claim, lambda records: _members("scp", records, classes)))


def read_roles(claim: object) -> dict[uuid.UUID, int]:
    """The claim `roles`: role id → epoch. Raises MalformedClaim."""
    return {
        _id("roles", key): _whole("roles", value)
        for key, value in _members("roles", claim, lambda found: found).items()
    }


def read_id(claims: Mapping[str, Any], name: str) -> uuid.UUID:
    """A claim that is an id in canonical form. Raises MalformedClaim."""
    return _id(name, claims.get(name))


def read_text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that is a text of 1 to 255 characters. Raises MalformedClaim."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise MalformedClaim(name)
    return value


def read_texts(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """A claim that is a list of texts. Raises MalformedClaim."""
    return frozenset(_texts(name, claims.get(name)))


def read_whole(claims: Mapping[str, Any], name: str) -> int:
    """A claim that is a whole number ≥ 0. Raises MalformedClaim."""
    return _whole(name, claims.get(name))


def read_flag(claims: Mapping[str, Any], name: str) -> bool:
    """A claim that is true or false. Raises MalformedClaim."""
    value = claims.get(name)
    if not isinstance(value, bool):
        raise MalformedClaim(name)
    return value


def check_place(claim: object) -> None:
    """The claim `place` is for clients to read: the holder's place comes from the directory only. Still it must be an object."""
    _members("place", claim, lambda found: found)


def _members(name: str, value: object, read: Callable[[object], ValueT]) -> dict[str, ValueT]:
    if not isinstance(value, dict) or "" in value:
        raise MalformedClaim(name)
    return {key: read(content) for key, content in value.items()}


def _texts(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MalformedClaim(name)
    return value


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedClaim(name)
    return value


def _id(name: str, value: object) -> uuid.UUID:
    found = canonical_uuid(value) if isinstance(value, str) else None
    if found is None:
        raise MalformedClaim(name)
    return found


__all__ = [
    "MalformedClaim",
    "check_place",
    "encode_claims",
    "read_flag",
    "read_id",
    "read_permissions",
    "read_roles",
    "read_scope_rules",
    "read_text",
    "read_texts",
    "read_whole",
    "services_of",
]
