"""Starting sagas, and taking them on: each call is load → rules → write → record the event, in the caller's transaction.

Lock order: the saga's row is the first of its tables; a service that locks rows of its own for it says in its architecture page in which
order. What was decided and what is told of it are one transaction: whoever dies in between has done neither.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from crm_database import WriteSession
from crm_events import Step, record
from crm_kernel import NotFound, new_id
from crm_sagas import rules, store
from crm_sagas.kind import SagaKind
from crm_sagas.rules import Decided, News, Saga
from crm_sagas.tables import saga


async def start_saga(
    session: WriteSession,
    kind: SagaKind,
    *,
    about: uuid.UUID,
    stages: Sequence[Sequence[str]],
    data: Mapping[str, Any],
    asked_by: uuid.UUID | None,
) -> Saga:
    """Begin a saga: its first stage is asked when the transaction is committed.

    stages: the names of the steps, those of one stage are asked together. A second one that is open about the same record breaks the
    unique index `uq_saga_open`: whoever starts one has a lock that keeps others from it.
    """
    now = session.context.now
    new = Saga(
        id=new_id(),
        version=1,
        kind=kind.name,
        state="running",
        about=about,
        data=data,
        asked_by=asked_by,
        asked_at=now,
        ended_at=None,
        steps=rules.steps_of(stages),
    )
    made = rules.begun(new, now).saga
    values = {"kind": made.kind, "about": about, "asked_by": asked_by, "asked_at": now, **_row(made)}
    await record(session, [Step(saga, made.id, event=kind.asked, state=kind.state(made), values=values, new=True)])
    await store.add_steps(session, made)
    return made


async def take_news(session: WriteSession, kind: SagaKind, saga_id: uuid.UUID, news: News) -> None:
    """What another service told of its step. A saga that is not known here is none of ours: its news changes nothing."""
    found = await store.lock(session, kind.name, saga_id)
    if found is not None:
        await _write(session, kind, found, rules.told(found, news, session.context.now))


async def resume_saga(
    session: WriteSession, kind: SagaKind, found: Saga, data: Mapping[str, Any] | None = None
) -> Saga:
    """Ask what has failed again; `found` is locked (`lock_saga`). data: see rules.resumed. Raises SagaOver, NothingToResume."""
    return await _write(session, kind, found, rules.resumed(found, session.context.now, data))


async def cancel_saga(session: WriteSession, kind: SagaKind, found: Saga) -> Saga:
    """Have no more done; what is done stays done. `found` is locked. Raises SagaOver for one that has succeeded."""
    return await _write(session, kind, found, rules.cancelled(found, session.context.now))


async def ask_again(session: WriteSession, kind: SagaKind, saga_id: uuid.UUID) -> None:
    """Ask steps whose deadline is over again, or give them up."""
    found = await store.lock(session, kind.name, saga_id)
    if found is not None:
        await _write(session, kind, found, rules.overdue(found, session.context.now))


async def lock_saga(session: WriteSession, kind: SagaKind, saga_id: uuid.UUID) -> Saga:
    """A saga, locked until the transaction ends. Raises NotFound."""
    found = await store.lock(session, kind.name, saga_id)
    if found is None:
        raise NotFound
    return found


async def _write(session: WriteSession, kind: SagaKind, before: Saga, decided: Decided) -> Saga:
    """Write what differs, and tell what is to be told. The saga's own row changes only with an event of it."""
    after = decided.saga
    await store.write_steps(session, before, after)
    if decided.tell is None:
        return after
    step = Step(
        saga,
        after.id,
        event=kind.event(decided.tell),
        state=kind.state(after),
        values=_row(after),
        changes={} if before.state == after.state else {"status": (before.state, after.state)},
    )
    await record(session, [step])
    return after


def _row(found: Saga) -> dict[str, str | dt.datetime | Mapping[str, Any] | None]:
    """What of the saga's row may change."""
    return {"state": found.state, "data": found.data, "ended_at": found.ended_at}
