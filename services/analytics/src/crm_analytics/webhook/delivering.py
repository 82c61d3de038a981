"""The worker's part: takes webhooks that have something to do and sends, as many replicas of it as there are.

A round is: a transaction that takes events in from the log and chooses what to send; the requests, outside any transaction; a transaction
that notes what came of them. Each transaction locks the webhook and looks whether the lease still counts, so two processes never both
write. A process that dies between sending and noting leaves the deliveries waiting: they are sent again, with the same id.
"""

import asyncio
import contextlib
import datetime as dt
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from pydantic import TypeAdapter

from crm_analytics.access.rules import Hearing, hearing_of
from crm_analytics.feed import store as feed
from crm_analytics.feed.rules import cloud_event, like
from crm_analytics.webhook import rules, signing, store
from crm_analytics.webhook.actions import disable, secrets_of
from crm_analytics.webhook.observing import count
from crm_analytics.webhook.rules import Attempt, LeaseLost, Reason, Waiting, require_held
from crm_analytics.webhook.sealing import Seal, SecretLost
from crm_analytics.webhook.sending import Sender
from crm_analytics.webhook.store import Row
from crm_authz import Directory, keeper_of
from crm_contracts import Member
from crm_database import DATABASE_ERRORS, Database, WriteContext, WriteSession
from crm_kernel import Clock, new_id
from crm_web.answers import to_json

#: Webhooks that one process works on at the same time.
SLOTS: Final = 4
#: Seconds between two looks for something to do.
LOOK_EVERY: Final = 0.5
#: Seconds that a webhook is worked on before the one that waits longest has its turn.
TURN: Final = 5.0
#: How long to rest while identity isn't heard: a right that was taken away may not be known here.
_DEAF: Final = dt.timedelta(seconds=5)
#: Seconds to wait when not even the looking works.
_TROUBLE: Final = 5.0
_PURGED_AT_ONCE: Final = 10_000

_MEMBERS: Final = TypeAdapter(list[Member])
_log = structlog.get_logger("crm_analytics")


@dataclass(frozen=True)
class Message:
    """What is sent: an event to a receiver. body is None when the event is not in the log any more."""

    waiting: Waiting
    body: bytes | None
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Round:
    """What one transaction found to be sent. again: whether there may be more at once."""

    url: str
    messages: Sequence[Message]
    again: bool


_NOTHING: Final = Round("", (), False)


