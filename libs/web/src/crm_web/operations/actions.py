"""What an operator asks for, and that it was asked for, in one transaction. The service's worker carries it out afterwards.

What dead letters and resyncs carry is the data of all records and of nobody's in particular. So whoever looks or repairs needs, besides
the permission, a data scope that reaches everything (as the log of all events does, in analytics).
"""

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from crm_authz import ActionClass
from crm_contracts.operations import OperationEvents, OperationState
from crm_events import ConsumerGroup, Step, letter_box, record
from crm_events.letter_box import DeadLetter, Position, Wanted
from crm_events.resync import box
from crm_events.resync.box import NothingToAsk, Wish
from crm_events.standing import Standing, standing
from crm_kernel import Conflict, FieldError, Forbidden, Invalid, NotFound, new_id
from crm_web.operations.tables import operation
from crm_web.units import ReadUnit, WriteUnit

Ask = Literal["retry", "discard"]


class EverythingNeeded(Forbidden):
    """403: events in dead letters have no owners; who does not reach everything, reaches nothing of it."""

    code = "operations.everything_needed"
    title = "Operating is for those whose data scope reaches everything"


class DeadLetterUnknown(NotFound):
    """404: no group of this service (or not the one named) has a dead letter of that event."""

    code = "dead_letter.not_found"
    title = "There is no such dead letter"


class NothingWaits(Conflict):
    """409: it was asked for already, or is settled."""

    code = "dead_letter.not_waiting"
    title = "None of the event's dead letters waits for a decision"


class ResyncRefused(Invalid):
    """422: nothing here takes a resync of what was named."""

    code = "resync.nothing_to_ask"
    title = "That can't be told again"


def require_everything(unit: ReadUnit | WriteUnit, service: str, action: ActionClass) -> None:
    """Raise EverythingNeeded unless the caller's scope for `<service>.operations` reaches everything."""
    if not unit.scope(f"{service}.operations", action).everything:
        raise EverythingNeeded


async def list_letters(
    unit: ReadUnit, service: str, wanted: Wanted, after: Position | None, limit: int
) -> list[DeadLetter]:
    """At most `limit` dead letters, newest first."""
    require_everything(unit, service, "read")
    return await letter_box.page(unit.session, wanted, after=after, limit=limit)


async def read_letters(unit: ReadUnit, service: str, event_id: uuid.UUID) -> list[DeadLetter]:
    """All groups' dead letters of an event. Raises DeadLetterUnknown."""
    require_everything(unit, service, "read")
    found = await letter_box.letters_of(unit.session, event_id)
    if not found:
        raise DeadLetterUnknown
    return found


async def settle_letters(
    unit: WriteUnit, events: OperationEvents, ask: Ask, event_id: uuid.UUID, group: str | None, reason: str | None
) -> OperationState:
    """Ask for an event's dead letters to be retried or given up, those of one group or all that wait; journalled.

    Raises DeadLetterUnknown, NothingWaits.
    """
    require_everything(unit, events.service, "write")
    asked = await letter_box.ask(unit.session, ask, event_id=event_id, group=group)
    found = await letter_box.letters_of(unit.session, event_id, group)
    if not found:
        raise DeadLetterUnknown
    if not asked:
        raise NothingWaits(f"State: {', '.join(sorted({letter.state for letter in found}))}")
    about = {"event_id": event_id, "event_type": found[0].type, "subject_id": found[0].key}
    return await _note(unit, events, kind=f"dead_letter.{ask}", groups=asked, reason=reason, **about)


async def list_standing(unit: ReadUnit, service: str) -> list[Standing]:
    """How far the consumer groups are."""
    require_everything(unit, service, "read")
    return await standing(unit.session)


async def ask_resyncs(
    unit: WriteUnit, events: OperationEvents, groups: Sequence[ConsumerGroup], wish: Wish, reason: str | None
) -> OperationState:
    """Ask for what is wished to be told again; journalled. Raises ResyncRefused."""
    require_everything(unit, events.service, "write")
    try:
        chosen = box.chosen(groups, wish)
        requests = await box.ask_in(unit.session, chosen, wish)
    except NothingToAsk as refused:
        raise ResyncRefused(str(refused), errors=[FieldError("", ResyncRefused.code, str(refused))]) from None
    except ValueError as refused:  # Ids begin with 1970.
        raise ResyncRefused(str(refused), errors=[FieldError("/since", ResyncRefused.code, str(refused))]) from None
    return await _note(
        unit,
        events,
        kind="resync",
        groups=sorted({group for group, _, _ in chosen}),
        reason=reason,
        topics=sorted({topic for _, topic, _ in chosen}),
        since=wish.since,
        types=None if wish.types is None else list(wish.types),
        prune=wish.prune,
        requests=requests,
    )


async def list_resyncs(unit: ReadUnit, service: str, limit: int) -> list[Any]:
    """The newest resyncs that groups of this service asked for."""
    require_everything(unit, service, "read")
    return await box.recent(unit.session, limit)


async def _note(unit: WriteUnit, events: OperationEvents, **said: Any) -> OperationState:
    """Put the act into the table and the journal: it exists exactly when what it tells of was asked for."""
    state = OperationState(asked_by=unit.caller.user_id, asked_at=unit.now, **said)
    values = {name: getattr(state, name) for name in ("kind", "groups", "event_id", "reason", "asked_by", "asked_at")}
    await record(
        unit.session, [Step(operation, new_id(), event=events.performed, state=state, values=values, new=True)]
    )
    return state
