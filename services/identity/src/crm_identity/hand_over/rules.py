"""Who gets what a leaver had, and which services are asked."""

import uuid
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from crm_kernel import FieldError, Invalid, NotFound

#: The services whose records have owners.
SERVICES: Final[tuple[str, ...]] = ("customers", "sales", "billing", "support")


class SuccessorNotActive(Invalid):
    """422: records go only to active users (ID-5), and not to the leaver."""

    code = "hand_over.successor_not_active"
    title = "The successor named is no active user"

    def __init__(self) -> None:
        super().__init__(errors=[FieldError("/successor_id", self.code, "There is no such active user.")])


class HandOverNotFound(NotFound):
    """404: there is none, or the leaver is out of the caller's sight."""

    code = "hand_over.not_found"
    title = "There is no such hand-over"


class Standing(Protocol):
    """What of a person decides whether they can be a successor."""

    @property
    def superior_id(self) -> uuid.UUID | None: ...

    @property
    def status(self) -> str: ...

    @property
    def super_admin(self) -> bool: ...


def successor_of(
    people: Mapping[uuid.UUID, Standing], leaver: uuid.UUID, named: uuid.UUID | None, dismissed_by: uuid.UUID
) -> uuid.UUID:
    """Who gets the records: who is named, else the nearest active superior, else who dismisses, else a super administrator.

    The last is for who dismisses themself and has no superior; one active super administrator always remains (ID-1). Raises
    SuccessorNotActive.
    """
    if named is not None:
        if not _can_be(people, leaver, named):
            raise SuccessorNotActive
        return named
    seen = {leaver}
    at = people[leaver].superior_id
    while at is not None and at not in seen:
        if _can_be(people, leaver, at):
            return at
        seen.add(at)
        at = people[at].superior_id if at in people else None
    if _can_be(people, leaver, dismissed_by):
        return dismissed_by
    left = sorted(user_id for user_id, one in people.items() if one.super_admin and _can_be(people, leaver, user_id))
    if not left:
        raise SuccessorNotActive
    return left[0]


def _can_be(people: Mapping[uuid.UUID, Standing], leaver: uuid.UUID, user_id: uuid.UUID) -> bool:
    person = people.get(user_id)
    return person is not None and person.status == "active" and user_id != leaver


def asked_services(deployed: Collection[str]) -> tuple[str, ...]:
    """The services that are asked. deployed: those that this deployment runs; empty: all there are."""
    return tuple(service for service in SERVICES if not deployed or service in deployed)
