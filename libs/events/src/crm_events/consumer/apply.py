"""From records to effects: the transaction of rule 5, and what happens when a handler fails."""

import asyncio
import dataclasses
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence

import structlog

from crm_contracts import Envelope
from crm_contracts.versions import NewerThanKnown
from crm_database import Database, WriteContext, WriteSession
from crm_events import metrics, tracing
from crm_events.consumer import failures, rules, store
from crm_events.consumer.store import Place
from crm_events.reaction import ConsumerGroup, Reaction
from crm_events.resync import gaps
from crm_kernel.clock import Clock

_log = structlog.get_logger("crm_events")


class GroupStopped(Exception):
    """Too many events in a row could not be applied: it is not the events. An operator has to look."""


class HandlerFailed(Exception):
    """A handler raised `cause`; `at`: the position in the batch of the event that it was given, None: the batch as a whole."""

    def __init__(self, cause: Exception, at: int | None) -> None:
        super().__init__(failures.reason_of(cause))
        self.cause = cause
        self.at = at


@dataclasses.dataclass(frozen=True)
class Poison:
    """What is written about an event that could not be applied."""

    reason: str
    trace: str
    attempts: int


class Applier:
    """Applies one group's events to one database."""

    def __init__(self, group: ConsumerGroup, database: Database, clock: Clock, stop: asyncio.Event) -> None:
        self.group = group
        self.database = database
        self.clock = clock
        self.stop = stop
        self.dead_in_a_row = 0
        #: (group, topic, partition) → why it stands still until this release is upgraded.
        self.waits: dict[tuple[str, str, int], str] = {}
        #: (topic, partition) → when something was last got through there (monotonic): an attempt, however it ended, a pause, an event.
        self.moved_at: dict[tuple[str, int], float] = {}

    def moved(self, topic: str, partition: int) -> None:
        """Progress was made on a partition: it is not stuck, though it may have to try again."""
        self.moved_at[topic, partition] = time.monotonic()

    async def settle(self, place: Place, envelopes: Sequence[Envelope]) -> rules.Settlement:
        """Settle records of one partition, in the order of the log, all in one transaction if that succeeds.

        Transient failures are waited out in place; poison goes to the dead letters. Raises GroupStopped; CancelledError.
        """
        parts: list[rules.Settlement] = []
        at, transient, size = 0, 0, len(envelopes)
        while at < len(envelopes):
            part = envelopes[at : at + size]
            try:
                settlement = await self._transaction(place, part)
            except Exception as error:
                cause, culprit = _blamed(error)
                if isinstance(cause, NewerThanKnown):
                    if culprit:
                        # What comes before it is settled first.
                        size = culprit
                        continue
                    # Nothing is lost by standing still: what the log loses meanwhile is sent again. Passing it over would lose it here.
                    transient += 1
                    await self._wait_for_upgrade(place, cause, transient)
                    continue
                if failures.is_transient(cause):
                    transient += 1
                    if failures.is_about_locks(cause):
                        # Somebody takes the same rows in another order: fewer events hold fewer of them.
                        size = max(1, len(part) // 2)
                    await self._wait_out(place, cause, transient)
                    continue
                if len(part) > 1:
                    # What comes before the culprit is settled first; when nobody knows which it is, it is halved down to.
                    size = len(part) // 2 if culprit is None else max(1, culprit)
                    continue
                settlement = await self._poisoned(place, part[0], cause)
                size = len(envelopes)
            transient = 0
            self.waits.pop(place.key, None)
            parts.append(settlement)
            at += len(part)
        return _joined(parts)

    async def _wait_out(self, place: Place, error: Exception, times: int) -> None:
        metrics.consumer_backoffs.add(1, {"group": self.group.name})
        if times in (1, 10) or times % 100 == 0:
            _log.warning("transient failure", group=place.group, topic=place.topic, times=times, cause=repr(error))
        self.moved(place.topic, place.partition)
        await self._pause(failures.transient_pause(times))
        self.moved(place.topic, place.partition)

    async def _wait_for_upgrade(self, place: Place, error: Exception, times: int) -> None:
        """Stand still for a while, and say why; it is over when the process ends, or the partition is another's."""
        self.waits[place.key] = str(error)
        try:
            await self._wait_out(place, error, times)
        except asyncio.CancelledError:
            self.waits.pop(place.key, None)
            raise

    async def waiting_out(self, place: Place, work: Callable[[], Awaitable[object]]) -> None:
        """Do something, again and again while the world is in its way."""
        times = 0
        while True:
            try:
                await work()
            except Exception as error:
                if not failures.is_transient(error):
                    raise
                times += 1
                await self._wait_out(place, error, times)
            else:
                return

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the process."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return
        raise asyncio.CancelledError

    async def _poisoned(self, place: Place, envelope: Envelope, error: Exception) -> rules.Settlement:
        """Try an event a few times more, then bury it. Transient failures in between don't count."""
        attempts, transient = 1, 0
        while attempts < failures.POISON_ATTEMPTS:
            await self._pause(failures.POISON_PAUSES[attempts - 1])
            try:
                return await self._transaction(place, [envelope])
            except Exception as failed:
                error, _ = _blamed(failed)
            if failures.is_transient(error):
                transient += 1
                await self._wait_out(place, error, transient)
            else:
                attempts += 1
        if self.dead_in_a_row >= failures.DEAD_LETTERS_IN_A_ROW:
            raise GroupStopped(
                f"{self.dead_in_a_row} events in a row could not be applied, the last: {failures.reason_of(error)}"
            )
        poison = Poison(failures.reason_of(error), "".join(traceback.format_exception(error))[-8000:], attempts)
        while True:
            try:
                settlement = await self._transaction(place, [envelope], poison)
            except Exception as other:
                if not failures.is_transient(other):
                    raise
                transient += 1
                await self._wait_out(place, other, transient)
                continue
            self.dead_in_a_row += 1
            metrics.consumer_dead_letters.add(1, {"group": self.group.name})
            _log.error(
                "dead letter", group=place.group, event_id=str(envelope.id), type=envelope.type, cause=poison.reason
            )
            return settlement

    async def _transaction(
        self, place: Place, envelopes: Sequence[Envelope], poison: Poison | None = None
    ) -> rules.Settlement:
        """Rule 5. With `poison` the one event that would be applied is buried instead."""
        now = self.clock.now()
        context = WriteContext(now=now, channel="event")
        async with self.database.write(context) as session:
            watermark, blocked = await store.lock(session, place)
            settlement = rules.settle(watermark, [(e.stream, e.sequence) for e in envelopes])
            due = [
                (n, e)
                for n, (e, outcome) in enumerate(zip(envelopes, settlement.outcomes, strict=True))
                if outcome is rules.Outcome.APPLY
                and not e.tombstone
                and self.group.reaction(e.topic, e.type) is not None
            ]
            fresh = await store.into_inbox(session, place, [e for _, e in due])
            due = [(n, e) for n, e in due if e.id in fresh]
            if blocked:
                due = await self._park(session, place, due)
            for n, envelope in due:
                if self.group.known.is_later(envelope.type):
                    self._require_known(n, envelope)
            if poison is None:
                await self._handle(session, due)
            else:
                for _, envelope in due:
                    await store.bury(
                        session,
                        place,
                        envelope,
                        reason=poison.reason,
                        trace=poison.trace,
                        attempts=poison.attempts,
                        now=now,
                    )
            if settlement.watermark != watermark:
                await store.raise_to(session, place, settlement.watermark)
        self.moved(place.topic, place.partition)
        self._count(place, settlement, [e for _, e in due] if poison is None else [])
        return settlement

    def _require_known(self, at: int, envelope: Envelope) -> None:
        """HandlerFailed by NewerThanKnown for an event that only a later release can give to its reaction."""
        reaction = self.group.reaction(envelope.topic, envelope.type)
        assert reaction is not None  # noqa: S101  (it is due)
        try:
            self.group.require_known(reaction, envelope)
        except NewerThanKnown as error:
            raise HandlerFailed(error, at) from error

    async def _park(
        self, session: WriteSession, place: Place, due: list[tuple[int, Envelope]]
    ) -> list[tuple[int, Envelope]]:
        keys = await store.blocked_keys(session, place)
        waits = rules.parked([str(e.subject) for _, e in due], keys)
        behind = [e for (_, e), parked in zip(due, waits, strict=True) if parked]
        if behind:
            await store.park(session, place, behind)
            metrics.consumer_parked.add(len(behind), {"group": self.group.name})
        return [item for item, parked in zip(due, waits, strict=True) if not parked]

    async def _handle(self, session: WriteSession, due: Sequence[tuple[int, Envelope]]) -> None:
        """Give the events to their reactions, in order; neighbours of one batch reaction together."""
        at = 0
        while at < len(due):
            place, first = due[at]
            reaction = self.group.reaction(first.topic, first.type)
            assert reaction is not None  # noqa: S101  (it was asked above)
            run = [first]
            if reaction.handle_batch is not None:
                while at + len(run) < len(due):
                    following = due[at + len(run)][1]
                    if self.group.reaction(following.topic, following.type) is not reaction:
                        break
                    run.append(following)
            try:
                await gaps.notice(session, reaction, run)
                await self.give(session, reaction, run)
            except Exception as error:
                raise HandlerFailed(error, place if len(run) == 1 and len(due) > 1 else None) from error
            at += len(run)

    async def give(self, session: WriteSession, reaction: Reaction, run: Sequence[Envelope]) -> None:
        """Call a reaction with events in the newest version known, in its span; what it records continues the trace of the write.

        Raises NewerThanKnown, UpcastFailed, and what the reaction raises.
        """
        run = self.group.given(reaction, run)
        if run[0].traceparent is not None:
            session.context = dataclasses.replace(session.context, traceparent=run[0].traceparent)
        with tracing.handling(self.group.name, run):
            if reaction.handle_batch is not None:
                await reaction.handle_batch(session, run)
            elif reaction.handle is not None:
                for envelope in run:
                    await reaction.handle(session, envelope)
                    self.moved(envelope.topic, envelope.partition)

    def _count(self, place: Place, settlement: rules.Settlement, applied: Sequence[Envelope]) -> None:
        labels = {"group": place.group}
        if applied:
            self.dead_in_a_row = 0
            metrics.consumer_applied.add(len(applied), {**labels, "topic": place.topic})
            age = (self.clock.now() - applied[-1].time).total_seconds()
            metrics.consumer_event_age.record(max(0.0, age), labels)
        if settlement.skipped_to is not None:
            metrics.consumer_skipped.add(settlement.outcomes.count(rules.Outcome.SKIP), labels)
        doubles = settlement.outcomes.count(rules.Outcome.DOUBLE)
        if doubles:
            metrics.consumer_doubles.add(doubles, labels)


def _blamed(error: Exception) -> tuple[Exception, int | None]:
    """What really happened, and at which event, if that is known. A commit can fail for an event too (deferred constraints)."""
    return (error.cause, error.at) if isinstance(error, HandlerFailed) else (error, None)


def _joined(parts: Sequence[rules.Settlement]) -> rules.Settlement:
    """Settlements of consecutive parts as one."""
    skipped: rules.Watermark | None = None
    for part in parts:
        skipped = rules.later(skipped, part.skipped_to)
    outcomes = tuple(outcome for part in parts for outcome in part.outcomes)
    return rules.Settlement(outcomes, parts[-1].watermark if parts else rules.Watermark(), skipped)
