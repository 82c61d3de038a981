"""The relay's decisions as pure functions: (state, input) → (state, actions). docs/architecture/events.md tells the rules.

One `Partition` is what the leader knows of one (topic, partition). It is made after the lock was taken and thrown away when
the lock is lost. Whoever drives it (crm_events.relay.leader against PostgreSQL and the broker; tests/simulation against
simulated ones) carries out the actions and hands in what came of them; an action that failed because the lock is lost is
never answered: the state is gone with the lock.

The outbox of a partition holds numbers in a row: sending goes ascending from its smallest, and what is put back reaches up
to the highest acknowledged. So it is kept as its smallest number, `next`: in the outbox are `next … head`. Putting a million
events back is then one small update. The simulation keeps the set that the rules speak of beside it and compares them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

#: Rule 9: how long a new leader waits for the reports of every registered group, in seconds.
GATE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """What one group says of one partition (rule 7).

    stream: the numbering its watermark belongs to; empty when it has applied nothing yet. watermark: the highest number
    applied. position: the next offset it will handle; None while it has none. lacking: it is at the end of the log, or has
    skipped a number: what it lacks will not come by itself.
    """

    group: str
    stream: str
    watermark: int
    position: int | None
    lacking: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """The leader's view of one partition.

    stream: the numbering in force; ids of later numberings are greater. head: the highest number given. acknowledged: the
    highest number that the broker ever acknowledged. next: the smallest number in the outbox (head + 1: none is).
    groups: the registered groups. opens_at: the instant (monotonic seconds) from which it sends whatever was reported.
    """

    stream: str
    head: int
    acknowledged: int
    next: int
    groups: frozenset[str]
    opens_at: float
    #: Groups that reported a real position since the lock was taken, or shortly before (`still_counts`).
    heard: frozenset[str] = frozenset()
    #: The numbers of the batch that is being sent.
    in_flight: tuple[int, int] | None = None
    #: Reports whose record is being looked up in the log.
    looking: Mapping[str, Report] = field(default_factory=lambda: MappingProxyType({}))
    #: Groups that miss a number and were looked at for it, without its being gone: their next looks hold up nothing.
    looked_at: frozenset[str] = frozenset()
    #: Watermarks of the groups that lack what follows.
    lacking: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    #: A numbering that has to be replaced: nothing is numbered or sent any more.
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Fetch the record at the offset stored for `number`, and answer with `looked`."""

    group: str
    number: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send a batch that begins with `first` and ends at most with `last`; begin it with `sending`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class PutBack:
    """Put `first … last` back into the outbox in one transaction, drop what was fetched, and answer with `was_put_back`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StartStream:
    """Raise an alert and begin a new numbering (rule 12): the old one was given out twice."""

    reason: str


Action = Look | Send | PutBack | StartStream
EventT = TypeVar("EventT")
Decision = tuple[Partition, tuple[Action, ...]]


def partitions_in_force(declared: int, heads: Mapping[int, int], watermarks: Iterable[Mapping[int, int]]) -> int:
    """Over how many partitions a topic's keys are spread.

    heads: partition → highest number given in the numbering in force, of all partitions that were ever numbered. watermarks: for each
    group that reads the topic, partition → highest number applied of it; a group that was never heard has applied nothing.
    As many as declared, but no more than there were until every group has applied all that was numbered: another number of
    partitions leads a key's next event elsewhere, where it could overtake the one before.
    """
    grows = 0 < len(heads) < declared
    behind = any(marks.get(partition, 0) < head for marks in watermarks for partition, head in heads.items())
    return len(heads) if grows and behind else declared


def gate_opens_at(now: float, gate_seconds: float, *, begun_now: bool) -> float:
    """Rule 9: when the wait for the reports is over. A numbering that this leader began itself, just now, waits for nobody: none
    of it can have been applied or be lacking. One that was there before may, however few numbers it gave."""
    return now if begun_now else now + gate_seconds


def still_counts(heard_at: float, now: float, gate_seconds: float) -> bool:
    """Rule 9: whether a report that was heard while standing by, before the lock was taken, counts for the new leader.

    Only one of the connection that then took the lock is asked about: under a standing connection no database is set back, so no group
    can have applied more than this one knows. One that is older than a leader would wait says nothing of a group that is there.
    """
    return now - heard_at <= gate_seconds


def assign(head: int, waiting: Iterable[EventT]) -> list[tuple[int, EventT]]:
    """Rule 2: the numbers of the events that wait, in outbox order: dense, from `head + 1`."""
    return list(enumerate(waiting, start=head + 1))


def may_send(partition: Partition, now: float) -> bool:
    """Rule 9: every registered group has reported a real position, or the time is over.

    Numbers are given only then too: a group that has applied more than was ever numbered must be noticed before (rule 12).
    """
    return now >= partition.opens_at or partition.groups <= partition.heard


def is_missing(partition: Partition, report: Report) -> bool:
    """Rule 8, first half: the group lacks its next number, which is acknowledged and no longer in the outbox."""
    wanted = report.watermark + 1
    return report.lacking and wanted <= partition.acknowledged and wanted < partition.next


def will_come(report: Report, found_at: int | None) -> bool:
    """Rule 8, second half: the record lies in the log (at `found_at`), and the group has not read past it."""
    return found_at is not None and report.position is not None and report.position <= found_at


def outran(partition: Partition, report: Report) -> str | None:
    """Rule 12: why this report shows that numbers were given out twice; None when it doesn't."""
    if report.stream > partition.stream:
        return f"group {report.group} follows numbering {report.stream}, which is unknown here"
    if report.stream == partition.stream and report.watermark > partition.head:
        return f"group {report.group} applied {report.watermark}, the highest number given is {partition.head}"
    return None


