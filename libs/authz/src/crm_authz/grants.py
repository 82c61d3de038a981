"""What somebody may do and how far it reaches, in one form for claims and roles.

Lookups go by the most exact key: the record's own key answers whole for the record, `*` only for records that have none. Within
scope rules the action class's own key wins over `*` likewise. So a narrow entry for one record is never widened by a wide `*`.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from crm_authz.rules import ACTION_CLASSES, ActionClass, Rule, widest

ANY: Final = "*"


def split_code(code: str) -> tuple[str, str, str]:
    """`customers.customer:claim` → its service, record and action. ValueError when it isn't of that form."""
    target, colon, action = code.partition(":")
    service, dot, record = target.partition(".")
    if not (service and dot and record and colon and action) or ":" in action:
        raise ValueError(f"{code!r} is not <service>.<record>:<action>")
    return service, record, action


def split_record_type(record_type: str) -> tuple[str, str]:
    """`customers.customer` → its service and record. ValueError when it isn't of that form."""
    service, dot, record = record_type.partition(".")
    if not (service and dot and record) or ":" in record:
        raise ValueError(f"{record_type!r} is not <service>.<record>")
    return service, record


@dataclass(frozen=True, slots=True)
class Permissions:
    """What may be done. granted: service → record or `*` → actions or `*`. A service has no wildcard."""

    granted: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=lambda: MappingProxyType({}))

    def allows(self, code: str) -> bool:
        """Whether `<service>.<record>:<action>` is granted. ValueError for a malformed code (a programming error)."""
        service, record, action = split_code(code)
        records = self.granted.get(service)
        if records is None:
            return False
        actions = records.get(record)
        if actions is None:
            actions = records.get(ANY, frozenset())
        return action in actions or ANY in actions


@dataclass(frozen=True, slots=True)
class ScopeRules:
    """How far it reaches. granted: service → record or `*` → action class or `*` → rules, whose reaches are united."""

    granted: Mapping[str, Mapping[str, Mapping[str, tuple[Rule, ...]]]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def of(self, record_type: str, action: ActionClass) -> tuple[Rule, ...]:
        """The rules for `<service>.<record>` and an action class; () reaches nothing.

        ValueError for a malformed record type or an unknown class (a programming error).
        """
        service, record = split_record_type(record_type)
        if action not in ACTION_CLASSES:
            raise ValueError(f"{action!r} is no action class")
        records = self.granted.get(service)
        if records is None:
            return ()
        classes = records.get(record)
        if classes is None:
            classes = records.get(ANY)
        return () if classes is None else _by_class(classes, action)


def _by_class(classes: Mapping[str, tuple[Rule, ...]], action: str) -> tuple[Rule, ...]:
    rules = classes.get(action)
    return classes.get(ANY, ()) if rules is None else rules


class Holder(Protocol):
    """Somebody with rights: a Principal (from a token) or Grants (from the directory's roles, for jobs and explanations)."""

    @property
    def user_id(self) -> uuid.UUID: ...

    def allows(self, code: str) -> bool: ...

    def rules(self, record_type: str, action: ActionClass) -> tuple[Rule, ...]: ...


class RoleRights(Protocol):
    """The part of a role that gives rights; the directory's Role and the shipped roles have it.

    permissions: `<service>.<record>:<action>`, each part may be `*`, or `*` alone. scopes: `<service>.<record>`,
    `<service>.*` or `*` → action class or `*` → rule.
    """

    @property
    def permissions(self) -> Collection[str]: ...

    @property
    def scopes(self) -> Mapping[str, Mapping[str, Rule]]: ...


@dataclass(frozen=True, slots=True)
class Grants:
    """The union of a user's roles (ID-10)."""

    user_id: uuid.UUID
    permissions: Permissions
    scopes: ScopeRules

    def allows(self, code: str) -> bool:
        return self.permissions.allows(code)

    def rules(self, record_type: str, action: ActionClass) -> tuple[Rule, ...]:
        return self.scopes.of(record_type, action)


class Everything:
    """The rights of the super administrator, whose roles can't cut them (ID-1)."""

    permissions: Collection[str] = (ANY,)
    scopes: Mapping[str, Mapping[str, Rule]] = MappingProxyType({ANY: MappingProxyType({ANY: Rule("all")})})


EVERYTHING: Final = Everything()


def unite(
    user_id: uuid.UUID, roles: Iterable[RoleRights], services: Collection[str], *, super_admin: bool = False
) -> Grants:
    """The rights that roles give together.

    services: all services that exist: wildcards over services are written out, so that a token names each (the gateway asks
    for the service's own key). super_admin: everything, whatever the roles say.
    """
    parts: list[RoleRights] = [*roles, *([EVERYTHING] if super_admin else [])]
    return Grants(
        user_id,
        Permissions({s: found for s in sorted(services) if (found := _permissions(parts, s))}),
        ScopeRules({s: kept for s in sorted(services) if (kept := _scopes(parts, s))}),
    )


def _permissions(roles: Collection[RoleRights], service: str) -> dict[str, frozenset[str]]:
    """Record or `*` → actions, of one service. Malformed permissions give nothing."""
    given: dict[str, set[str]] = {ANY: set()}
    for role in roles:
        for code in role.permissions:
            try:
                of_service, record, action = (ANY, ANY, ANY) if code == ANY else split_code(code)
            except ValueError:
                continue
            if of_service in (service, ANY):
                given.setdefault(record, set()).add(action)
    # A record's own key answers alone, so what `*` gives stands there once more.
    whole = {record: frozenset(actions | given[ANY]) for record, actions in given.items()}
    whole = {record: frozenset({ANY}) if ANY in actions else actions for record, actions in whole.items()}
    return {r: actions for r, actions in whole.items() if actions and (r == ANY or actions != whole[ANY])}


def _scopes(roles: Collection[RoleRights], service: str) -> dict[str, dict[str, tuple[Rule, ...]]]:
    """Record or `*` → action class or `*` → rules, of one service."""
    records = {ANY} | {key.partition(".")[2] for role in roles for key in role.scopes if key.startswith(f"{service}.")}
    full = {
        record: {
            action: widest(rule for role in roles if (rule := role_rule(role, service, record, action)) is not None)
            for action in ACTION_CLASSES
        }
        for record in records
    }
    return {
        record: _compressed(classes)
        for record, classes in sorted(full.items())
        if (any(classes.values()) if record == ANY else classes != full[ANY])
    }


def role_rule(role: RoleRights, service: str, record: str, action: ActionClass) -> Rule | None:
    """The rule that one role has for a record and an action class: the most exact key that it has answers."""
    for key in (f"{service}.{record}", f"{service}.{ANY}", ANY):
        classes = role.scopes.get(key)
        if classes is not None:
            return classes.get(action) or classes.get(ANY)
    return None


def _compressed(classes: Mapping[ActionClass, tuple[Rule, ...]]) -> dict[str, tuple[Rule, ...]]:
    """The same, with the most frequent answer under `*`."""
    answers = list(classes.values())
    usual = max(answers, key=lambda rules: (answers.count(rules), rules))
    found: dict[str, tuple[Rule, ...]] = {action: rules for action, rules in classes.items() if rules != usual}
    if usual or not found:
        found[ANY] = usual
    return found
