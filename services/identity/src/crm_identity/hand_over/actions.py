"""Begin, resume and end hand-overs. Each is a saga (crm_sagas): a step per service, which gives the leaver's open records to the successor.

Lock order: organisation → users → sessions → the hand-over → the directory's version row.
"""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from crm_contracts.identity import HandOverAsked, HandOverCancelled, HandOverFinished
from crm_database import WriteSession
from crm_identity.hand_over import rules
from crm_identity.hand_over.rules import SuccessorNotActive
from crm_identity.hand_over.store import KIND
from crm_identity.user import store as users
from crm_identity.user.people import User
from crm_sagas import News, Saga, SagaKind, cancel_saga, lock_saga, resume_saga, start_saga, take_news
from crm_sagas import store as sagas


def state(found: Saga) -> Mapping[str, Any]:
    """A hand-over as its events carry it."""
    return {
        "user_id": found.about,
        "user_epoch": found.data["user_epoch"],
        "successor_id": found.data["successor_id"],
        "successor_epoch": found.data["successor_epoch"],
        "status": found.state,
        "asked_by": found.asked_by,
        "asked_at": found.asked_at,
        "ended_at": found.ended_at,
        "steps": [
            {
                "service": step.name,
                "status": step.state,
                "attempt": step.attempt,
                "code": None if step.problem is None else step.problem["code"],
            }
            for step in found.steps
        ],
    }


HAND_OVER = SagaKind(KIND, HandOverAsked, HandOverCancelled, HandOverFinished, state)


async def choose_successor(
    session: WriteSession, leaver: uuid.UUID, named: uuid.UUID | None, dismissed_by: uuid.UUID
) -> uuid.UUID:
    """Who gets what the leaver has; under organisation.lock, so that it holds until the commit. Raises SuccessorNotActive."""
    return rules.successor_of(await users.everybody(session), leaver, named, dismissed_by)


async def begin(
    session: WriteSession,
    leaver: User,
    successor_id: uuid.UUID,
    *,
    dismissed_by: uuid.UUID,
    deployed: Collection[str],
) -> None:
    """Ask every service that this deployment runs, from the commit on. leaver: as dismissed. No service with records: nothing to ask."""
    services = rules.asked_services(deployed)
    if not services:
        return
    data = {"user_epoch": leaver.epoch, **await _successor(session, successor_id)}
    await start_saga(session, HAND_OVER, about=leaver.id, stages=[services], data=data, asked_by=dismissed_by)


async def lock_open(session: WriteSession, user_id: uuid.UUID) -> Saga | None:
    """Somebody's hand-over that has not ended for good, locked."""
    return await sagas.lock_open(session, KIND, user_id)


async def locked(session: WriteSession, hand_over_id: uuid.UUID) -> Saga:
    """A hand-over that the caller was shown, locked. Raises NotFound."""
    return await lock_saga(session, HAND_OVER, hand_over_id)


async def cancel(session: WriteSession, hand_over_id: uuid.UUID) -> Saga:
    """Let no more records change hands; those that did stay the successor's. Raises NotFound, SagaOver."""
    return await cancel_saga(session, HAND_OVER, await lock_saga(session, HAND_OVER, hand_over_id))


async def cancel_open(session: WriteSession, found: Saga) -> None:
    """The same with one that is locked already: the leaver is back."""
    await cancel_saga(session, HAND_OVER, found)


async def resume(session: WriteSession, hand_over_id: uuid.UUID, successor_id: uuid.UUID | None) -> Saga:
    """Ask the services that could not do it again. successor_id: who gets what is left instead; then all that aren't done are asked.

    Raises NotFound, SagaOver, NothingToResume, SuccessorNotActive.
    """
    found = await lock_saga(session, HAND_OVER, hand_over_id)
    if successor_id is None:
        return await resume_saga(session, HAND_OVER, found)
    person = (await users.everybody(session)).get(successor_id)
    if person is None or person.status != "active" or successor_id == found.about:
        raise SuccessorNotActive
    return await resume_saga(session, HAND_OVER, found, {**found.data, **await _successor(session, successor_id)})


async def take(session: WriteSession, hand_over_id: uuid.UUID, news: News) -> None:
    """What a service told of its part."""
    await take_news(session, HAND_OVER, hand_over_id, news)


async def _successor(session: WriteSession, successor_id: uuid.UUID) -> dict[str, Any]:
    row = await users.own(session, successor_id)
    return {"successor_id": str(successor_id), "successor_epoch": row["epoch"]}
