"""Who may do what on the bus, where the brokers ask who one is: of services, operators and subscribers. Pure.

Computed from the registry, so that a topic or a consumer that is added there has its rights without anybody writing them down twice.
Whatever is not named here is refused. docs/subscribe.md tells subscribers of it, docs/decisions/0026 why it is so.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from crm_contracts import control
from crm_contracts.registry import Registry, Topic, registry

Operation = Literal["read", "write", "create", "describe", "alter", "alter_configs"]

#: The groups of our own services are `crm.<service>.<purpose>`.
OURS = "crm"
SUBSCRIBER_USER = "subscriber."
#: Without a dot: what begins with `<name>.` belongs to one subscriber.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_ALL_OF = ".*"


class RightRefused(Exception):
    """Nobody may be given that; the text says why."""


@dataclass(frozen=True, order=True)
class Right:
    """One user may do one thing with the topic or the groups of that name; is_prefix: with all whose name begins so."""

    resource: Literal["topic", "group"]
    name: str
    operation: Operation
    is_prefix: bool = False


def of_service(service: str, known: Registry = registry) -> frozenset[Right]:
    """What a service's processes need: their own topics, the topics that name them as consumer, the control topics, their groups."""
    #: A broker that lost its topics is given those of the service again, with partitions and retention (crm_events.topics).
    own: tuple[Operation, ...] = ("read", "write", "create", "alter", "alter_configs", "describe")
    rights = {Right("topic", topic.name, one) for topic in known.produced_by(service) for one in own}
    for topic in known.consumed_by(service):
        rights |= _of(topic, "read", "describe")
    for topic in (control.REPORTS, control.RESYNC_REQUESTS, control.RESYNC_ANSWERS):
        rights |= _of(topic, "read", "write", "describe")
    rights |= _of(control.DEAD_LETTERS, "write", "describe")
    rights |= _of(control.HEARTBEAT, "read", "describe")
    if service == control.HEARTBEAT.producer:
        rights |= _of(control.HEARTBEAT, "write")
    return frozenset(rights | {Right("group", f"{OURS}.{service}.", "read", is_prefix=True)})


def of_operator(known: Registry = registry) -> frozenset[Right]:
    """What `crm events tail`, `restored` and `crm doctor` need: to read every fact, the dead letters and how far each group says it is,
    and to see that the other topics are there."""
    rights: set[Right] = set()
    for topic in known.topics.values():
        rights |= _of(topic, "describe")
        if topic.numbered or topic in (control.DEAD_LETTERS, control.REPORTS):
            rights |= _of(topic, "read")
    return frozenset(rights)


def of_subscriber(name: str, topics: Iterable[str]) -> frozenset[Right]:
    """What a program outside needs to read these topics, by their names. Raises RightRefused for a name that nobody may have."""
    if not _NAME.fullmatch(name):
        raise RightRefused(
            f"{name!r} is no subscriber's name: small letters, digits and hyphens, a letter first, at most 40"
        )
    if name == OURS:
        raise RightRefused(f"{OURS!r} is ours: the groups of the services begin so")
    rights = {Right("group", f"{name}.", "read", is_prefix=True)}
    for topic in topics:
        rights |= {Right("topic", topic, "read"), Right("topic", topic, "describe")}
    return frozenset(rights)


def subscribed(patterns: Iterable[str], known: Registry = registry) -> list[str]:
    """The topics that a subscriber asks for, by name: `crm.sales.opportunity`, or `crm.customers.*` for those of a service that there
    are now; what a later release adds is not given without asking.

    Raises RightRefused for control topics, which carry what is nobody's but the services', and for what doesn't exist.
    """
    facts = {topic.name for topic in known.topics.values() if topic.numbered}
    found: set[str] = set()
    for pattern in patterns:
        if pattern in known.topics and pattern not in facts:
            raise RightRefused(f"{pattern} is between the services alone: it carries what a subscriber has no right to")
        beginning = pattern.removesuffix("*")
        chosen = {name for name in facts if name.startswith(beginning)} if pattern.endswith(_ALL_OF) else {pattern}
        if not chosen or not chosen <= facts:
            raise RightRefused(f"there is no topic {pattern}; there are: {', '.join(sorted(facts))}")
        found |= chosen
    if not found:
        raise RightRefused("name at least one topic")
    return sorted(found)


def _of(topic: Topic, *operations: Operation) -> set[Right]:
    return {Right("topic", topic.name, operation) for operation in operations}


__all__ = ["Operation", "Right", "RightRefused", "of_operator", "of_service", "of_subscriber", "subscribed"]
