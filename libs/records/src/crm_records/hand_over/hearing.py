"""What identity says of hand-overs: an ask begins a job, a cancellation ends one. Twice, late or in another order: the same."""

from dataclasses import replace

from crm_contracts import Envelope
from crm_contracts.hand_overs import HandOverEvents
from crm_contracts.identity import HandOverAsked, HandOverCancelled, HandOverState
from crm_database import WriteSession
from crm_jobs import JobKind, start_product_job
from crm_records.hand_over import rules, store
from crm_records.hand_over.rules import HandOver
from crm_records.hand_over.telling import step_of, tell


class Hearing:
    """The reaction of one service. Lock order: the hand-over's row; a job is only ever added here."""

    def __init__(self, events: HandOverEvents, kind: JobKind) -> None:
        self.events = events
        self.kind = kind

    async def handle(self, session: WriteSession, envelope: Envelope) -> None:
        """One event of identity's."""
        if envelope.type == HandOverAsked.type:
            await self._asked(session, envelope, HandOverAsked.model_validate_json(envelope.data).state)
        elif envelope.type == HandOverCancelled.type:
            await self._cancelled(session, envelope, HandOverCancelled.model_validate_json(envelope.data).state)

    async def _asked(self, session: WriteSession, envelope: Envelope, state: HandOverState) -> None:
        step = step_of(state.steps, self.events.service)
        if step is None or step.status != "asked":
            return
        known = await store.lock(session, envelope.subject)
        if rules.on_ask(known, step.attempt) == "nothing":
            return
        parameters = {"hand_over_id": str(envelope.subject)}
        job = await start_product_job(session, self.kind, parameters, asked_by=state.asked_by)
        after = replace(
            known or _new(session, envelope, state, step.attempt),
            user_epoch=state.user_epoch,
            successor_id=state.successor_id,
            successor_epoch=state.successor_epoch,
            attempt=step.attempt,
            status="running",
            asked_by=state.asked_by,
            ended_at=None,
            job_id=job.id,
            problem=None,
        )
        await tell(session, self.events, "progressed", after, new=known is None)

    async def _cancelled(self, session: WriteSession, envelope: Envelope, state: HandOverState) -> None:
        step = step_of(state.steps, self.events.service)
        if step is None:
            return
        known = await store.lock(session, envelope.subject)
        if known is not None and not rules.is_stopped_by_cancel(known):
            return
        # One that was never heard of is noted too: the ask may still be on its way.
        after = replace(
            known or _new(session, envelope, state, step.attempt), status="cancelled", ended_at=session.context.now
        )
        await tell(session, self.events, "progressed", after, new=known is None)


def _new(session: WriteSession, envelope: Envelope, state: HandOverState, attempt: int) -> HandOver:
    return HandOver(
        id=envelope.subject,
        version=1,
        user_id=state.user_id,
        user_epoch=state.user_epoch,
        successor_id=state.successor_id,
        successor_epoch=state.successor_epoch,
        attempt=attempt,
        status="running",
        asked_by=state.asked_by,
        asked_at=session.context.now,
        told_at=session.context.now,
        ended_at=None,
        job_id=None,
        problem=None,
    )
