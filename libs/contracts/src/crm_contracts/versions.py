"""Versions of event types: what `crm.sales.opportunity.won.v2` has to do with `….v1` (docs/architecture/event-versions.md).

A **fact** is a type without its version (`crm.sales.opportunity.won`). Journals, logs and topics keep each event in the version in which
it was recorded. Who reads it gets it in the newest version that this release knows: an upcaster turns the data of one version into that
of the next.
"""

import re
from collections.abc import Callable
from typing import Any

#: The data of an event, as JSON values.
Data = dict[str, Any]
#: Data of one version → data of the next. Pure; what it is given is its own.
Upcast = Callable[[Data], Data]

#: Members that say what happened and to which version of the record, not how it is written: no upcaster may change them. Order, doubles
#: and gaps are judged by them, before and after.
UNTOUCHED = ("version", "occurred_at", "actor", "origin")

_TYPE = re.compile(r"(?P<fact>.+)\.v(?P<number>[1-9]\d*)")


class UpcastFailed(ValueError):
    """An upcaster raised, or changed what it must not; says which."""


class NewerThanKnown(Exception):
    """An event of a fact that this release knows, in a version that it doesn't: whoever recorded it is a later release."""


def parts_of(type_name: str) -> tuple[str, int]:
    """(fact, number) of a type: `("crm.sales.opportunity.won", 1)`. ValueError when it is no `<fact>.v<n>`."""
    found = _TYPE.fullmatch(type_name)
    if found is None:
        raise ValueError(f"{type_name} is no <topic>.<fact>.v<n>")
    return found["fact"], int(found["number"])


def fact_of(type_name: str) -> str:
    """What happened, whatever the version; a type of another form is a fact of its own."""
    found = _TYPE.fullmatch(type_name)
    return type_name if found is None else found["fact"]


def applied(upcast: Upcast, data: Data, name: str) -> Data:
    """The data of the next version. name: the upcaster's, for the words of a failure. Raises UpcastFailed."""
    before = {member: data.get(member) for member in UNTOUCHED}
    try:
        raised = upcast(data)
    except Exception as error:
        raise UpcastFailed(f"{name}: {type(error).__name__} {error}") from error
    changed = [member for member, value in before.items() if raised.get(member) != value]
    if changed:
        raise UpcastFailed(f"{name} changes {', '.join(changed)}")
    return raised
