"""The leader: carries out the decisions of `rules` for every partition of its service's topics."""

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from crm_contracts import Envelope, Topic
from crm_events import metrics, topics
from crm_events.archive.errors import ArchiveDamaged, ArchiveUnreachable
from crm_events.closing import failure_of, is_stray
from crm_events.relay import rules
from crm_events.relay.ledger import RANGE_LIMIT, Ledger, LockLost, Slot
from crm_events.relay.opening import Slotted, opened
from crm_events.relay.sender import BATCH_RECORDS, NotAcknowledged, Sender, Unsendable
from crm_events.reports import GroupReport
from crm_events.settings import BusSettings
from crm_events.waiting import stopped_within
from crm_kernel.ids import new_id

#: Events numbered at a time, and how many may wait in memory.
NUMBER_AT_ONCE = 2_000
MOST_FETCHED = 10_000
#: Seconds between looks into the outbox when nobody wakes the relay: every write does; a look catches those whose word got lost.
POLL_SECONDS = 0.5
KEEP_REPORTS_SECONDS = 5.0
#: Seconds between attempts to read archived events that are to be sent again.
ARCHIVE_SECONDS = 5.0

_log = structlog.get_logger("crm_events")


class Leader:
    """Lives from taking the lock to losing it. `run` ends with LockLost, or by cancellation."""

    def __init__(self, settings: BusSettings, ledger: Ledger, produced: Sequence[Topic], wake: asyncio.Event) -> None:
        self.settings = settings
        self.ledger = ledger
        self.topics: Mapping[str, Topic] = {topic.name: topic for topic in produced}
        self.wake = wake
        self.sender = Sender(settings)
        self.slots: dict[Slot, Slotted] = {}
        self.server = ""
        #: topic → over how many partitions its keys are spread.
        self.partitions: dict[str, int] = {}
        self.applied: dict[tuple[str, Slot], tuple[str, int]] = {}
        self._dirty: dict[tuple[str, Slot], tuple[str, str, int, rules.Report]] = {}
        self._kept_at = time.monotonic()
        #: Numbers are given by one at a time: the loop, or whoever begins a new numbering.
        self._numbering = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent = 0
        #: When it last got through its loop; for health.
        self.alive_at = time.monotonic()

    async def open(self) -> None:
        """Learn the numberings and the known groups."""
        found = await opened(self.settings, self.ledger, self.topics)
        self.server, self.slots, self.partitions, self.applied = found
        for slotted in self.slots.values():
            if slotted.stream.server != self.server:
                await self._start_stream(slotted, "the database was restored or failed over", above="")
            self._drive(slotted)

    async def run(self, heard: Sequence[GroupReport] = ()) -> None:
        """Number what waits, as long as the lock is held. heard: reports from before it was taken that count (rule 9)."""
        try:
            for said in heard:
                await self.hear(said)
            while not self._failed.done():
                self.wake.clear()
                async with self._numbering:
                    more = await self._number()
                await self._keep_reports()
                self.alive_at = time.monotonic()
                if more:
                    continue
                await stopped_within(self.wake, POLL_SECONDS)
            self._failed.result()
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if not self._failed.done():
                self._failed.cancel()
            elif not self._failed.cancelled() and (error := self._failed.exception()) is not None:
                _log.info("leader ends", cause=repr(error))
            await self.sender.close()

    # -- rule 2 -----------------------------------------------------------------------------------------------------

    async def _number(self) -> bool:
        """Give numbers to what waits; whether there may be more at once."""
        room = MOST_FETCHED - sum(len(slotted.fetched) for slotted in self.slots.values())
        now = time.monotonic()
        if room <= 0 or not any(rules.may_send(s.state, now) for s in self.slots.values()):
            return False
        waiting = await self.ledger.waiting(min(room, NUMBER_AT_ONCE))
        by_slot: dict[Slot, list[int]] = {}
        for n, event in enumerate(waiting):
            topic = self.topics[event.topic]
            partition = topics.partition_of(event.key, self.partitions[topic.name])
            by_slot.setdefault((topic.name, partition), []).append(n)
        given = []
        for slot, mine in by_slot.items():
            slotted = self.slots[slot]
            if slotted.state.broken or not rules.may_send(slotted.state, now):
                continue
            for number, n in rules.assign(slotted.state.head, mine):
                given.append((slotted, number, waiting[n]))
        if not given:
            return False
        await self.ledger.number([(slotted.stream.id, number, event) for slotted, number, event in given])
        for slotted, number, event in given:
            follows = slotted.fetched[-1].sequence + 1 if slotted.fetched else self._unsent(slotted)
            # Only what follows without a gap is kept: the rest is read again when its turn comes.
            if number == follows:
                slotted.fetched.append(self.ledger.envelope(event.row, slotted.state.stream, number))
        for slotted, number, _ in given:
            slotted.state = rules.numbered(slotted.state, number)
            slotted.changed.set()
        return len(waiting) == min(room, NUMBER_AT_ONCE)

    def _unsent(self, slotted: Slotted) -> int:
        """The first number that is neither sent nor being sent."""
        flight = slotted.state.in_flight
        return slotted.state.next if flight is None else flight[1] + 1

    # -- rules 3, 4, 8, 9 -------------------------------------------------------------------------------------------

    def _drive(self, slotted: Slotted) -> None:
        slotted.task = self._spawn(self._driven(slotted))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A partition without its driver would be silent for good.
        error = failure_of(task, LockLost("a part of the relay was cancelled from within"))
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)
            self.wake.set()

    async def _driven(self, slotted: Slotted) -> None:
        """Do what the rules say on one partition, one thing at a time."""
        while True:
            slotted.changed.clear()
            action = rules.next_action(slotted.state, time.monotonic())
            if isinstance(action, rules.Send):
                await self._send(slotted, action)
            elif isinstance(action, rules.PutBack):
                await self._put_back(slotted, action)
            else:
                wait = slotted.state.opens_at - time.monotonic()
                try:
                    async with asyncio.timeout(wait if wait > 0 else None):
                        await slotted.changed.wait()
                except TimeoutError:
                    continue

    async def _batch(self, slotted: Slotted, action: rules.Send) -> list[Envelope]:
        """The next events of the partition: what was fetched if it begins where it should, else from the database."""
        fetched = slotted.fetched
        if not fetched or fetched[0].sequence != action.first:
            fetched.clear()
            last = min(action.last, action.first + BATCH_RECORDS - 1)
            fetched.extend(await self.ledger.numbered(slotted.stream.id, action.first, last))
        return [fetched[n] for n in range(min(slotted.limit, len(fetched)))]

    async def _send(self, slotted: Slotted, action: rules.Send) -> None:
        try:
            batch = await self._batch(slotted, action)
        except (ArchiveUnreachable, ArchiveDamaged) as error:
            await self._not_read(slotted, action, error)
            return
        slotted.unread = None
        # What is marked in flight is what may be sent; fewer may fit into the batch.
        slotted.state = rules.sending(slotted.state, action.first, action.first + len(batch) - 1)
        try:
            count, base = await self.sender.send(*slotted.slot, batch)
        except Unsendable as refused:
            slotted.state = rules.not_sent(slotted.state)
            await self._unsendable(slotted, batch, str(refused))
            return
        except NotAcknowledged as failure:
            slotted.state = rules.not_sent(slotted.state)
            await self._not_acknowledged(slotted, failure)
            return
        last = action.first + count - 1
        slotted.state = rules.sending(slotted.state, action.first, last)
        await self._store(slotted, action.first, last, base)
        for _ in range(count):
            slotted.fetched.popleft()
        slotted.failures, slotted.limit = 0, min(BATCH_RECORDS, slotted.limit * 2)
        self.sent += count
        metrics.relay_sent.add(count, {"topic": slotted.slot[0]})
        if len(slotted.fetched) < BATCH_RECORDS:
            self.wake.set()

    async def _store(self, slotted: Slotted, first: int, last: int, base: int) -> None:
        longer = slotted.range
        if longer is not None and (first, base) != (longer[2] + 1, longer[3] + first - longer[1]):
            longer = None
        if longer is not None and last - longer[1] >= RANGE_LIMIT:
            longer = None
        row = await self.ledger.acknowledge(slotted.stream.id, first, last, base, longer[0] if longer else None)
        slotted.range = (row, longer[1], last, longer[3]) if longer else (row, first, last, base)
        slotted.state = rules.stored(slotted.state)

    async def _not_read(self, slotted: Slotted, action: rules.Send, error: Exception) -> None:
        """What a group lacks lies in the archive: nothing behind it may be sent first. Other partitions go on."""
        if slotted.unread is None:
            _log.warning(
                "archived events can't be sent again",
                topic=slotted.slot[0],
                partition=slotted.slot[1],
                first=action.first,
                cause=str(error),
            )
        slotted.unread = str(error)
        await asyncio.sleep(ARCHIVE_SECONDS)

    def waiting_for_archive(self) -> list[str]:
        """The partitions that stand still because archived events can't be read, in words."""
        return [
            f"{topic}/{partition} waits for the archive: {slotted.unread}"
            for (topic, partition), slotted in self.slots.items()
            if slotted.unread is not None
        ]

    async def _not_acknowledged(self, slotted: Slotted, failure: NotAcknowledged) -> None:
        slotted.failures += 1
        if slotted.failures in (1, 10) or slotted.failures % 100 == 0:
            _log.warning("not acknowledged", topic=slotted.slot[0], partition=slotted.slot[1], cause=str(failure))
        # A broker that came back empty has no topics.
        try:
            await topics.ensure(self.settings.bootstrap, self.topics.values())
        except (KafkaError, OSError, TimeoutError, topics.TopicRefused) as error:
            _log.debug("topics not ensured", cause=repr(error))
        await asyncio.sleep(min(2.0, 0.05 * 2 ** min(slotted.failures, 6)))

    async def _unsendable(self, slotted: Slotted, batch: list[Envelope], reason: str) -> None:
        """Rule 4: find the event that can't be sent, and send a tombstone in its place."""
        if len(batch) > 1:
            slotted.limit = len(batch) // 2
            return
        event = batch[0]
        if event.tombstone:
            raise RuntimeError(f"the broker refuses a tombstone on {slotted.slot}: {reason}")
        await self.ledger.tombstone(slotted.stream.id, event.sequence)
        slotted.fetched.clear()
        metrics.relay_tombstones.add(1, {"topic": slotted.slot[0]})
        _log.error(
            "an event can't be sent, a tombstone goes in its place",
            event_id=str(event.id),
            type=event.type,
            cause=reason,
        )

    async def _put_back(self, slotted: Slotted, action: rules.PutBack) -> None:
        await self.ledger.put_back(slotted.stream.id, action.first)
        slotted.fetched.clear()
        slotted.state = rules.was_put_back(slotted.state, action.first)
        metrics.relay_put_back.add(action.last - action.first + 1, {"topic": slotted.slot[0]})
        _log.warning(
            "sent again", topic=slotted.slot[0], partition=slotted.slot[1], first=action.first, last=action.last
        )

    # -- rules 7, 8, 12 ---------------------------------------------------------------------------------------------

    async def hear(self, said: GroupReport) -> None:
        """A group's reports arrived."""
        for topic, partition, report in said.partitions:
            slotted = self.slots.get((topic, partition))
            # Heard is whoever the registry names, also one that nobody waits for.
            if slotted is None or said.service not in self.topics[topic].consumers:
                continue
            if frozenset(said.peers) != slotted.groups.get(said.service):
                slotted.groups[said.service] = frozenset(said.peers)
                everybody = frozenset().union(*slotted.groups.values())
                slotted.state = dataclasses.replace(slotted.state, groups=everybody)
            slotted.state, actions = rules.hear(slotted.state, report)
            for action in actions:
                if isinstance(action, rules.Look):
                    self._spawn(self._look(slotted, action))
                elif isinstance(action, rules.StartStream):
                    async with self._numbering:
                        await self._start_stream(slotted, action.reason, above=report.stream)
            if report.position is not None:
                self.applied[report.group, slotted.slot] = (report.stream, report.watermark)
                self._dirty[report.group, slotted.slot] = (said.service, topic, partition, report)
            slotted.changed.set()
            self.wake.set()

    async def _look(self, slotted: Slotted, look: rules.Look) -> None:
        stream = slotted.stream
        offset, there, failed = None, False, True
        try:
            offset = await self.ledger.offset(stream.id, look.number)
            if offset is not None:
                there = await self.sender.look(*slotted.slot, offset, stream.id, look.number)
            failed = False
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not is_stray(error):
                raise
            _log.info("could not look", topic=slotted.slot[0], offset=offset, cause=repr(error))
        finally:
            # However it ended: a look that is never over would keep its group from being looked at again.
            if slotted.stream is stream:
                slotted.state = rules.looked(
                    slotted.state, look.group, look.number, offset if there else None, failed=failed
                )
            slotted.changed.set()

    async def _start_stream(self, slotted: Slotted, reason: str, *, above: str) -> None:
        """Rule 12. Nothing is in flight on a partition that was just opened; one that is loses its driver first."""
        if slotted.task is not None:
            slotted.task.cancel()
            await asyncio.gather(slotted.task, return_exceptions=True)
        old, slot = slotted.stream, slotted.slot
        known = {group: self.applied.get((group, slot)) for group in slotted.state.groups if not group.endswith(".?")}
        first = rules.renumber_from(old.head if slotted.task is None else slotted.state.head, str(old.id), known)
        slotted.stream = await self.ledger.start_stream(
            slot, old.id, _later_id(above or str(old.id)), first, self.server
        )
        slotted.state = dataclasses.replace(
            slotted.state,
            stream=str(slotted.stream.id),
            head=slotted.stream.head,
            acknowledged=0,
            next=1,
            broken=False,
            in_flight=None,
            looking={},
            looked_at=frozenset(),
            lacking={},
        )
        slotted.fetched.clear()
        slotted.range = None
        metrics.relay_streams_started.add(1, {"topic": slot[0]})
        _log.error("a new numbering was started", topic=slot[0], partition=slot[1], cause=reason, first=first)
        if slotted.task is not None:
            self._drive(slotted)

    async def _keep_reports(self) -> None:
        if self._dirty and time.monotonic() - self._kept_at >= KEEP_REPORTS_SECONDS:
            dirty, self._dirty, self._kept_at = self._dirty, {}, time.monotonic()
            await self.ledger.keep_reports(list(dirty.values()))


def _later_id(above: str) -> uuid.UUID:
    """A fresh id that is greater than another one, even when that came from a clock in the future."""
    made = new_id()
    return made if str(made) > above else uuid.UUID(int=uuid.UUID(above).int + 1)
