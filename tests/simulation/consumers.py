"""Consumer groups: their databases, and the processes that read for them, zombies included."""

import copy
from dataclasses import dataclass, field

from crm_events.consumer import rules
from crm_events.relay.rules import Report

from .broker import Broker, Record, Slot
from .producer import Broken, ProducerDatabase


@dataclass
class GroupTables:
    """What a group's database holds; copied for a backup."""

    watermarks: dict[Slot, rules.Watermark] = field(default_factory=dict)
    inbox: set[int] = field(default_factory=set)
    effects: dict[str, list[int]] = field(default_factory=dict)
    #: Per key: the dead letter and, behind it, the parked events, in order.
    waiting: dict[str, list[int]] = field(default_factory=dict)


class Group:
    """One consumer group's database."""

    def __init__(self, name: str, producer: ProducerDatabase, poison: set[int]) -> None:
        self.name = name
        self.producer = producer
        self.poison = poison
        self.tables = GroupTables()
        self.copy = GroupTables()

    def watermark(self, slot: Slot) -> rules.Watermark:
        return self.tables.watermarks.get(slot, rules.Watermark())

    def transaction(self, slot: Slot, records: list[Record]) -> rules.Settlement:
        """Rule 5: watermark locked, inbox, effect or park or dead letter, watermark raised: one transaction."""
        settlement = rules.settle(self.watermark(slot), [(r.stream, r.number) for r in records])
        for record, outcome in zip(records, settlement.outcomes, strict=True):
            if outcome is rules.Outcome.APPLY and record.event is not None:
                self._take(record.key, record.event)
        self.tables.watermarks[slot] = settlement.watermark
        return settlement

    def _take(self, key: str, event: int) -> None:
        if event in self.tables.inbox:
            return
        self.tables.inbox.add(event)
        (parked,) = rules.parked([key], frozenset(self.tables.waiting))
        if parked or event in self.poison:
            self.tables.waiting.setdefault(key, []).append(event)
            return
        self._apply(key, event)

    def _apply(self, key: str, event: int) -> None:
        done = self.tables.effects.setdefault(key, [])
        done.append(event)
        done = self.recorded(key)
        tables = self.producer.tables
        order = [e for e in tables.order.get(key, []) if e not in tables.tombstones]
        if done != order[: len(done)]:
            raise Broken(f"group {self.name}, key {key}: applied {done[-4:]}, the order is {order}")

    def recorded(self, key: str) -> list[int]:
        """What was applied of a key, without facts that a restored producer does not know any more."""
        known = set(self.producer.tables.order.get(key, []))
        return [event for event in self.tables.effects.get(key, []) if event in known]

    def retry(self, key: str) -> None:
        """Rule 10: the dead letter, repaired, and what is parked behind it, before anything newer of the key."""
        for event in self.tables.waiting.get(key, []):
            self.poison.discard(event)
            self._apply(key, event)
        self.tables.waiting.pop(key, None)

    def backup(self) -> None:
        self.copy = copy.deepcopy(self.tables)

    def restore(self) -> None:
        self.tables = copy.deepcopy(self.copy)


class Member:
    """A process that reads one partition for a group."""

    def __init__(self, group: Group, slot: Slot, broker: Broker, skew: float) -> None:
        self.group = group
        self.slot = slot
        self.broker = broker
        self.skew = skew
        self.reader = rules.Reader()
        self.buffer: list[tuple[int, Record]] = []
        self.fetched_to: int | None = None

    def fetch(self, limit: int) -> None:
        """Rule 6: from the committed offset or the earliest; out of range means earliest."""
        log = self.broker.logs[self.slot]
        if self.fetched_to is None:
            self.fetched_to = self.broker.committed.get((self.group.name, self.slot), log.start)
        if rules.out_of_range(self.fetched_to, log.start, log.end):
            self.fetched_to, self.buffer = log.start, []
        got = self.broker.fetch(self.slot, self.fetched_to, limit)
        self.buffer += got
        self.fetched_to += len(got)
        position = self.buffer[0][0] if self.buffer else self.fetched_to
        self.reader = rules.placed(self.reader, position, log.end)

    def apply(self, limit: int) -> bool:
        """Settle what was fetched; whether there was something."""
        batch = self.buffer[:limit]
        if not batch:
            return False
        settlement = self.group.transaction(self.slot, [record for _, record in batch])
        del self.buffer[: len(batch)]
        self.reader = rules.settled(self.reader, settlement, batch[-1][0] + 1)
        return True

    def commit(self) -> None:
        if self.reader.position is not None:
            self.broker.committed[self.group.name, self.slot] = self.reader.position

    def report(self, now: float) -> Report | None:
        if not rules.report_due(self.reader, now + self.skew):
            return None
        self.reader, made = rules.report(self.reader, self.group.name, self.group.watermark(self.slot), now + self.skew)
        return made
