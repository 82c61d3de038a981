"""The asking side, in every worker: sends requests, takes pages in, asks again after silence.

Several workers may do it at once: a page is taken under the lock of its request's row, by whoever comes first.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from crm_contracts import Envelope, Registry, control
from crm_database import DATABASE_ERRORS, Database, WriteContext, WriteSession
from crm_events import metrics
from crm_events.closing import closed
from crm_events.consumer import failures
from crm_events.reaction import ConsumerGroup, Reaction
from crm_events.resync import ask_store, rules
from crm_events.resync.ask_store import ResyncRequest
from crm_events.resync.messages import Pages, Part, Request
from crm_events.resync.rules import Verdict
from crm_events.settings import BusSettings
from crm_events.topics import partition_of
from crm_events.waiting import stopped_within
from crm_kernel.clock import Clock

#: Seconds between looks for requests and gaps.
LOOK_SECONDS = 1.0
FAILED_SECONDS = 5.0
#: Gaps are asked about together: after so many seconds, so many at once.
DEBOUNCE = dt.timedelta(seconds=2)
GAPS_AT_ONCE = 500

_log = structlog.get_logger("crm_events")


class Asker:
    """Runs the requests of one service."""

    def __init__(
        self,
        settings: BusSettings,
        database: Database,
        groups: Sequence[ConsumerGroup],
        known: Registry,
        producer: Callable[[], AIOKafkaProducer | None],
        clock: Clock,
    ) -> None:
        """producer: sends requests; None while the broker is away."""
        self.settings = settings
        self.database = database
        self.groups: Mapping[str, ConsumerGroup] = {group.name: group for group in groups}
        self.known = known
        self.producer = producer
        self.clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Look for requests and carry them out, until `stop`. Nothing is read from the bus as long as there are none."""
        if not any(reaction.resync for group in self.groups.values() for reaction in group.reactions):
            await stop.wait()
            return
        while not stop.is_set():
            try:
                await self._ask_about_gaps()
                if await self._unfinished() and self.producer() is not None:
                    await self._carry_out(stop)
            except (KafkaError, OSError, TimeoutError, *DATABASE_ERRORS) as error:
                _log.warning("resync waits", cause=repr(error))
            except Exception as error:
                # Nothing else in the process depends on it: the rest goes on, and this is tried again.
                _log.exception("resync failed", cause=repr(error))
                await stopped_within(stop, FAILED_SECONDS)
            await stopped_within(stop, LOOK_SECONDS)

    async def _unfinished(self) -> list[ResyncRequest]:
        async with self.database.read() as session:
            return await ask_store.unfinished(session)

    def _context(self) -> WriteContext:
        return WriteContext(now=self.clock.now(), channel="event")

    async def _ask_about_gaps(self) -> None:
        async with self.database.write(self._context()) as session:
            found = await ask_store.take_gaps(session, session.context.now - DEBOUNCE, GAPS_AT_ONCE)
            for (name, topic), subjects in found.items():
                group = self.groups.get(name)
                kind = None if group is None else group.resync(topic)
                if kind is not None:
                    await ask_store.ask(session, group=name, topic=topic, kind=kind, ids=subjects, reason="gap")

    # -- asking -----------------------------------------------------------------------------------------------------

    async def _carry_out(self, stop: asyncio.Event) -> None:
        """Read answers as long as something is open."""
        consumer = AIOKafkaConsumer(
            **self.settings.client,
            client_id=f"{self.settings.client_id}-resync",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=self.settings.request_timeout_ms,
            fetch_max_wait_ms=self.settings.fetch_wait_ms,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            metadata_max_age_ms=10_000,
        )
        pages = Pages()
        at = [TopicPartition(control.RESYNC_ANSWERS.name, n) for n in range(control.RESYNC_ANSWERS.partitions)]
        try:
            await consumer.start()
            consumer.assign(at)
            await consumer.seek_to_end(*at)
            # From here on nothing is missed: what is asked for now is answered behind this position.
            await asyncio.gather(*(consumer.position(one) for one in at))
            while not stop.is_set():
                requests = await self._unfinished()
                if not requests:
                    return
                for request in requests:
                    await self._send_if_silent(request)
                await self._read(consumer, at, pages, {request.id for request in requests}, stop)
        finally:
            await closed(consumer, "the reader of answers")

    async def _send_if_silent(self, request: ResyncRequest) -> None:
        group = self.groups.get(request.group)
        if group is None or group.resync(request.topic) is None:
            async with self.database.write(self._context()) as session:
                if (mine := await ask_store.lock(session, request.id)) is not None:
                    await ask_store.end(
                        session, mine, total=None, problem=f"{request.group} takes no resync of {request.topic}"
                    )
            return
        now = self.clock.now()
        last = max((at for at in (request.sent_at, request.heard_at) if at is not None), default=None)
        if request.sent_at is None:
            last = None
        if not rules.is_silent(
            None if last is None else last.timestamp(), now.timestamp(), self.settings.resync_seconds
        ):
            return
        asked = rules.asked_anew(request.asked)
        async with self.database.write(self._context()) as session:
            mine_to_send = await ask_store.ask_anew(session, request, asked)
        if mine_to_send:
            if request.attempt:
                _log.warning(
                    "resync asked for again", request=str(request.id), attempt=asked.attempt, behind=asked.cursor
                )
            await self._send(self._message(request, asked))

    def _message(self, request: ResyncRequest, asked: rules.Asked) -> Request:
        """What is sent; a type is asked for in all versions, for the owner's journal has each event as it was recorded."""
        message = request.message(self.settings.service, asked)
        if message.types is None:
            return message
        return replace(message, types=tuple(one for name in message.types for one in self.known.versions(name)))

    async def _send(self, request: Request) -> None:
        """A request that does not arrive is sent again after the silence that follows."""
        producer = self.producer()
        if producer is None:
            return
        try:
            async with asyncio.timeout(5):
                await producer.send_and_wait(
                    control.RESYNC_REQUESTS.name, request.encode(), key=str(request.id).encode(), partition=0
                )
        except (KafkaError, OSError, TimeoutError) as error:
            _log.info("resync request not sent", request=str(request.id), cause=repr(error))

    # -- taking answers in ------------------------------------------------------------------------------------------

    async def _read(
        self,
        consumer: AIOKafkaConsumer,
        at: Sequence[TopicPartition],
        pages: Pages,
        requests: set[uuid.UUID],
        stop: asyncio.Event,
    ) -> None:
        got = await consumer.getmany(*at, timeout_ms=250, max_records=2_000)
        for records in got.values():
            for record in records:
                try:
                    part = Part.read(record.headers, record.value)
                except (KeyError, ValueError) as error:
                    _log.warning("not a resync answer", offset=record.offset, cause=repr(error))
                    continue
                # Another service's answers, and those to what is not open any more.
                if part.request not in requests or part.group not in self.groups:
                    continue
                whole = pages.add(part)
                if whole is not None:
                    await self._take(whole, stop)
        for one in at:
            # The log was wiped: what comes next is below where we stand (rule 6).
            end = consumer.highwater(one)
            if end is not None and await consumer.position(one) > end:
                await consumer.seek_to_beginning(one)

    async def _take(self, parts: Sequence[Part], stop: asyncio.Event) -> None:
        """One page, in one transaction; transient failures are waited out, unless the process ends."""
        times = 0
        while not stop.is_set():
            try:
                told = await self._page(parts)
            except Exception as error:
                if not failures.is_transient(error):
                    raise
                times += 1
                if times in (1, 10) or times % 100 == 0:
                    _log.warning("resync: transient failure", times=times, cause=repr(error))
                await stopped_within(stop, failures.transient_pause(times))
                continue
            if told is not None:
                await self._send(told)
            return

    async def _page(self, parts: Sequence[Part]) -> Request | None:
        """Judge a page, and apply it when it is the next; answers what to tell the owner."""
        first = parts[0]
        async with self.database.write(self._context()) as session:
            request = await ask_store.lock(session, first.request)
            if request is None or request.group != first.group:
                return None
            verdict = rules.judge(request.asked, first.page)
            if verdict is Verdict.TAKE:
                asked = rules.taken(request.asked, first.page)
                refused, unknown = await self._apply(session, request, parts)
                await ask_store.note_taken(session, request.id, asked, refused=refused, unknown=unknown)
                return self._message(request, asked)
            if verdict is Verdict.REFUSED:
                _log.error("resync refused", request=str(request.id), cause=first.page.refusal)
                await ask_store.end(session, request, total=None, problem=first.page.refusal)
            elif verdict is Verdict.FINISH:
                if request.prune and request.ids is None:
                    await self._ask_about_unseen(session, request)
                await ask_store.end(session, request, total=first.page.total, problem=None)
                _log.info("resync complete", request=str(request.id), group=request.group, records=first.page.total)
        return None

    async def _apply(self, session: WriteSession, request: ResyncRequest, parts: Sequence[Part]) -> tuple[int, int]:
        """Give the page's events to the reactions that take this kind; answers how many didn't fit, how many records are unknown."""
        group = self.groups[request.group]
        count = self.known.topics[request.topic].partitions
        events = [
            replace(part.event, topic=request.topic, partition=partition_of(part.event.key, count))
            for part in parts
            if part.event is not None
        ]
        runs: dict[str, tuple[Reaction, list[Envelope]]] = {}
        for event in events:
            reaction = group.reaction(event.topic, event.type)
            if reaction is not None and reaction.takes(request.kind):
                runs.setdefault(str(id(reaction)), (reaction, []))[1].append(event)
        refused = 0
        for reaction, mine in runs.values():
            fitting = await _given(session, group, reaction, mine)
            refused += len(mine) - len(fitting)
            await ask_store.into_inbox(session, group.name, fitting)
            metrics.resync_applied.add(len(fitting), {"group": group.name, "topic": request.topic})
        if refused:
            metrics.resync_refused.add(refused, {"group": group.name})
        if request.prune and request.ids is None:
            await ask_store.note_seen(session, request.id, (event.subject for event in events))
        unknown = [part.unknown for part in parts if part.unknown is not None]
        held = group.held(request.topic)
        if unknown and request.prune and held is not None and held.forget is not None:
            await held.forget(session, request.topic, unknown)
            _log.warning(
                "records unknown to their owner removed", group=group.name, topic=request.topic, records=len(unknown)
            )
        return refused, len(unknown)

    async def _ask_about_unseen(self, session: WriteSession, request: ResyncRequest) -> None:
        """Rows of which the owner did not tell: it is asked about each, and those that it doesn't know go."""
        held = self.groups[request.group].held(request.topic)
        if held is None or held.forget is None:
            return
        ids = await ask_store.not_seen(session, request.id, held.tables[request.topic])
        if ids:
            await ask_store.ask(
                session,
                group=request.group,
                topic=request.topic,
                kind=request.kind,
                ids=ids,
                reason="prune",
                prune=True,
            )


