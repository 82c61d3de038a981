"""What stands in timelines: one table from event types to entries (CU-17). Pure.

A summary has small facts only: amounts, states, users, days. Long texts stay where they are, and so do ids of other records: who sees
this record need not see those.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from crm_contracts import Envelope, Event, registry
from crm_contracts.billing import CONTRACT_EVENTS, PAYMENT_EVENTS, ContractApproved, ContractTerminated, PaymentApproved
from crm_contracts.customers import (
    CONTACT_EVENTS,
    CUSTOMER_EVENTS,
    CustomerAssigned,
    CustomerClaimed,
    CustomerDealt,
    CustomerReleased,
)
from crm_contracts.records import StandardEvents
from crm_contracts.sales import (
    ACTIVITY_EVENTS,
    OPPORTUNITY_EVENTS,
    OpportunityHeld,
    OpportunityLost,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityWon,
)
from crm_contracts.support import TICKET_EVENTS, TicketAssigned, TicketMoved, TicketReplied

#: A longer text is cut here: reasons may have a thousand letters.
MAX_TEXT: Final = 200

#: The summary; None when the event is nothing for a timeline (another field was changed).
Summary = Callable[[Any], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Entry:
    """One entry. at: business time. recorded_at: when it was entered. version: of the record, as told."""

    id: uuid.UUID
    record_type: str
    record_id: uuid.UUID
    version: int
    kind: str
    at: dt.datetime
    recorded_at: dt.datetime
    actor_id: uuid.UUID | None
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Meaning:
    """What an event type is in a timeline.

    at: when it was; None: `occurred_at`. whole: the record has one entry, which its newest event tells; not one per event.
    """

    kind: str
    summary: Summary
    at: Callable[[Any], dt.datetime] | None = None
    whole: bool = False


def entry_of(envelope: Envelope) -> Entry | None:
    """The entry that an event makes; None when it makes none. Raises pydantic.ValidationError for data that doesn't fit its contract."""
    model, meaning = registry.events.get(envelope.type), MEANINGS.get(envelope.type)
    if model is None or meaning is None:
        return None
    event = model.model_validate_json(envelope.data)
    summary = meaning.summary(event)
    if summary is None:
        return None
    return Entry(
        id=envelope.subject if meaning.whole else envelope.id,
        record_type=model.topic.removeprefix("crm."),
        record_id=envelope.subject,
        version=event.version,
        kind=meaning.kind,
        at=event.occurred_at if meaning.at is None else meaning.at(event),
        recorded_at=event.state.created_at if meaning.whole else envelope.time,
        # Who noted it, whoever changed it later.
        actor_id=event.actor.id if not meaning.whole or event.version == 1 else None,
        summary=summary,
    )


# -- summaries ---------------------------------------------------------------------------------------------------------


def _nothing(_: Event[Any]) -> Mapping[str, Any]:
    """That it happened says all."""
    return {}


def _state(*members: str) -> Summary:
    """Members of the record as it was then."""

    def summary(event: Event[Any]) -> Mapping[str, Any]:
        told = event.state.model_dump(mode="json", include=set(members))
        return {name: _short(told[name]) for name in members}

    return summary


def _told(*members: str) -> Summary:
    """What the event says besides the record."""

    def summary(event: Event[Any]) -> Mapping[str, Any]:
        told = event.model_dump(mode="json", include=set(members))
        return {name: _short(told[name]) for name in members}

    return summary


def _both(*summaries: Summary) -> Summary:
    def summary(event: Event[Any]) -> Mapping[str, Any]:
        return {name: value for one in summaries for name, value in (one(event) or {}).items()}

    return summary


def _changed(*members: str) -> Summary:
    """Before and after of those members that matter; None when others were changed."""

    def summary(event: Event[Any]) -> Mapping[str, Any] | None:
        found = {
            name: {"old": _short(change.old), "new": _short(change.new)}
            for name, change in event.changes.items()
            if name in members
        }
        return {"changes": found} if found else None

    return summary


def _short(value: Any) -> Any:
    """A text cut to MAX_TEXT; everything else as it is."""
    return f"{value[: MAX_TEXT - 1]}…" if isinstance(value, str) and len(value) > MAX_TEXT else value


def _pool_move(event: Any) -> Mapping[str, Any]:
    return {
        "pool_id": str(event.pool_id),
        "from_user_id": None if event.previous_owner_id is None else str(event.previous_owner_id),
        "to_user_id": None if event.state.owner_id is None else str(event.state.owner_id),
        "reason": _short(event.reason),
    }