class Deliverer:
    """Sends one service's webhooks."""

    def __init__(self, database: Database, seal: Seal, sender: Sender, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._seal = seal
        self._sender = sender
        self._keeper = keeper_of(database)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; requests under way are waited for."""
        working: set[asyncio.Task[None]] = set()
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                wait = LOOK_EVERY
                try:
                    while len(working) < SLOTS and (taken := await self.take()) is not None:
                        working.add(asyncio.create_task(self.work(*taken, stop)))
                except DATABASE_ERRORS as error:
                    _log.warning("webhooks can't be looked for", cause=repr(error))
                    wait = _TROUBLE
                done, _ = await asyncio.wait({stopping, *working}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                working -= done
            await asyncio.gather(*working)
        finally:
            for task in (stopping, *working):
                task.cancel()

    async def run_due(self) -> int:
        """Work until no webhook has anything to do; answers how many turns were taken."""
        turns = 0
        while (taken := await self.take()) is not None:
            await self.work(*taken, asyncio.Event())
            turns += 1
        return turns

    async def take(self) -> tuple[uuid.UUID, uuid.UUID] | None:
        """A webhook that has something to do, and our lease of it; None when none has."""
        lease = new_id()
        async with self._transaction() as session:
            found = await store.take(session, lease)
        return None if found is None else (uuid.UUID(int=found.int), lease)

    async def work(self, webhook_id: uuid.UUID, lease: uuid.UUID, stop: asyncio.Event) -> None:
        """Do rounds of a webhook that was taken: until nothing is due, its turn is over, `stop` is set, or it is taken from us."""
        try:
            try:
                rest_until = await self._rounds(webhook_id, lease, stop)
            except LeaseLost:
                raise
            except DATABASE_ERRORS:
                raise
            except Exception as error:
                # A mistake of ours must not keep the other webhooks from being sent.
                _log.error("webhook failed", webhook=str(webhook_id), exc_info=error)
                rest_until = self.clock.now() + rules.LONGEST_REST
            async with self._transaction() as session:
                await store.give_back(session, webhook_id, lease, rest_until)
        except LeaseLost:
            _log.info("webhook taken away", webhook=str(webhook_id))
        except DATABASE_ERRORS as error:
            # Not even the failure could be written down: the lease runs out, and somebody goes on.
            _log.warning("webhook left to its lease", webhook=str(webhook_id), cause=repr(error))

    async def _rounds(self, webhook_id: uuid.UUID, lease: uuid.UUID, stop: asyncio.Event) -> dt.datetime | None:
        """Rounds of one turn; until when the webhook rests, None: as was noted. Raises LeaseLost."""
        turn = time.monotonic() + TURN
        while not stop.is_set():
            directory = await self._keeper.current(self.database)
            if directory.is_deaf(self.clock.now()):
                return self.clock.now() + _DEAF
            begin_until = time.monotonic() + rules.BEGIN_WITHIN.total_seconds()
            found = await self.prepare(webhook_id, lease, directory)
            if found.messages:
                if time.monotonic() > begin_until:
                    # We stood still, and may have lost the lease: nothing was sent yet.
                    continue
                attempts = await asyncio.gather(*(self._send(found.url, message) for message in found.messages))
                if not await self.note(webhook_id, lease, found.messages, attempts):
                    break
            if not found.again or time.monotonic() >= turn:
                break
        return None

    async def _send(self, url: str, message: Message) -> Attempt:
        now = self.clock.now()
        if message.body is None:
            return Attempt(now, 0.0, error="the event is not in the log")
        attempt = await self._sender.send(url, message.headers, message.body, now)
        count(attempt)
        return attempt

    # -- before sending ------------------------------------------------------------------------------------------------

    async def prepare(self, webhook_id: uuid.UUID, lease: uuid.UUID, directory: Directory) -> Round:
        """Take events in and choose what to send, in one transaction. Raises LeaseLost."""
        async with self._transaction() as session:
            row, work = await _held(session, webhook_id, lease)
            await store.renew(session, webhook_id)
            if row["status"] != "active":
                return _NOTHING
            reason, secrets = _may_not(directory, row["owner_id"]), self._secrets(row)
            if reason is not None or not secrets:
                await self._disable(session, row, reason or "secret_lost")
                return _NOTHING
            hearing = hearing_of(directory.grants_of(row["owner_id"]), directory, self.clock.now())
            position, more, full = await self._take_in(session, row, work, hearing)
            heads, again = await store.heads(session, webhook_id), False
            choice = rules.choose(heads, self.clock.now())
            messages = []
            logged = await store.events(session, [one.event_id for one in choice.now])
            for one in choice.now:
                event = logged.get(one.event_id)
                if event is not None and not _hears(hearing, event):
                    # The record went to others since: what happened to it is no longer the owner's to know.
                    await store.settle(session, webhook_id, one, "withheld", one.first_attempt_at)
                    again = True
                else:
                    messages.append(self._message(secrets, one, event))
            await store.go_on(session, webhook_id, position, is_full=full, due_at=choice.next_at)
        # What waits behind that which is sent now shows when it is noted.
        return Round(row["url"], messages, again or more or bool(messages))

    async def _take_in(
        self, session: WriteSession, row: Row, work: store.Work, hearing: Hearing
    ) -> tuple[int, bool, bool]:
        """Make deliveries of what is new in the log: how far it was read, whether there is more, whether there is no more room."""
        room = rules.MAX_PENDING - await store.pending(session, row["id"])
        if room <= 0:
            return work.position, False, True
        part = await feed.window(session, work.position)
        oldest = rules.oldest_sent(work.since, self.clock.now())
        position = await store.take_in(session, row["id"], part, hearing, like(row["types"]), work, oldest, room)
        full = await store.pending(session, row["id"]) >= rules.MAX_PENDING
        return position, not full and (part.more or position < part.reach), full

    def _secrets(self, row: Row) -> Sequence[bytes]:
        """What to sign with; empty when the newest secret can't be opened any more."""
        try:
            return secrets_of(self._seal, row, self.clock.now())
        except SecretLost:
            return ()

    def _message(self, secrets: Sequence[bytes], one: Waiting, event: Row | None) -> Message:
        if event is None:
            return Message(one, None, {})
        body = to_json(cloud_event(event))
        return Message(one, body, signing.headers(str(one.event_id), self.clock.now(), body, secrets))

    # -- after sending -------------------------------------------------------------------------------------------------

    async def note(
        self, webhook_id: uuid.UUID, lease: uuid.UUID, messages: Sequence[Message], attempts: Sequence[Attempt]
    ) -> bool:
        """Write down what came of the requests, in one transaction; whether to go on at once. Raises LeaseLost."""
        async with self._transaction() as session:
            row, work = await _held(session, webhook_id, lease)
            await store.renew(session, webhook_id)
            ends: list[Reason] = []
            for message, attempt in zip(messages, attempts, strict=True):
                ends += await self._settle(session, webhook_id, message.waiting, attempt)
            succeeded = any(attempt.succeeded for attempt in attempts)
            rounds = 0 if succeeded else work.failed_rounds + 1
            until = None if succeeded else self.clock.now() + rules.rest(rounds)
            await store.rest(session, webhook_id, rounds, until)
            choice = rules.choose(await store.heads(session, webhook_id), self.clock.now())
            full = await store.pending(session, webhook_id) >= rules.MAX_PENDING
            await store.go_on(session, webhook_id, work.position, is_full=full, due_at=choice.next_at)
            if ends and row["status"] == "active":
                await self._disable(session, row, ends[0])
        return succeeded and not ends

    async def _settle(
        self, session: WriteSession, webhook_id: uuid.UUID, one: Waiting, attempt: Attempt
    ) -> list[Reason]:
        """Write down one attempt; the reasons that end the webhook."""
        now = self.clock.now()
        first = one.first_attempt_at or attempt.at
        tried = replace(one, attempts=one.attempts + 1, failures=0 if attempt.succeeded else one.failures + 1)
        await store.note(session, webhook_id, one.event_id, tried.attempts, attempt)
        if attempt.succeeded:
            await store.settle(session, webhook_id, tried, "delivered", first)
            return []
        next_at = rules.next_attempt(tried.failures, first, now, attempt.retry_after)
        await store.postpone(session, webhook_id, tried, first, next_at or now)
        if attempt.gone:
            return ["receiver_gone"]
        return ["receiver_failing"] if next_at is None else []

    async def _disable(self, session: WriteSession, row: Row, reason: Reason) -> None:
        _log.warning("webhook disabled", webhook=str(row["id"]), reason=reason)
        await disable(session, row, reason)

    def _transaction(self) -> contextlib.AbstractAsyncContextManager[WriteSession]:
        return self.database.write(WriteContext(now=self.clock.now()))


async def _held(session: WriteSession, webhook_id: uuid.UUID, lease: uuid.UUID) -> tuple[Row, store.Work]:
    """The webhook and its work, locked, while the lease is ours. Raises LeaseLost."""
    row = await store.lock(session, webhook_id)
    work = await store.lock_work(session, webhook_id)
    if row is None or work is None:
        raise LeaseLost
    require_held(work.leased_by, lease)
    return row, work


def _may_not(directory: Directory, owner_id: uuid.UUID) -> Reason | None:
    """Why nothing may be sent in the owner's name; None: it may."""
    if not directory.is_active(owner_id):
        return "owner_inactive"
    return None if directory.grants_of(owner_id).allows(rules.PERMISSION) else "not_allowed"


def _hears(hearing: Hearing, event: Row) -> bool:
    members = [] if event["members"] is None else _MEMBERS.validate_python(event["members"])
    return hearing.hears(event["topic"], event["owner_id"], members)


async def purge_deliveries(database: Database, due: dt.datetime) -> None:
    """Forget what became of deliveries that ended long ago."""
    while True:
        async with database.write(WriteContext(now=due)) as session:
            if await store.purge(session, due, _PURGED_AT_ONCE) < _PURGED_AT_ONCE:
                return


__all__ = ["LOOK_EVERY", "SLOTS", "TURN", "Deliverer", "purge_deliveries"]