async def _given(
    session: WriteSession, group: ConsumerGroup, reaction: Reaction, events: Sequence[Envelope]
) -> list[Envelope]:
    """Have a reaction take events; those that it can't (of a later release, too) are left out and told in the log. Transient failures are
    raised."""
    error = await _attempt(session, group, reaction, events)
    if error is None:
        return list(events)
    if len(events) == 1:
        _log.error(
            "resync: an event does not fit",
            group=reaction.group,
            event_id=str(events[0].id),
            cause=failures.reason_of(error),
        )
        return []
    half = len(events) // 2
    return [
        *await _given(session, group, reaction, events[:half]),
        *await _given(session, group, reaction, events[half:]),
    ]


async def _attempt(
    session: WriteSession, group: ConsumerGroup, reaction: Reaction, told: Sequence[Envelope]
) -> Exception | None:
    # A savepoint, so that a failure undoes these events only.
    await session.connection.execute("SAVEPOINT told_again")
    try:
        events = group.given(reaction, told)
        if reaction.refill is not None:
            await reaction.refill(session, events)
        elif reaction.handle_batch is not None:
            await reaction.handle_batch(session, events)
        elif reaction.handle is not None:
            for event in events:
                await reaction.handle(session, event)
    except Exception as error:
        if failures.is_transient(error):
            raise
        await session.connection.execute("ROLLBACK TO SAVEPOINT told_again")
        return error
    await session.connection.execute("RELEASE SAVEPOINT told_again")
    return None
