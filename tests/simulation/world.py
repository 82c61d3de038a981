"""One history: a seed makes a world and a list of steps; running the steps and coming to rest shows whether the rules hold.

A step is a name and three numbers, which are read modulo what there is to choose from: so any step may be dropped from a
history and the rest still means something. That is what makes shrinking possible.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .broker import Broker, Slot
from .consumers import Group, Member
from .producer import Broken, LockLost, ProducerDatabase, Relay, backup, restore

#: How often each kind of step is drawn. The faults in the last four lines are as frequent as written, three times as frequent
#: or absent, by seed: so that something happens between them.
WEIGHTS = {
    "write": 16, "end": 14, "lock": 4, "number": 8, "act": 12, "answer": 12, "hear": 8, "relays": 22,
    "fetch": 8, "apply": 10, "commit": 4, "report": 6, "group": 18, "tick": 10, "retry": 1,
    "late": 3, "relay_crash": 1, "lock_lost": 1, "member_crash": 2, "rebalance": 2,
    "wipe_slot": 2, "wipe_topic": 1, "wipe_all": 1, "remember": 2, "restore_log": 1, "expire": 1,
    "backup": 1, "restore_group": 1,
}  # fmt: skip


class Step(NamedTuple):
    """What happens, and three numbers that choose how."""

    name: str
    a: int
    b: int
    c: int


@dataclass(frozen=True)
class Shape:
    """How large a world is, and how its events fail."""

    partitions: int
    keys: int
    groups: int
    relays: int
    poison: float
    unsendable: float


def shape_of(seed: int, *, producer_restores: bool = False) -> Shape:
    """The world of a seed."""
    r = random.Random(f"shape {seed}")
    return Shape(
        partitions=r.choice((1, 1, 2, 3)),
        keys=r.randint(2, 5),
        groups=r.randint(1, 3),
        relays=r.randint(1, 3),
        poison=r.choice((0, 0, 0.05)),
        # A tombstone that the restored database doesn't know is no reversal, but the check would take it for one.
        unsendable=0 if producer_restores else r.choice((0, 0, 0.05)),
    )


def steps_of(seed: int, longest: int = 450, *, producer_restores: bool = False) -> list[Step]:
    """The history of a seed: 20 to `longest` steps."""
    r = random.Random(f"steps {seed}")
    weights: dict[str, float] = dict(WEIGHTS)
    if producer_restores:
        # Groups aren't restored then: nobody would know how far back the new numbering has to reach.
        weights |= {"backup_producer": 1, "restore_producer": 1, "restore_group": 0}
    for fault in list(weights)[list(weights).index("late") :]:
        weights[fault] *= r.choice((0, 0.5, 1, 3))
    names = r.choices(list(weights), list(weights.values()), k=r.randint(20, longest))
    return [Step(name, r.randrange(1 << 16), r.randrange(1 << 16), r.randrange(1 << 16)) for name in names]


class World:
    """Everything, and one method per kind of step."""

    relay_class: type[Relay] = Relay
    group_class: type[Group] = Group
    member_class: type[Member] = Member

    def __init__(self, seed: int, shape: Shape) -> None:
        r = random.Random(f"world {seed}")
        self.shape = shape
        self.slots: list[Slot] = [("t", n) for n in range(shape.partitions)]
        if shape.partitions == 3:
            self.slots[2] = ("u", 0)
        self.keys = [f"k{n}" for n in range(shape.keys)]
        self.broker = Broker(self.slots)
        self.producer = ProducerDatabase(self.slots, {key: r.choice(self.slots) for key in self.keys})
        self.copy = backup(self.producer)
        names = [f"g{n}" for n in range(shape.groups)]
        self.groups = [self.group_class(name, self.producer, set()) for name in names]
        self.processes = [
            self.relay_class(f"r{n}", self.producer, self.broker, frozenset(names), r.uniform(-1e6, 1e6))
            for n in range(shape.relays)
        ]
        self.members = [
            self.member_class(group, slot, self.broker, r.uniform(-1e6, 1e6))
            for group in self.groups
            for slot in self.slots
        ]
        self.zombies: list[Member] = []
        self.now = 0.0
        self.events = 0
        self.fates = random.Random(f"fates {seed}")

    def run(self, steps: list[Step]) -> None:
        """Run a history and let it come to rest; Broken when the rules did not hold."""
        for step in steps:
            doing: Callable[[Step], None] = getattr(self, step.name)
            doing(step)
        self.rest()
        self.check()

    # -- business ---------------------------------------------------------------------------------------------------

    def write(self, step: Step) -> None:
        """One to three events of one record, in a transaction that stays open for a while."""
        key = self.keys[step.a % len(self.keys)]
        for _ in range(1 + step.b % 3):
            self.events += 1
            if step.c % 1000 < self.shape.unsendable * 1000:
                self.producer.unsendable.add(self.events)
            for n, group in enumerate(self.groups):
                if (step.c // 7 + n * 331) % 1000 < self.shape.poison * 1000:
                    group.poison.add(self.events)
            self.producer.begin(key, self.events)
        if step.c % 3 == 0:
            self.producer.end(key, commit=True)

    def end(self, step: Step) -> None:
        if self.producer.open:
            keys = list(self.producer.open)
            self.producer.end(keys[step.a % len(keys)], commit=step.b % 10 >= 3)

    # -- relays -----------------------------------------------------------------------------------------------------

    def _leader(self, step: Step) -> Relay | None:
        leaders = [relay for relay in self.processes if relay.leads]
        return leaders[step.a % len(leaders)] if leaders else None

    def lock(self, step: Step) -> None:
        self.processes[step.a % len(self.processes)].try_lock(self.now)

    def number(self, step: Step) -> None:
        relay = self._leader(step)
        if relay is not None:
            _noticing(relay, lambda: relay.number(self.now, 1 + step.b % 5))

    def act(self, step: Step) -> None:
        relay = self._leader(step)
        if relay is not None:
            slot = self.slots[step.b % len(self.slots)]
            _noticing(relay, lambda: relay.act(slot, self.now, 1 + step.c % 4))

    def answer(self, step: Step) -> None:
        """The broker answers a request, or doesn't."""
        relay = self._leader(step)
        if relay is None or not relay.pending:
            return
        pending = relay.pending.pop(step.b % len(relay.pending))
        fate = step.c % 20
        if pending.look is not None:
            _noticing(relay, lambda: relay.look_failed(pending) if fate == 0 else relay.look(pending))
            return
        if any(r.event in self.producer.unsendable for r in pending.records):
            _noticing(relay, lambda: relay.refused(pending) and None)
        elif fate == 0:  # The request is lost.
            relay.not_acknowledged(pending)
        elif fate == 1:  # The answer is lost.
            self.broker.append(pending.slot, pending.records)
            relay.not_acknowledged(pending)
        elif fate == 2:  # The request arrives later.
            self.broker.late.append((pending.slot, pending.records))
            relay.not_acknowledged(pending)
        elif fate == 3:  # The process dies between the acknowledgement and the transaction.
            self.broker.append(pending.slot, pending.records)
            relay.forget()
        else:
            base = self.broker.append(pending.slot, pending.records)
            _noticing(relay, lambda: relay.acknowledged(pending, base))

    def hear(self, step: Step) -> None:
        relay = self._leader(step)
        if relay is not None and relay.mail:
            slot, report = relay.mail.pop(0 if step.b % 4 else step.c % len(relay.mail))
            _noticing(relay, lambda: relay.hear(slot, report))

    def relays(self, step: Step) -> None:
        """The leader does everything that there is to do, once."""
        self.processes[step.a % len(self.processes)].try_lock(self.now)
        relay = self._leader(step)
        if relay is not None:
            _noticing(relay, lambda: self._relay_works(relay, turns=1 + step.b % 2, limit=1 + step.c % 6))

    def relay_crash(self, step: Step) -> None:
        self.processes[step.a % len(self.processes)].forget()

    def lock_lost(self, step: Step) -> None:
        """The server ends the session; the relay does not know yet."""
        self.producer.holder = None

    # -- consumers --------------------------------------------------------------------------------------------------

    def _member(self, step: Step) -> Member:
        everybody = self.members + self.zombies
        return everybody[step.a % len(everybody)]

    def fetch(self, step: Step) -> None:
        self._member(step).fetch(1 + step.b % 8)

    def apply(self, step: Step) -> None:
        self._member(step).apply(1 + step.b % 6)

    def commit(self, step: Step) -> None:
        self._member(step).commit()

    def report(self, step: Step) -> None:
        made = (member := self._member(step)).report(self.now)
        if made is not None and step.b % 10:  # One in ten is lost.
            for relay in self.processes:
                relay.told(member.slot, made, self.now)

    def group(self, step: Step) -> None:
        """All of a group's processes read, settle, commit and report, as a rule."""
        for n, member in enumerate(self.members):
            if member.group is self.groups[step.a % len(self.groups)]:
                member.fetch(1 + step.b % 20)
                member.apply(1 + step.c % 20)
                if step.c % 3:
                    member.commit()
                self.report(Step("report", n, step.b, 0))

    def member_crash(self, step: Step) -> None:
        n = step.a % len(self.members)
        old = self.members[n]
        self.members[n] = self.member_class(old.group, old.slot, self.broker, old.skew + step.b)

    def rebalance(self, step: Step) -> None:
        """Another process takes the partition over; the old one goes on for a while."""
        self.zombies.append(self.members[step.a % len(self.members)])
        self.member_crash(step)
        del self.zombies[:-2]

    def retry(self, step: Step) -> None:
        group = self.groups[step.a % len(self.groups)]
        keys = list(group.tables.waiting)
        if keys:
            group.retry(keys[step.b % len(keys)])

    # -- the rest of the world --------------------------------------------------------------------------------------

    def tick(self, step: Step) -> None:
        self.now += step.a % 3000 / 1000

    def late(self, step: Step) -> None:
        if self.broker.late:
            self.broker.append(*self.broker.late.pop(step.a % len(self.broker.late)))

    def wipe_slot(self, step: Step) -> None:
        self.broker.wipe([self.slots[step.a % len(self.slots)]], offsets_too=step.b % 2 == 0)

    def wipe_topic(self, step: Step) -> None:
        topic = self.slots[step.a % len(self.slots)][0]
        self.broker.wipe([slot for slot in self.slots if slot[0] == topic], offsets_too=step.b % 2 == 0)

    def wipe_all(self, step: Step) -> None:
        self.broker.wipe(self.slots, offsets_too=step.b % 2 == 0)
        for relay in self.processes:
            relay.mail.clear()

    def remember(self, step: Step) -> None:
        self.broker.remember(self.slots[step.a % len(self.slots)])

    def restore_log(self, step: Step) -> None:
        self.broker.restore(self.slots[step.a % len(self.slots)])

    def expire(self, step: Step) -> None:
        self.broker.expire(self.slots[step.a % len(self.slots)], 1 + step.b % 10)

    def backup(self, step: Step) -> None:
        self.groups[step.a % len(self.groups)].backup()

    def restore_group(self, step: Step) -> None:
        self.groups[step.a % len(self.groups)].restore()

    def backup_producer(self, step: Step) -> None:
        self.copy = backup(self.producer)

    def restore_producer(self, step: Step) -> None:
        """The database is as it was at the backup: what was recorded since never happened there."""
        restore(self.producer, self.copy)
        for relay in self.processes:
            # Who leads will notice; who stands by has to connect again.
            if not relay.leads:
                relay.forget()

    # -- coming to rest ---------------------------------------------------------------------------------------------

    def rest(self, rounds: int = 80) -> None:
        """No more faults: everything that is under way arrives, everybody works, until nothing is left to do."""
        for key in list(self.producer.open):
            self.producer.end(key, commit=True)
        while self.broker.late:
            self.late(Step("late", 0, 0, 0))
        self.zombies.clear()
        for relay in self.processes:
            relay.put_backs.clear()
        for _ in range(rounds):
            self.now += 1.0
            self._work()
            if self._done():
                self._check_put_backs()
                return
        raise Broken(f"not at rest after {rounds} s: " + "; ".join(self._open_ends()))

    def _work(self) -> None:
        for member in self.members:
            member.fetch(1000)
            member.apply(1000)
            member.commit()
            self.report(Step("report", self.members.index(member), 1, 0))
        for relay in self.processes:
            relay.try_lock(self.now)
            if relay.leads:
                _noticing(relay, lambda relay=relay: self._relay_works(relay))  # type: ignore[misc]
        for group in self.groups:
            for key in list(group.tables.waiting):
                group.retry(key)

    def _relay_works(self, relay: Relay, *, turns: int = 100, limit: int = 50) -> None:
        relay.number(self.now, 1000)
        while relay.mail:
            relay.hear(*relay.mail.pop(0))
        busy = True
        while busy and turns:
            turns -= 1
            while relay.pending:
                pending = relay.pending.pop(0)
                if pending.look is not None:
                    relay.look(pending)
                elif not relay.refused(pending):
                    relay.acknowledged(pending, self.broker.append(pending.slot, pending.records))
            did = [relay.act(slot, self.now, limit) for slot in self.slots]
            busy = any(did)

    def _check_put_backs(self) -> None:
        """A log without faults is put right by few put-backs: each group may ask once, and once for what was under way."""
        most = 2 * len(self.groups) + 2
        for relay in self.processes:
            for slot, times in relay.put_backs.items():
                if times > most:
                    raise Broken(f"{slot} was sent again {times} times while nothing failed")

    def _open_ends(self) -> list[str]:
        tables = self.producer.tables
        found = [f"{len(tables.unnumbered)} events have no number"] if tables.unnumbered else []
        for slot, stream in tables.streams.items():
            if stream.next <= stream.head:
                found.append(f"{slot}: {stream.next}-{stream.head} wait")
            for group in self.groups:
                mark = group.watermark(slot)
                if stream.head and (mark.stream, mark.number) != (stream.id, stream.head):
                    found.append(f"{group.name} {slot}: at {mark.number} of {stream.head}")
        found += [f"{group.name}: dead letters" for group in self.groups if group.tables.waiting]
        return found

    def _done(self) -> bool:
        return not self._open_ends()

    def check(self) -> None:
        """Every journalled event applied once in every group, per key in outbox order."""
        tables = self.producer.tables
        for group in self.groups:
            for key in self.keys:
                wanted = [e for e in tables.order.get(key, []) if e not in tables.tombstones]
                got = group.recorded(key)
                if got != wanted:
                    raise Broken(f"group {group.name}, key {key}: applied {got}, recorded {wanted}")


def _noticing(relay: Relay, doing: Callable[[], object]) -> None:
    """A relay that meets its lost lock gives up everything that it knows."""
    try:
        doing()
    except LockLost:
        relay.forget()