def hear(partition: Partition, report: Report) -> Decision:
    """A report arrived. One without a real position says nothing; one of an earlier numbering has applied none of this."""
    if report.position is None or report.group not in partition.groups:
        return partition, ()
    reason = outran(partition, report)
    if reason is not None:
        return replace(partition, broken=True), (() if partition.broken else (StartStream(reason),))
    if report.stream < partition.stream:
        report = replace(report, stream=partition.stream, watermark=0)
    partition = replace(partition, heard=partition.heard | {report.group})
    if not is_missing(partition, report):
        return replace(partition, looked_at=partition.looked_at - {report.group}), ()
    # Who is being looked at already, or is known to lack what follows, gets it with what comes of that.
    if report.group in partition.looking or report.group in partition.lacking:
        return partition, ()
    looking = MappingProxyType({**partition.looking, report.group: report})
    return replace(partition, looking=looking), (Look(report.group, report.watermark + 1),)


def looked(partition: Partition, group: str, number: int, found_at: int | None, *, failed: bool = False) -> Partition:
    """The look-up of `number` for a group's report came back; `failed`: it could not be made, the next report asks again.

    One that nobody waits for any more changes nothing. When a record is gone, everybody else who is being looked at is taken to lack
    what follows too: it is one log, and who has what comes again ignores it.
    """
    report = partition.looking.get(group)
    if report is None or report.watermark + 1 != number:
        return partition
    looking = MappingProxyType({name: kept for name, kept in partition.looking.items() if name != group})
    if failed or not is_missing(partition, report) or will_come(report, found_at):
        return replace(partition, looking=looking, looked_at=partition.looked_at | {group})
    lack = {report.group: report.watermark, **{name: other.watermark for name, other in looking.items()}}
    return replace(partition, looking=MappingProxyType({}), lacking=MappingProxyType({**partition.lacking, **lack}))


def next_action(partition: Partition, now: float) -> Send | PutBack | None:
    """What to do on this partition now (rules 3, 8, 9). One thing at a time: nothing while a batch is in flight.

    Putting back waits for no look, and sending only for the first that a missing number leads to (a warm start sends no more than what
    is lacking). If they waited for all, a partition could stand still for good: where looks take long, somebody's next report is there
    before the last look is over.
    """
    if partition.broken or partition.in_flight is not None or not may_send(partition, now):
        return None
    if partition.lacking:
        return PutBack(min(partition.lacking.values()) + 1, partition.acknowledged)
    if partition.next > partition.head or not partition.looking.keys() <= partition.looked_at:
        return None
    return Send(partition.next, partition.head)


def numbered(partition: Partition, last: int) -> Partition:
    """Numbers up to `last` were given, and that is committed."""
    return replace(partition, head=last)


def sending(partition: Partition, first: int, last: int) -> Partition:
    """A batch of these numbers is being sent."""
    return replace(partition, in_flight=(first, last))


def not_sent(partition: Partition) -> Partition:
    """The broker did not acknowledge the batch; it may have it all the same."""
    return replace(partition, in_flight=None)


def stored(partition: Partition) -> Partition:
    """The acknowledgement of the batch in flight is committed: its numbers left the outbox (rule 3)."""
    if partition.in_flight is None:
        raise ValueError("nothing is in flight")
    last = partition.in_flight[1]
    return replace(partition, in_flight=None, next=last + 1, acknowledged=max(partition.acknowledged, last))


def was_put_back(partition: Partition, first: int) -> Partition:
    """Numbers from `first` on are in the outbox again, and that is committed. What was being looked up lies elsewhere soon."""
    none: Mapping[str, Any] = MappingProxyType({})
    return replace(partition, next=min(partition.next, first), lacking=none, looking=none, looked_at=frozenset())


def renumber_from(head: int, stream: str, applied: Mapping[str, tuple[str, int] | None]) -> int:
    """Rule 12: the first number of a broken numbering that goes into the new one too.

    applied: what each registered group is known to have applied, as (numbering, watermark); None: nothing is known. From the
    smallest on, everything is numbered anew; who has applied it already knows the event's id from its inbox.
    """
    known = [mark[1] if mark is not None and mark[0] == stream else 0 for mark in applied.values()]
    return min([head, *known]) + 1
