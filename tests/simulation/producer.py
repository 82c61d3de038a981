"""The producing service: its database (journal, outbox, publication, streams, offsets) and its competing relays."""

import copy
from dataclasses import dataclass, field, replace

from crm_events.relay import rules

from .broker import Broker, Record, Slot


class LockLost(Exception):
    """The connection that held the lock is gone: the relay knows nothing any more."""


class Broken(AssertionError):
    """The history shows a fault of the rules."""


@dataclass
class Stream:
    """A row of `stream`, and beside it the set of numbers in the outbox that the rules speak of."""

    id: str
    head: int = 0
    acknowledged: int = 0
    next: int = 1
    in_outbox: set[int] = field(default_factory=set)
    ever_acknowledged: set[int] = field(default_factory=set)
    #: In the product the row is made by the first leader, and its id with it.
    begun: bool = False


@dataclass
class Tables:
    """What the producer's database holds; copied for a backup."""

    positions: int = 0
    #: Events in the outbox without a number, by outbox position.
    unnumbered: dict[int, int] = field(default_factory=dict)
    #: Events recorded, per key in outbox order.
    order: dict[str, list[int]] = field(default_factory=dict)
    streams: dict[Slot, Stream] = field(default_factory=dict)
    publication: dict[tuple[str, int], int] = field(default_factory=dict)
    tombstones: set[int] = field(default_factory=set)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    applied: dict[tuple[str, Slot], tuple[str, int]] = field(default_factory=dict)
    #: On which server's data the numbers were given; see ProducerDatabase.server.
    server: int = 0


class ProducerDatabase:
    """Transactions are the methods; whoever calls as relay must hold the lock."""

    def __init__(self, slots: list[Slot], slot_of: dict[str, Slot]) -> None:
        self.slot_of = slot_of
        self.key_of: dict[int, str] = {}
        self.unsendable: set[int] = set()
        self.names = 0
        #: Another one after a restore (PostgreSQL: system identifier and time line).
        self.server = 0
        self.holder: Relay | None = None
        self.open: dict[str, list[tuple[int, int]]] = {}
        self.tables = Tables()
        for slot in slots:
            self.tables.streams[slot] = Stream("")

    def new_stream(self) -> str:
        self.names += 1
        return f"s{self.names:04d}"

    def begin(self, key: str, event: int) -> None:
        """A business transaction records an event: it draws the outbox position while it holds the record's row lock."""
        self.tables.positions += 1
        self.key_of[event] = key
        self.open.setdefault(key, []).append((self.tables.positions, event))

    def end(self, key: str, *, commit: bool) -> None:
        for position, event in self.open.pop(key, []):
            if commit:
                self.tables.unnumbered[position] = event
                self.tables.order.setdefault(key, []).append(event)

    def check_outbox(self, slot: Slot) -> None:
        """The outbox as a range is the outbox as the set that rules 3 and 8 speak of."""
        stream = self.tables.streams[slot]
        if stream.in_outbox != set(range(stream.next, stream.head + 1)):
            raise Broken(f"outbox of {slot}: next {stream.next}, head {stream.head}, but it holds {stream.in_outbox}")
        for number in range(1, stream.next):
            if number not in stream.ever_acknowledged:
                raise Broken(f"{slot}: {number} left the outbox and was never acknowledged")


@dataclass
class Pending:
    """A request to the broker that has no answer yet."""

    slot: Slot
    first: int = 0
    records: list[Record] = field(default_factory=list)
    look: rules.Look | None = None