def _deal(event: CustomerDealt) -> Mapping[str, Any]:
    return {"lifecycle": event.state.lifecycle, "by": "opportunity" if event.opportunity_id else "contract"}


# -- the table ---------------------------------------------------------------------------------------------------------


def _standard(events: StandardEvents[Any], *, created: Meaning, changed: Summary) -> dict[str, Meaning | None]:
    """What every record type has. Who else may see a record is nothing for a timeline."""
    found: dict[str, Meaning | None] = {
        events.created.type: created,
        events.changed.type: Meaning("changed", changed),
        events.deleted.type: Meaning("deleted", _nothing),
        events.restored.type: Meaning("restored", _nothing),
    }
    if events.transferred is not None:
        found[events.transferred.type] = Meaning("transferred", _told("from_user_id", "to_user_id", "reason"))
    if events.members_changed is not None:
        found[events.members_changed.type] = None
    return found


_ACTIVITY: Final = Meaning(
    "noted",
    _state("kind", "direction", "duration_minutes", "next_contact_at"),
    at=lambda event: event.state.happened_at,
    whole=True,
)
_REASON, _MONEY = _state("outcome_reason"), _state("value", "closed_on")

#: Every event type of the topics that timelines are made of; None: no entry.
MEANINGS: Final[Mapping[str, Meaning | None]] = {
    **_standard(
        CUSTOMER_EVENTS,
        created=Meaning("created", _state("lifecycle", "kind", "grade", "owner_id")),
        changed=_changed("name", "lifecycle", "grade", "group", "locked"),
    ),
    CustomerClaimed.type: Meaning("claimed", _pool_move),
    CustomerAssigned.type: Meaning("assigned", _pool_move),
    CustomerReleased.type: Meaning("released", _pool_move),
    CustomerDealt.type: Meaning("dealt", _deal),
    **_standard(
        CONTACT_EVENTS,
        created=Meaning("created", _state("job_title", "decision_role")),
        changed=_changed("name", "job_title", "decision_role", "is_primary"),
    ),
    **_standard(
        OPPORTUNITY_EVENTS,
        created=Meaning("created", _state("stage_id", "value")),
        changed=_changed("name", "value", "deadline"),
    ),
    OpportunityStageChanged.type: Meaning(
        "moved", _both(_told("from_stage_id", "to_stage_id", "regression"), _state("value"))
    ),
    OpportunityWon.type: Meaning("won", _MONEY),
    OpportunityLost.type: Meaning("lost", _both(_MONEY, _REASON)),
    OpportunityHeld.type: Meaning("held", _REASON),
    OpportunityReopened.type: Meaning("reopened", _state("stage_id", "value")),
    ACTIVITY_EVENTS.created.type: _ACTIVITY,
    ACTIVITY_EVENTS.changed.type: _ACTIVITY,
    ACTIVITY_EVENTS.deleted.type: _ACTIVITY,
    ACTIVITY_EVENTS.restored.type: _ACTIVITY,
    **{one.type: _ACTIVITY for one in (ACTIVITY_EVENTS.transferred, ACTIVITY_EVENTS.members_changed) if one},
    **_standard(
        CONTRACT_EVENTS,
        created=Meaning("created", _state("status", "value")),
        # Submitted, given back, void: the status says it.
        changed=_changed("name", "status", "last_decision", "value", "ends_on"),
    ),
    ContractApproved.type: Meaning("approved", _state("status", "value", "signed_on")),
    ContractTerminated.type: Meaning("terminated", _state("status", "value", "end_reason")),
    **_standard(
        PAYMENT_EVENTS,
        created=Meaning("recorded", _state("status", "amount", "paid_on")),
        changed=_changed("status", "amount", "paid_on"),
    ),
    PaymentApproved.type: Meaning("approved", _state("status", "amount", "paid_on")),
    **_standard(
        TICKET_EVENTS,
        created=Meaning("created", _state("status", "priority", "channel", "queue")),
        changed=_changed("subject", "priority", "category"),
    ),
    TicketMoved.type: Meaning("moved", _told("from_status", "to_status")),
    TicketAssigned.type: Meaning("assigned", _told("from_user_id", "to_user_id", "from_queue", "to_queue")),
    # Never the text: it stays in the ticket, whether it is internal or not.
    TicketReplied.type: Meaning("replied", _told("author", "visibility", "length")),
}
