"""The owner's side: answers what groups ask about its topics, from its journal, page by page.

It runs in the process whose relay leads, on connections of its own: two of them at once, after a lock was lost, would tell a page
twice, and the asker takes one. A page is one batch to the broker; then the place behind it is kept, from where it was before.
"""

import asyncio
import uuid
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from crm_contracts import Topic, control
from crm_database import DATABASE_ERRORS, Database, WriteContext
from crm_events import metrics
from crm_events.archive.errors import ArchiveDamaged, ArchiveUnreachable
from crm_events.closing import closed
from crm_events.relay.sender import BATCH_BYTES
from crm_events.resync import answer_store, rules, walk
from crm_events.resync.messages import Part, Request
from crm_events.resync.rules import Answering, Page
from crm_events.settings import BusSettings
from crm_events.topics import partition_of
from crm_kernel.clock import Clock
from crm_kernel.ids import new_id

#: Seconds between looks when nobody asked for anything, and after a failure.
IDLE_SECONDS = 5.0
FAILED_SECONDS = 1.0

_log = structlog.get_logger("crm_events")


class Answerer:
    """Answers for as long as it runs; one page of each request in turn."""

    def __init__(self, settings: BusSettings, database: Database, produced: Sequence[Topic], clock: Clock) -> None:
        self.settings = settings
        self.database = database
        self.topics = {topic.name: topic for topic in produced}
        self.clock = clock
        self.source = f"/crm/{settings.service}"
        self._asked = asyncio.Event()
        self._refusals: list[tuple[Request, str]] = []
        self._producer: AIOKafkaProducer | None = None

    async def hear(self, value: bytes | None) -> None:
        """A request arrived; one for another service, or one that can't be read, is left alone. What fails is asked again."""
        try:
            request = Request.decode(value)
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("not a resync request", cause=repr(error))
            return
        if request.topic not in self.topics:
            return
        # A service is told only what the registry lets it hear.
        if request.service not in self.topics[request.topic].consumers:
            self._refusals.append((request, f"{request.service} is no consumer of {request.topic}"))
            self._asked.set()
            return
        try:
            async with self.database.write(WriteContext(now=self.clock.now())) as session:
                known = await answer_store.known(session, request.id)
                standing = rules.heard(known, request.asked)
                await answer_store.save(session, request, standing)
        except DATABASE_ERRORS as error:
            _log.warning("resync request not taken", request=str(request.id), cause=repr(error))
            return
        if known is None or standing.attempt != known.attempt:
            _log.info(
                "resync asked for",
                request=str(request.id),
                group=request.group,
                topic=request.topic,
                kind=request.kind,
                attempt=standing.attempt,
                behind=standing.cursor,
            )
        self._asked.set()

    async def run(self) -> None:
        """Answer, until cancelled. What goes wrong here never ends the relay: the asker asks again."""
        try:
            wait = 0.0
            while True:
                try:
                    async with asyncio.timeout(wait):
                        await self._asked.wait()
                except TimeoutError:
                    pass
                self._asked.clear()
                try:
                    wait = 0.0 if await self._round() else IDLE_SECONDS
                except (KafkaError, OSError, TimeoutError, *DATABASE_ERRORS) as error:
                    _log.warning("resync not answered", cause=repr(error))
                    await self._drop()
                    wait = FAILED_SECONDS
                except Exception as error:
                    # The relay goes on whatever is wrong with an answer; who asked asks again.
                    _log.exception("resync answer failed", cause=repr(error))
                    await self._drop()
                    wait = IDLE_SECONDS
        finally:
            await self._drop()

    async def _round(self) -> bool:
        """One page for each request that is due one; whether any was sent."""
        while self._refusals:
            request, reason = self._refusals[0]
            await self._send(
                [self._part(request.id, request.group, Page(request.asked.attempt, None, None, refusal=reason))]
            )
            self._refusals.pop(0)
        async with self.database.read() as session:
            unfinished = await answer_store.unfinished(session)
        due = [one for one in unfinished if rules.may_send(one[3])]
        answered = False
        for request_id, group, wanted, standing in due:
            try:
                await self._answer(request_id, group, wanted, standing)
                answered = True
            except (ArchiveUnreachable, ArchiveDamaged) as error:
                # The others need not wait for it.
                _log.warning("resync waits for the archive", request=str(request_id), group=group, cause=str(error))
        if not unfinished:
            async with self.database.write(WriteContext(now=self.clock.now())) as session:
                await answer_store.forget(session)
        return answered

    async def _answer(self, request: uuid.UUID, group: str, wanted: walk.Wanted, standing: Answering) -> None:
        try:
            found = await walk.following(self.database, self.source, wanted, standing.cursor)
        except ValueError as error:
            await self._send([self._part(request, group, Page(standing.attempt, None, None, refusal=str(error)))])
            await self._move(request, standing, rules.said(standing, Page(standing.attempt, None, None, total=0)))
            return
        if not found:
            page = Page(standing.attempt, standing.cursor, standing.cursor, standing.sent, total=standing.sent)
            await self._send([self._part(request, group, page)])
            await self._move(request, standing, rules.said(standing, page))
            return
        found = _fitting(found)
        page = Page(standing.attempt, standing.cursor, found[-1].cursor, standing.sent, count=len(found))
        page_id = str(new_id())
        await self._send(
            [
                Part(request, group, page_id, place, page, event=one.event, unknown=one.unknown)
                for place, one in enumerate(found)
            ]
        )
        metrics.resync_told.add(len(found), {"topic": wanted.topic})
        await self._move(request, standing, rules.said(standing, page))

    def _part(self, request: uuid.UUID, group: str, page: Page) -> Part:
        return Part(request, group, str(new_id()), 0, page)

    async def _move(self, request: uuid.UUID, before: Answering, after: Answering) -> None:
        async with self.database.write(WriteContext(now=self.clock.now())) as session:
            await answer_store.moved(session, request, before, after)

    async def _send(self, parts: Sequence[Part]) -> None:
        producer = await self._started()
        topic = control.RESYNC_ANSWERS
        async with asyncio.timeout(20):
            batch = producer.create_batch()
            # The topic's retention counts from now, not from when the facts were.
            stamp = int(self.clock.now().timestamp() * 1000)
            for part in parts:
                if batch.append(key=part.key, value=part.value, timestamp=stamp, headers=part.headers()) is None:
                    raise RuntimeError("a page is larger than the broker takes")
            batch.close()
            await (await producer.send_batch(batch, topic.name, partition=partition_of(parts[0].key, topic.partitions)))

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self.settings.client,
                client_id=f"{self.settings.client_id}-resync",
                acks="all",
                max_batch_size=BATCH_BYTES,
                max_request_size=1_048_576,
                linger_ms=0,
                request_timeout_ms=15_000,
                metadata_max_age_ms=10_000,
            )
            self._producer = producer
            await producer.start()
        return self._producer

    async def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await closed(producer, "the answerer's producer")


def _fitting(found: list[walk.Found]) -> list[walk.Found]:
    """As many of them, at least one, as one batch holds: with the headers, some 1,200 bytes each."""
    size, fitting = 0, 0
    for one in found:
        size += 1_200 + (len(one.event.data) if one.event is not None else 0)
        if fitting and size > BATCH_BYTES - 20_000:
            break
        fitting += 1
    return found[:fitting]


__all__ = ["Answerer"]