class Relay:
    """One process that wants to be the leader. Everything it remembers is gone when it crashes or notices a lost lock."""

    def __init__(
        self, name: str, database: ProducerDatabase, broker: Broker, groups: frozenset[str], skew: float
    ) -> None:
        self.name = name
        self.database = database
        self.broker = broker
        self.groups = groups
        self.skew = skew
        self.partitions: dict[Slot, rules.Partition] = {}
        self.pending: list[Pending] = []
        self.mail: list[tuple[Slot, rules.Report]] = []
        #: Whether its connection to the database stands, and what it heard since while another one led: the last report, and when.
        self.connected = False
        self.kept: dict[tuple[str, Slot], tuple[float, rules.Report]] = {}
        #: How often each partition was put back; counted for the check that nothing is sent again for ever.
        self.put_backs: dict[Slot, int] = {}

    @property
    def leads(self) -> bool:
        """Whether it believes to be the leader."""
        return bool(self.partitions)

    def _tables(self) -> Tables:
        if self.database.holder is not self:
            raise LockLost
        return self.database.tables

    def forget(self) -> None:
        """Crash, or notice that the lock is lost."""
        self.partitions, self.pending, self.mail = {}, [], []
        self.connected, self.kept = False, {}
        if self.database.holder is self:
            self.database.holder = None

    def told(self, slot: Slot, report: rules.Report, now: float) -> None:
        """A report reaches this process: mail for who leads; who stands by keeps it (rule 9)."""
        if self.leads:
            self.mail.append((slot, report))
        elif self.connected:
            self.kept[report.group, slot] = (now + self.skew, report)

    def try_lock(self, now: float) -> None:
        if self.leads:
            return
        self.connected = True
        if self.database.holder is not None:
            return
        self.database.holder = self
        for slot, stream in self._tables().streams.items():
            begun_now, stream.begun = not stream.begun, True
            if begun_now:
                stream.id = self.database.new_stream()
            self.partitions[slot] = rules.Partition(
                stream=stream.id,
                head=stream.head,
                acknowledged=stream.acknowledged,
                next=stream.next,
                groups=self.groups,
                opens_at=rules.gate_opens_at(now + self.skew, rules.GATE_SECONDS, begun_now=begun_now),
            )
        if self._tables().server != self.database.server:
            for slot in list(self.partitions):
                self.start_stream(slot)
            self._tables().server = self.database.server
        kept, self.kept = self.kept, {}
        for (_, slot), (heard_at, report) in kept.items():
            if rules.still_counts(heard_at, now + self.skew, rules.GATE_SECONDS):
                self.hear(slot, report)

    def number(self, now: float, limit: int) -> None:
        """Rule 2."""
        tables = self._tables()
        for slot, partition in self.partitions.items():
            if partition.broken or not rules.may_send(partition, now + self.skew):
                continue
            mine = [
                p for p in sorted(tables.unnumbered) if self.database.slot_of[self._key(tables.unnumbered[p])] == slot
            ]
            given = rules.assign(partition.head, mine[:limit])
            if given:
                self.commit_numbers(slot, given)
                self.partitions[slot] = rules.numbered(partition, given[-1][0])

    def _key(self, event: int) -> str:
        return self.database.key_of[event]

    def commit_numbers(self, slot: Slot, given: list[tuple[int, object]]) -> None:
        tables = self._tables()
        stream = tables.streams[slot]
        for number, position in given:
            tables.publication[stream.id, number] = tables.unnumbered.pop(position)  # type: ignore[call-overload]
            stream.in_outbox.add(number)
        stream.head = given[-1][0]
        self.database.check_outbox(slot)

    def act(self, slot: Slot, now: float, limit: int) -> bool:
        """Do the next thing on a partition; whether there was one."""
        partition = self.partitions[slot]
        action = rules.next_action(partition, now + self.skew)
        if isinstance(action, rules.PutBack):
            self._put_back(slot, action)
        elif isinstance(action, rules.Send):
            self._send(slot, action, limit)
        return action is not None

    def _put_back(self, slot: Slot, action: rules.PutBack) -> None:
        stream = self._tables().streams[slot]
        self.put_backs[slot] = self.put_backs.get(slot, 0) + 1
        stream.in_outbox |= set(range(action.first, action.last + 1))
        self.partitions[slot] = rules.was_put_back(self.partitions[slot], action.first)
        stream.next = self.partitions[slot].next
        self.database.check_outbox(slot)

    def _send(self, slot: Slot, action: rules.Send, limit: int) -> None:
        tables = self._tables()
        last = min(action.last, action.first + limit - 1)
        stream = self.partitions[slot].stream
        records = []
        for number in range(action.first, last + 1):
            event = tables.publication[stream, number]
            records.append(Record(stream, number, self._key(event), None if event in tables.tombstones else event))
        self.partitions[slot] = rules.sending(self.partitions[slot], action.first, last)
        self.pending.append(Pending(slot, action.first, records))

    def refused(self, pending: Pending) -> bool:
        """Rule 4: the broker will never take one of these; it becomes a tombstone and the batch is sent again."""
        bad = [r for r in pending.records if r.event in self.database.unsendable]
        if bad:
            self._tables().tombstones.add(bad[0].event)  # type: ignore[arg-type]
            self.partitions[pending.slot] = rules.not_sent(self.partitions[pending.slot])
        return bool(bad)

    def not_acknowledged(self, pending: Pending) -> None:
        self.partitions[pending.slot] = rules.not_sent(self.partitions[pending.slot])

    def acknowledged(self, pending: Pending, base: int) -> None:
        """Rule 3: one transaction stores the offsets and empties the outbox."""
        slot = pending.slot
        stream = self._tables().streams[slot]
        for n, record in enumerate(pending.records):
            self.database.tables.offsets[stream.id, record.number] = base + n
            stream.in_outbox.discard(record.number)
            stream.ever_acknowledged.add(record.number)
        self.partitions[slot] = rules.stored(self.partitions[slot])
        stream.next, stream.acknowledged = self.partitions[slot].next, self.partitions[slot].acknowledged
        self.database.check_outbox(slot)

    def hear(self, slot: Slot, report: rules.Report) -> None:
        tables = self._tables()
        self.partitions[slot], actions = rules.hear(self.partitions[slot], report)
        for action in actions:
            if isinstance(action, rules.Look):
                self.pending.append(Pending(slot, look=action))
            elif isinstance(action, rules.StartStream):
                self.start_stream(slot)
        if report.position is not None:
            tables.applied[report.group, slot] = (report.stream, report.watermark)

    def look(self, pending: Pending) -> None:
        """Rule 8: is the record still where it was acknowledged?"""
        assert pending.look is not None
        stream = self.partitions[pending.slot].stream
        offset = self._tables().offsets.get((stream, pending.look.number))
        found = None if offset is None else self.broker.at(pending.slot, offset)
        there = found is not None and (found.stream, found.number) == (stream, pending.look.number)
        self.partitions[pending.slot] = rules.looked(
            self.partitions[pending.slot], pending.look.group, pending.look.number, offset if there else None
        )

    def look_failed(self, pending: Pending) -> None:
        assert pending.look is not None
        self.partitions[pending.slot] = rules.looked(
            self.partitions[pending.slot], pending.look.group, pending.look.number, None, failed=True
        )

    def start_stream(self, slot: Slot) -> None:
        """Rule 12."""
        tables = self._tables()
        old = tables.streams[slot]
        known = {group: tables.applied.get((group, slot)) for group in self.groups}
        first = rules.renumber_from(old.head, old.id, known)
        new = Stream(self.database.new_stream(), begun=True)
        for number, event in enumerate((tables.publication[old.id, n] for n in range(first, old.head + 1)), start=1):
            tables.publication[new.id, number] = event
            new.in_outbox.add(number)
            new.head = number
        tables.streams[slot] = new
        self.partitions[slot] = replace(
            self.partitions[slot],
            stream=new.id,
            head=new.head,
            acknowledged=0,
            next=1,
            broken=False,
            in_flight=None,
            looking={},
            lacking={},
        )
        self.pending = [p for p in self.pending if p.slot != slot]


def backup(database: ProducerDatabase) -> Tables:
    """A copy of the producer's database."""
    return copy.deepcopy(database.tables)


def restore(database: ProducerDatabase, tables: Tables) -> None:
    """The producer's database is as it was; sessions and open transactions are gone."""
    database.tables = copy.deepcopy(tables)
    database.open.clear()
    database.holder = None
    database.server += 1
