"""Data-scope rules (ID-12): the scope's name, and for chosen departments the id of their set."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Self, cast, get_args

ScopeName = Literal["self", "peers", "subordinates", "department", "department_tree", "departments", "all"]
ActionClass = Literal["read", "write", "delete", "transfer", "export"]

SCOPE_NAMES: Final = frozenset(get_args(ScopeName))
ACTION_CLASSES: Final[tuple[ActionClass, ...]] = get_args(ActionClass)

#: Scope → the scopes whose owners it certainly has too, whatever the organisation looks like. `departments` holds nobody else's
#: for certain, not even the user: a set that is unknown or deleted reaches nothing.
_CONTAINS: Final[dict[ScopeName, frozenset[ScopeName]]] = {
    "self": frozenset(),
    "peers": frozenset({"self"}),
    "subordinates": frozenset({"self"}),
    "department": frozenset({"self"}),
    "department_tree": frozenset({"self", "department"}),
    "departments": frozenset(),
    "all": SCOPE_NAMES - {"all"},
}


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One rule. set_id: the set of chosen departments, exactly for `departments`."""

    scope: ScopeName
    set_id: uuid.UUID | None = None

    def __post_init__(self) -> None:
        if self.scope not in SCOPE_NAMES or (self.scope == "departments") != (self.set_id is not None):
            raise ValueError(f"no such rule: {self.scope} {self.set_id}")

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The rule that a claim names (`self`, `departments:<set id>`); None for anything else: it reaches nothing."""
        name, colon, rest = text.partition(":")
        if name not in SCOPE_NAMES:
            return None
        if (name == "departments") != bool(colon):
            return None
        set_id = None
        if colon:
            set_id = canonical_uuid(rest)
            if set_id is None:
                return None
        return cls(cast(ScopeName, name), set_id)

    def __str__(self) -> str:
        return self.scope if self.set_id is None else f"{self.scope}:{self.set_id}"


def canonical_uuid(text: str) -> uuid.UUID | None:
    """The id that a text is in its one canonical form; None for every other spelling (braces, urn, upper case)."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return value if str(value) == text else None


def widest(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules without those that another one certainly contains; sorted. What they reach together stays the same.

    Two rules of which neither contains the other both stay: reach is their union.
    """
    given = set(rules)
    held = {name for rule in given for name in _CONTAINS[rule.scope]}
    return tuple(sorted(rule for rule in given if rule.scope not in held))
