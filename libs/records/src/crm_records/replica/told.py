"""From a batch of events to what a replica keeps of it. Pure."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crm_contracts import Envelope, Event, Member, registry
from crm_records.replica.columns import Column


@dataclass(frozen=True)
class Told:
    """One record at one version, as its events tell.

    state: the columns' members, as JSON. members: who has access besides the owner; None when no event of the batch says it.
    """

    id: uuid.UUID
    version: int
    state: dict[str, Any]
    owner_id: uuid.UUID | None
    deleted: bool
    members: tuple[Member, ...] | None


def newest(topic: str, columns: Sequence[Column], envelopes: Iterable[Envelope]) -> list[Told]:
    """The newest of each record in a batch, in whatever order and however often its events come. Types that this version doesn't
    know, and those of other topics, are left alone. What the newest event doesn't say of members, the one before it says.

    Raises pydantic.ValidationError for data that doesn't fit its contract.
    """
    names = {column.name for column in columns}
    heard: list[tuple[uuid.UUID, Event[Any]]] = []
    for envelope in envelopes:
        model = registry.events.get(envelope.type)
        if model is not None and model.topic == topic:
            heard.append((envelope.subject, model.model_validate_json(envelope.data)))
    found: dict[uuid.UUID, Told] = {}
    for subject, event in sorted(heard, key=lambda one: one[1].version):
        told = _told(subject, event, names)
        earlier = found.get(subject)
        if told.members is None and earlier is not None:
            told = replace(told, members=earlier.members)
        found[subject] = told
    return list(found.values())


def _told(subject: uuid.UUID, event: Event[Any], names: set[str]) -> Told:
    state, access = event.state, event.access
    return Told(
        id=subject,
        version=event.version,
        state=state.model_dump(mode="json", include=names),
        owner_id=getattr(state, "owner_id", None) if access is None else access.owner_id,
        deleted=state.deleted,
        members=None if access is None else tuple(access.members),
    )
