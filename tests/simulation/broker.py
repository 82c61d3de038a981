"""A broker that can lose everything: logs per partition, committed offsets, late requests."""

from dataclasses import dataclass, field
from typing import NamedTuple

Slot = tuple[str, int]


class Record(NamedTuple):
    """What lies in a log. `event` None: a tombstone."""

    stream: str
    number: int
    key: str
    event: int | None


@dataclass
class Log:
    """One partition's log: `records[0]` has the offset `start`."""

    start: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.records)

    def copy(self) -> "Log":
        return Log(self.start, list(self.records))


class Broker:
    """All logs, the offsets that groups committed, and requests that are still on their way."""

    def __init__(self, slots: list[Slot]) -> None:
        self.logs: dict[Slot, Log] = {slot: Log() for slot in slots}
        self.committed: dict[tuple[str, Slot], int] = {}
        self.late: list[tuple[Slot, list[Record]]] = []
        self.copies: dict[Slot, Log] = {}
        self.appended = 0

    def append(self, slot: Slot, records: list[Record]) -> int:
        """The base offset of the batch."""
        log = self.logs[slot]
        base = log.end
        log.records.extend(records)
        self.appended += len(records)
        return base

    def at(self, slot: Slot, offset: int) -> Record | None:
        log = self.logs[slot]
        index = offset - log.start
        return log.records[index] if 0 <= index < len(log.records) else None

    def fetch(self, slot: Slot, offset: int, limit: int) -> list[tuple[int, Record]]:
        log = self.logs[slot]
        first = offset - log.start
        return [(offset + n, record) for n, record in enumerate(log.records[first : first + limit])]

    def wipe(self, slots: list[Slot], *, offsets_too: bool) -> None:
        """The logs are empty and begin at 0 again; the committed offsets may be gone too."""
        for slot in slots:
            self.logs[slot] = Log()
        if offsets_too:
            self.committed = {at: offset for at, offset in self.committed.items() if at[1] not in slots}

    def expire(self, slot: Slot, count: int) -> None:
        """Retention removes the oldest records."""
        log = self.logs[slot]
        count = min(count, len(log.records))
        del log.records[:count]
        log.start += count

    def remember(self, slot: Slot) -> None:
        self.copies[slot] = self.logs[slot].copy()

    def restore(self, slot: Slot) -> None:
        """An older log is put in place of the present one."""
        if slot in self.copies:
            self.logs[slot] = self.copies[slot].copy()
