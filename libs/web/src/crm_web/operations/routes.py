"""Operating over HTTP: the same operations for every service (docs/runbooks/events.md)."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated

from fastapi import Query
from pydantic import Field

from crm_contracts.operations import OperationEvents
from crm_events import Reaction, groups_of
from crm_events.letter_box import UNSETTLED, LetterState, Position, Wanted
from crm_events.resync.box import Wish
from crm_web.answers import Json
from crm_web.operations import actions
from crm_web.operations.actions import DeadLetterUnknown, EverythingNeeded, NothingWaits, ResyncRefused
from crm_web.operations.models import (
    ASKED_EXAMPLE,
    CONSUMERS_EXAMPLE,
    EVENT,
    LETTER_EXAMPLE,
    LETTERS_EXAMPLE,
    RESYNC_EXAMPLE,
    Asked,
    ConsumerList,
    DeadLetterList,
    DeadLettersOfEvent,
    DiscardBody,
    ResyncBody,
    ResyncList,
    ResyncsAsked,
    ResyncView,
    RetryBody,
    consumer,
    detail,
    item,
)
from crm_web.router import Router
from crm_web.units import ReadUnit, WriteUnit
from crm_web.working import with_directory

Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=4000)]


def operation_router(events: OperationEvents, reactions: Sequence[Reaction]) -> Router:
    """A service's operations for operators, below `/api/<service>/v1/operations`. reactions: the service's own.

    No module opens them: who operates the product need not use it.
    """
    service = events.service
    groups = groups_of(with_directory(service, reactions))
    router = Router(service, tag="operations", scoped=True)
    inspect, repair = f"{service}.operations:inspect", f"{service}.operations:repair"
    letters = "/operations/dead-letters"

    @router.get(
        letters,
        permission=inspect,
        summary="List events that a consumer group could not apply, those that failed last first",
        errors=[EverythingNeeded],
        example=LETTERS_EXAMPLE,
    )
    async def list_dead_letters(
        unit: ReadUnit,
        state: Annotated[LetterState | None, Query(description="All that are not settled unless given")] = None,
        group: Annotated[str | None, Query(max_length=200, description="`support.customers`")] = None,
        type: Annotated[str | None, Query(max_length=200, description="`crm.customers.customer.changed.v1`")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> DeadLetterList:
        bound = ["dead letters", state, group, type]
        after: Position | None = None
        if cursor is not None:
            failed_at, last, its_group = unit.open_cursor(cursor, query=bound)
            after = (dt.datetime.fromisoformat(failed_at), uuid.UUID(last), its_group)
        wanted = Wanted(UNSETTLED if state is None else (state,), group, type)
        found = await actions.list_letters(unit, service, wanted, after, limit + 1)
        following = None
        if len(found) > limit:
            end = found[limit - 1]
            following = unit.sign_cursor([end.failed_at.isoformat(), str(end.event_id), end.group], query=bound)
        return DeadLetterList(items=[item(letter) for letter in found[:limit]], next=following)

    @router.get(
        f"{letters}/{{event_id}}",
        permission=inspect,
        summary="Read an event's dead letters whole: why and where it failed, its headers and data",
        errors=[EverythingNeeded, DeadLetterUnknown],
        example=LETTER_EXAMPLE,
    )
    async def read_dead_letter(event_id: uuid.UUID, unit: ReadUnit) -> DeadLettersOfEvent:
        found = await actions.read_letters(unit, service, event_id)
        return DeadLettersOfEvent(event_id=event_id, letters=[detail(letter) for letter in found])

    settling = [EverythingNeeded, DeadLetterUnknown, NothingWaits]

    @router.post(
        f"{letters}/{{event_id}}/retry",
        permission=repair,
        summary="Have an event applied again, and then what is parked behind it, in order",
        status=202,
        errors=settling,
        response=Asked,
        example=ASKED_EXAMPLE,
    )
    async def retry_dead_letter(event_id: uuid.UUID, body: RetryBody, unit: WriteUnit) -> Json:
        done = await actions.settle_letters(unit, events, "retry", event_id, body.group, body.reason)
        return _asked(service, Asked(event_id=event_id, state="retry", groups=done.groups))

    @router.post(
        f"{letters}/{{event_id}}/discard",
        permission=repair,
        summary="Give an event up for good; what is parked behind it is applied",
        status=202,
        errors=settling,
        response=Asked,
        example={**ASKED_EXAMPLE, "state": "discard"},
    )
    async def discard_dead_letter(event_id: uuid.UUID, body: DiscardBody, unit: WriteUnit) -> Json:
        done = await actions.settle_letters(unit, events, "discard", event_id, body.group, body.reason)
        return _asked(service, Asked(event_id=event_id, state="discard", groups=done.groups))

    @router.get(
        "/operations/consumers",
        permission=inspect,
        summary="How far each consumer group is on each partition, and what waits behind dead letters",
        errors=[EverythingNeeded],
        example=CONSUMERS_EXAMPLE,
    )
    async def list_consumers(unit: ReadUnit) -> ConsumerList:
        return ConsumerList(items=[consumer(one) for one in await actions.list_standing(unit, service)])

    @router.get(
        "/operations/resyncs",
        permission=inspect,
        summary="List what was asked to be told again, newest first, and how far it is",
        errors=[EverythingNeeded],
        example={"items": [RESYNC_EXAMPLE]},
    )
    async def list_resyncs(unit: ReadUnit, limit: Limit = 50) -> ResyncList:
        found = await actions.list_resyncs(unit, service, limit)
        return ResyncList(items=[ResyncView.model_validate(one) for one in found])

    @router.post(
        "/operations/resyncs",
        permission=repair,
        summary="Have groups told again what they hold: the present records, or every fact",
        status=202,
        errors=[EverythingNeeded, ResyncRefused],
        response=ResyncsAsked,
        example={"requests": [EVENT], "groups": ["support.customers"], "topics": ["crm.customers.customer"]},
    )
    async def ask_resyncs(body: ResyncBody, unit: WriteUnit) -> Json:
        wish = Wish(
            groups=None if body.groups is None else tuple(body.groups),
            topics=None if body.topics is None else tuple(body.topics),
            kind=body.kind,
            since=body.since,
            types=None if body.types is None else tuple(body.types),
            prune=body.prune,
        )
        done = await actions.ask_resyncs(unit, events, groups, wish, body.reason)
        answer = ResyncsAsked(requests=done.requests, groups=done.groups, topics=done.topics)
        return Json(answer, status=202, location=f"/api/{service}/v1/operations/resyncs")

    return router


def _asked(service: str, answer: Asked) -> Json:
    """202: what was asked for, and where to look what came of it."""
    return Json(answer, status=202, location=f"/api/{service}/v1/operations/dead-letters/{answer.event_id}")
