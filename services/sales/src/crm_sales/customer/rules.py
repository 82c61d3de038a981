"""From a customer's event to what the replica keeps of it. Pure."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from crm_contracts import Envelope, Event, Member, registry
from crm_contracts.customers import CUSTOMER_TOPIC, CustomerState


@dataclass(frozen=True)
class Known:
    """One customer at one version. members: None when the event says nothing of them."""

    id: uuid.UUID
    version: int
    state: CustomerState
    owner_id: uuid.UUID | None
    members: tuple[Member, ...] | None


def newest(envelopes: Iterable[Envelope]) -> list[Known]:
    """The newest of each customer in a batch. Event types that this version doesn't know are left alone.

    Raises pydantic.ValidationError for data that doesn't fit its contract.
    """
    found: dict[uuid.UUID, Known] = {}
    for envelope in envelopes:
        model = registry.events.get(envelope.type)
        if model is None or model.topic != CUSTOMER_TOPIC.name:
            continue
        event: Event[Any] = model.model_validate_json(envelope.data)
        earlier = found.get(envelope.subject)
        if earlier is not None and earlier.version >= event.version:
            continue
        found[envelope.subject] = Known(
            id=envelope.subject,
            version=event.version,
            state=event.state,
            owner_id=event.state.owner_id if event.access is None else event.access.owner_id,
            members=None if event.access is None else tuple(event.access.members),
        )
    return list(found.values())
