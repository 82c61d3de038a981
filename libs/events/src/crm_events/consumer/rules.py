"""The consumer's decisions as pure functions. docs/architecture/events.md tells the rules.

`settle` runs inside the transaction that holds the watermark's row lock: only what the database says there counts, not what a
process remembers. `Reader` is what one process remembers of a partition that it reads.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from crm_events.relay.rules import Report

#: Rule 7: seconds between reports when nothing happens, and at least between two of them after a skip. The first is a second
#: less than a new leader waits (5 s): who reported just before it took the lock is heard again before it sends.
REPORT_SECONDS = 4.0
REPORT_GAP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Watermark:
    """The highest number that a group applied of one partition, in which numbering ("" and 0: nothing yet)."""

    stream: str = ""
    number: int = 0

    def is_behind(self, other: "Watermark") -> bool:
        """Whether `other` comes later; a later numbering is later whatever the number."""
        return (self.stream, self.number) < (other.stream, other.number)


def later(one: Watermark | None, other: Watermark | None) -> Watermark | None:
    """The later of two; None is earlier than any."""
    if one is None or other is None:
        return one or other
    return other if one.is_behind(other) else one


class Outcome(enum.Enum):
    """What becomes of a record."""

    APPLY = "apply"
    #: Applied before, or of a numbering that was replaced.
    DOUBLE = "double"
    #: Something is missing before it: not applied; it comes again in order.
    SKIP = "skip"
    #: Not ours: it has no number.
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Settlement:
    """Outcomes in the order of the records, the watermark afterwards, and the highest number skipped (None: none)."""

    outcomes: tuple[Outcome, ...]
    watermark: Watermark
    skipped_to: Watermark | None


def judge(watermark: Watermark, stream: str, number: int) -> Outcome:
    """Rule 5 for one record; rule 12 for the numbering: a later one begins at 1, an earlier one is over."""
    if number <= 0:
        return Outcome.FOREIGN
    if stream < watermark.stream:
        return Outcome.DOUBLE
    applied = watermark.number if stream == watermark.stream else 0
    if number <= applied:
        return Outcome.DOUBLE
    return Outcome.APPLY if number == applied + 1 else Outcome.SKIP


def settle(watermark: Watermark, records: Iterable[tuple[str, int]]) -> Settlement:
    """Rule 5 for a batch of (stream, number), in the order of the log."""
    outcomes = []
    skipped_to: Watermark | None = None
    for stream, number in records:
        outcome = judge(watermark, stream, number)
        outcomes.append(outcome)
        if outcome is Outcome.APPLY:
            watermark = Watermark(stream, number)
        elif outcome is Outcome.SKIP:
            skipped_to = later(skipped_to, Watermark(stream, number))
    return Settlement(tuple(outcomes), watermark, skipped_to)


def parked(keys: Sequence[str], blocked: frozenset[str]) -> tuple[bool, ...]:
    """Which of the events are parked: their key waits behind a dead letter."""
    return tuple(key in blocked for key in keys)


@dataclass(frozen=True, slots=True)
class Reader:
    """What a process remembers of a partition that it was given.

    position: the offset of the first record that it has not settled; None until it is known. end: the end of the log when it
    last looked. skipped_to: the highest number skipped, None: none. reported_at: monotonic seconds of the last report; None: it owes the
    first. skip_to_report: it skipped since.
    """

    position: int | None = None
    end: int | None = None
    skipped_to: Watermark | None = None
    reported_at: float | None = None
    skip_to_report: bool = False


def placed(reader: Reader, position: int, end: int | None) -> Reader:
    """The reader stands at a position of a log whose end is `end` (None: not known yet)."""
    return replace(reader, position=position, end=end)


def settled(reader: Reader, settlement: Settlement, position: int) -> Reader:
    """A batch was settled and committed; `position` is the offset behind it."""
    return replace(
        reader,
        position=position,
        skipped_to=later(reader.skipped_to, settlement.skipped_to),
        skip_to_report=reader.skip_to_report or settlement.skipped_to is not None,
    )


def is_lacking(reader: Reader, watermark: Watermark) -> bool:
    """Rule 7: at the end of the log, or something was skipped that has not been applied since."""
    at_end = reader.position is not None and reader.end is not None and reader.position >= reader.end
    return at_end or (reader.skipped_to is not None and watermark.is_behind(reader.skipped_to))


def report_due(reader: Reader, now: float) -> bool:
    """Rule 7: on start, every few seconds even when idle, and after a skip at once, but at most once a second."""
    if reader.position is None:
        return False
    if reader.reported_at is None:
        return True
    waited = now - reader.reported_at
    return waited >= REPORT_SECONDS or (reader.skip_to_report and waited >= REPORT_GAP_SECONDS)


def report(reader: Reader, group: str, watermark: Watermark, now: float) -> tuple[Reader, Report]:
    """The report on this partition."""
    made = Report(group, watermark.stream, watermark.number, reader.position, is_lacking(reader, watermark))
    return replace(reader, reported_at=now, skip_to_report=False), made


def out_of_range(position: int, start: int, end: int) -> bool:
    """Rule 6: the log has no such position (it was wiped): the reader goes to the earliest. Nobody seeks otherwise."""
    return position < start or position > end
