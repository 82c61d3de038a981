"""What a new leader learns before it does anything: numberings, known groups, and over how many partitions keys are spread."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from crm_contracts import Envelope, Topic
from crm_events.relay import rules
from crm_events.relay.ledger import Ledger, Slot, Stream
from crm_events.relay.sender import BATCH_RECORDS
from crm_events.settings import BusSettings
from crm_kernel.ids import new_id

_log = structlog.get_logger("crm_events")

#: (group, partition) → the numbering and the highest number of it that the group is known to have applied.
Applied = dict[tuple[str, Slot], tuple[str, int]]


class Slotted:
    """One partition: its state, what was fetched for sending, and how it is driven."""

    def __init__(self, slot: Slot, stream: Stream, state: rules.Partition) -> None:
        self.slot = slot
        self.stream = stream
        self.state = state
        #: Events after the numbers sent, in order: what follows `state.next` while it begins with it.
        self.fetched: deque[Envelope] = deque()
        #: The row of sent_range that the next batch may continue: (row, first, last, base offset).
        self.range: tuple[int, int, int, int] | None = None
        #: How many events a batch may have: halved when the broker refuses one for good, doubled with each that it takes.
        self.limit = BATCH_RECORDS
        self.failures = 0
        #: Why the archived events that are next can't be read; None: they can, or none are next.
        self.unread: str | None = None
        self.groups: dict[str, frozenset[str]] = {}
        self.task: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()


class Opened(NamedTuple):
    """server: see Ledger.server. partitions: topic → over how many its keys are spread."""

    server: str
    slots: dict[Slot, Slotted]
    partitions: dict[str, int]
    applied: Applied


@dataclass
class _Known:
    """What the groups last said, as far as it was kept. groups: (service, topic) → its groups."""

    groups: dict[tuple[str, str], set[str]]
    applied: Applied


async def opened(settings: BusSettings, ledger: Ledger, topics: Mapping[str, Topic]) -> Opened:
    """Read what is there, and begin the numberings that are not. Raises LockLost."""
    server = await ledger.server()
    streams = await ledger.streams(topics)
    known = await _known(ledger)
    partitions = {}
    for topic in topics.values():
        expected = _expected(settings, topic)
        count = partitions[topic.name] = _in_force(topic, expected, streams, known)
        for slot in ((topic.name, n) for n in range(count)):
            if slot not in streams:
                streams[slot] = await ledger.begin_stream(slot, new_id(), server)
    now = time.monotonic()
    slots = {}
    for slot, stream in streams.items():
        groups = {
            service: frozenset(known.groups.get((service, slot[0]), {f"{service}.?"}))
            for service in _expected(settings, topics[slot[0]])
        }
        state = rules.Partition(
            stream=str(stream.id),
            head=stream.head,
            acknowledged=stream.acknowledged,
            next=stream.next,
            groups=frozenset().union(*groups.values()),
            opens_at=rules.gate_opens_at(now, settings.gate_seconds, begun_now=stream.begun_now),
        )
        slots[slot] = Slotted(slot, stream, state)
        slots[slot].groups = groups
    return Opened(server, slots, partitions, known.applied)


async def _known(ledger: Ledger) -> _Known:
    found = _Known({}, {})
    for row in await ledger.groups():
        found.applied[row["group_name"], (row["topic"], row["partition"])] = (row["stream"], row["watermark"])
        found.groups.setdefault((row["service"], row["topic"]), set()).add(row["group_name"])
    return found


def _expected(settings: BusSettings, topic: Topic) -> list[str]:
    expected = settings.expected_services
    return [name for name in topic.consumers if expected is None or name in expected]


def _in_force(topic: Topic, expected: list[str], streams: Mapping[Slot, Stream], known: _Known) -> int:
    numbered = {slot[1]: stream for slot, stream in streams.items() if slot[0] == topic.name}
    watermarks: list[dict[int, int]] = []
    for service in expected:
        # One that was never heard has applied nothing, as far as anybody knows.
        for group in known.groups.get((service, topic.name), {""}):
            marks = {n: known.applied.get((group, (topic.name, n)), ("", 0)) for n in numbered}
            watermarks.append({n: mark[1] for n, mark in marks.items() if mark[0] == str(numbered[n].id)})
    found = rules.partitions_in_force(topic.partitions, {n: s.head for n, s in numbered.items()}, watermarks)
    if found != topic.partitions:
        _log.warning(
            "new partitions wait until every group has caught up and the worker starts again",
            topic=topic.name,
            partitions=found,
            declared=topic.partitions,
        )
    return found
