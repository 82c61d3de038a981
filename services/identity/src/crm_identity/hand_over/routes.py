"""Hand-overs over HTTP: seen by who sees the leaver, resumed and cancelled by who may change the leaver."""

import datetime as dt
import uuid
from typing import Annotated

from fastapi import Query

from crm_identity.hand_over import actions, models, store
from crm_identity.hand_over.models import EXAMPLE
from crm_identity.hand_over.rules import HandOverNotFound, SuccessorNotActive
from crm_identity.user import store as users
from crm_identity.user.batch import OutOfReach
from crm_identity.user.reach import Reach
from crm_identity.user.rules import UserNotFound
from crm_kernel import Stale
from crm_sagas import NothingToResume, Saga, SagaOver
from crm_web import Json, ReadUnit, Router, WriteUnit

router = Router("identity", tag="Hand-overs")

_LIST_EXAMPLE = {"items": [EXAMPLE], "next": None}
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=2048)]


@router.get("/hand-overs", permission="identity.hand_over:read", scoped=True, example=_LIST_EXAMPLE)
async def list_hand_overs(
    unit: ReadUnit, state: models.HandOverState | None = None, limit: Limit = 50, cursor: Cursor = None
) -> models.HandOverList:
    """What leavers had, on its way to successors: what is under way first, the newest first."""
    return await _page(unit, None, state, limit, cursor)


@router.get(
    "/users/{id}/hand-overs",
    permission="identity.hand_over:read",
    scoped=True,
    errors=[UserNotFound],
    example=_LIST_EXAMPLE,
)
async def list_user_hand_overs(
    id: uuid.UUID, unit: ReadUnit, limit: Limit = 50, cursor: Cursor = None
) -> models.HandOverList:
    """One user's: one per dismissal."""
    await users.one(unit.session, unit.scope("identity.user", "read"), id, self_id=unit.caller.user_id)
    return await _page(unit, id, None, limit, cursor)


@router.get(
    "/hand-overs/{id}",
    permission="identity.hand_over:read",
    scoped=True,
    response=models.HandOver,
    errors=[HandOverNotFound],
    example=EXAMPLE,
)
async def get_hand_over(id: uuid.UUID, unit: ReadUnit) -> Json:
    """How far it is, in every service."""
    found = await store.one(unit.session, unit.scope("identity.user", "read"), id, self_id=unit.caller.user_id)
    return Json(models.view(found, unit.language))


@router.post(
    "/hand-overs/{id}/resume",
    permission="identity.hand_over:resume",
    scoped=True,
    response=models.HandOver,
    errors=[HandOverNotFound, OutOfReach, Stale, SagaOver, NothingToResume, SuccessorNotActive],
    example={**EXAMPLE, "state": "running", "ended_at": None},
)
async def resume_hand_over(id: uuid.UUID, unit: WriteUnit, body: models.ResumeHandOver | None = None) -> Json:
    """Ask the services that could not go on again, with the same successor or another one for what is left."""
    await _require_changeable(unit, id)
    successor = None if body is None else body.successor_id
    return _answer(unit, await actions.resume(unit.session, id, successor))


@router.post(
    "/hand-overs/{id}/cancel",
    permission="identity.hand_over:cancel",
    scoped=True,
    response=models.HandOver,
    errors=[HandOverNotFound, OutOfReach, Stale, SagaOver],
    example={**EXAMPLE, "state": "cancelled"},
)
async def cancel_hand_over(id: uuid.UUID, unit: WriteUnit) -> Json:
    """Let no more records change hands. Those that did stay the successor's, and are counted."""
    await _require_changeable(unit, id)
    return _answer(unit, await actions.cancel(unit.session, id))


async def _require_changeable(unit: WriteUnit, hand_over_id: uuid.UUID) -> None:
    """Raise HandOverNotFound, OutOfReach, Stale: as for a change of the leaver."""
    people = Reach(unit.scope("identity.user", "read"), unit.scope("identity.user", "write"), unit.caller.user_id)
    found = await store.one(unit.session, people.read, hand_over_id, self_id=people.caller_id)
    people.require(found.about)
    unit.require_match((await actions.locked(unit.session, hand_over_id)).version)


async def _page(
    unit: ReadUnit, about: uuid.UUID | None, state: str | None, limit: int, cursor: str | None
) -> models.HandOverList:
    binding = [None if about is None else str(about), state]
    after = None
    if cursor is not None:
        running, at, last = unit.open_cursor(cursor, query=binding)
        after = (running, dt.datetime.fromisoformat(at), uuid.UUID(last))
    found = await store.page(
        unit.session,
        unit.scope("identity.user", "read"),
        self_id=unit.caller.user_id,
        about=about,
        state=state,
        after=after,
        limit=limit + 1,
    )
    following = None
    if len(found) > limit:
        last_shown = found[limit - 1]
        place = [last_shown.state == "running", last_shown.asked_at.isoformat(), str(last_shown.id)]
        following = unit.sign_cursor(place, query=binding)
    return models.HandOverList(items=[models.view(one, unit.language) for one in found[:limit]], next=following)


def _answer(unit: WriteUnit, found: Saga) -> Json:
    # As written: the version is the one that the event just recorded has raised.
    version = unit.session.held["saga", found.id]
    return Json(models.view(found, unit.language).model_copy(update={"version": version}), etag=version)
