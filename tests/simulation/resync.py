"""A group asks to be told again while everything fails: the decisions of `crm_events.resync.rules`, in random histories.

The owner's journal grows meanwhile, some of its ids out of order; live events reach the group at any time, before or after they are told
again. Pages are lost, come twice, late and in a wrong order; two answerers work at once; both sides die between any two steps;
the broker forgets everything. At rest every record is at its newest version, and the facts told are each record's, once, in order.
"""

import random
from dataclasses import dataclass, field

from crm_events.resync import rules

from .producer import Broken

PATIENCE = 10.0


@dataclass(frozen=True)
class Fact:
    """An event. id: draws the walk's order."""

    id: int
    subject: str
    version: int


@dataclass(frozen=True)
class Sent:
    """A page on its way."""

    page: rules.Page
    facts: tuple[Fact, ...]


class Replica:
    """The group's tables: a replica by version, and the list of all facts that it was told again."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.told: list[Fact] = []
        self.asked = rules.Asked(0)
        self.complete = False

    def keep(self, fact: Fact) -> None:
        """The upsert: an older version is ignored."""
        if fact.version > self.held.get(fact.subject, 0):
            self.held[fact.subject] = fact.version

    def take(self, sent: Sent) -> None:
        """One transaction: judge, apply, keep the cursor."""
        if self.complete:
            return
        verdict = rules.judge(self.asked, sent.page)
        if verdict is rules.Verdict.TAKE:
            for fact in sent.facts:
                self.keep(fact)
                self.told.append(fact)
            self.asked = rules.taken(self.asked, sent.page)
        elif verdict is rules.Verdict.FINISH:
            self.complete = True


@dataclass
class Answerer:
    """A process that answers; what it read from the place's table may be stale."""

    standing: rules.Answering | None = None
    sent: Sent | None = None


@dataclass
class History:
    """The world of one seed."""

    seed: int
    kind: str
    replica_class: type[Replica] = Replica
    journal: list[Fact] = field(default_factory=list)
    live: list[Fact] = field(default_factory=list)
    place: rules.Answering | None = None
    requests: list[rules.Asked] = field(default_factory=list)
    answers: list[Sent] = field(default_factory=list)
    now: float = 0.0
    heard: float | None = None

    def __post_init__(self) -> None:
        self.r = random.Random(f"resync {self.seed} {self.kind}")
        self.replica = self.replica_class()
        self.answerers = [Answerer(), Answerer()]
        for _ in range(self.r.randint(5, 40)):
            self.write()
        # All of it was applied once, and lost.
        self.live.clear()
        self.lost = list(self.journal)

    # -- the owner ------------------------------------------------------------------------------------------------------

    def write(self) -> None:
        subject = f"k{self.r.randrange(6)}"
        version = sum(fact.subject == subject for fact in self.journal) + 1
        # Clocks differ: an id may be a little earlier than one before it.
        fact = Fact(len(self.journal) * 10 + self.r.choice((0, 0, 0, -35)) + self.r.randrange(10), subject, version)
        if any(fact.id == other.id for other in self.journal):
            fact = Fact(len(self.journal) * 1000, subject, version)
        self.journal.append(fact)
        self.live.append(fact)

    def walk(self, cursor: str | None, limit: int) -> list[tuple[str, Fact]]:
        """What crm_events.resync.walk finds behind a cursor, said independently."""
        behind = (-1_000_000, -1) if cursor is None else tuple(int(part) for part in cursor.split(":"))
        places = []
        for fact in self.journal:
            same = [other for other in self.journal if other.subject == fact.subject]
            if self.kind == "state":
                if fact.version == max(other.version for other in same):
                    places.append(((fact.id, fact.version), fact))
            else:
                places.append(((max(o.id for o in same if o.version <= fact.version), fact.version), fact))
        places.sort(key=lambda place: place[0])
        return [(f"{at[0]}:{at[1]}", fact) for at, fact in places if at > behind][:limit]

    def answer(self, answerer: Answerer) -> None:
        """One step of an answerer: read the place, or send a page, or keep the place behind it."""
        if answerer.sent is not None and answerer.standing is not None:
            before, after = answerer.standing, rules.said(answerer.standing, answerer.sent.page)
            at = self.place
            if at is not None and (at.attempt, at.cursor, at.sent, at.complete) == (
                before.attempt,
                before.cursor,
                before.sent,
                False,
            ):
                self.place = rules.Answering(after.attempt, after.cursor, after.sent, at.taken, after.complete)
            answerer.standing = answerer.sent = None
        elif answerer.standing is not None:
            standing = answerer.standing
            found = self.walk(standing.cursor, self.r.randint(1, 5))
            page = (
                rules.Page(standing.attempt, standing.cursor, found[-1][0], standing.sent, count=len(found))
                if found
                else rules.Page(standing.attempt, standing.cursor, standing.cursor, standing.sent, total=standing.sent)
            )
            answerer.sent = Sent(page, tuple(fact for _, fact in found))
            self.answers.append(answerer.sent)
        elif self.place is not None and rules.may_send(self.place):
            answerer.standing = self.place

    # -- steps ----------------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        if not self.replica.complete and rules.is_silent(self.heard, self.now, PATIENCE):
            self.replica.asked = rules.asked_anew(self.replica.asked)
            self.requests.append(self.replica.asked)
            self.heard = self.now

    def hear(self) -> None:
        if self.requests:
            self.place = rules.heard(self.place, self.requests.pop(0 if self.r.random() < 0.8 else -1))

    def read(self) -> None:
        if self.answers:
            before = self.replica.asked
            self.replica.take(self.answers.pop(0 if self.r.random() < 0.8 else self.r.randrange(len(self.answers))))
            if self.replica.asked != before:
                self.requests.append(self.replica.asked)
                self.heard = self.now

    def step(self) -> None:
        """Something happens."""
        chance = self.r.random()
        if chance < 0.08:
            self.write()
        elif chance < 0.16 and self.live:
            self.replica.keep(self.live.pop(0))
        elif chance < 0.30:
            self.ask()
        elif chance < 0.45:
            self.hear()
        elif chance < 0.70:
            self.answer(self.r.choice(self.answerers))
        elif chance < 0.90:
            self.read()
        elif chance < 0.94:
            self.now += self.r.uniform(0, 6)
        elif chance < 0.96 and self.answers:
            self.answers.insert(self.r.randrange(len(self.answers) + 1), self.r.choice(self.answers))
        elif chance < 0.97:
            self.answerers[self.r.randrange(2)] = Answerer()
        elif chance < 0.98:
            self.answers.clear()
            self.requests.clear()
        elif chance < 0.99 and self.answers:
            self.answers.pop(self.r.randrange(len(self.answers)))

    def run(self) -> None:
        """A history, then rest; Broken when something is wrong."""
        for _ in range(self.r.randint(20, 400)):
            self.step()
        for _ in range(2_000):
            if self.replica.complete:
                break
            self.now += 1.0
            self.ask()
            self.hear()
            self.answer(self.answerers[0])
            self.answer(self.answerers[1])
            while self.answers:
                self.read()
        else:
            raise Broken(f"seed {self.seed}: not complete after 2,000 s")
        while self.live:
            self.replica.keep(self.live.pop(0))
        self.check()

    def check(self) -> None:
        newest = {fact.subject: fact.version for fact in self.journal}
        if self.replica.held != newest:
            raise Broken(f"seed {self.seed}: holds {self.replica.held}, the owner {newest}")
        versions: dict[str, list[int]] = {}
        for fact in self.replica.told:
            versions.setdefault(fact.subject, []).append(fact.version)
        lost = {fact.subject: fact.version for fact in self.lost}
        for subject, told in versions.items():
            # What was recorded while it was asked for may be told or not: it comes live in any case.
            if told != sorted(set(told)):
                raise Broken(f"seed {self.seed}, {subject}: told {told}")
            old = list(range(1, lost.get(subject, 0) + 1))
            if self.kind == "journal" and told[: len(old)] != old:
                raise Broken(f"seed {self.seed}, {subject}: told {told}, lost were {old}")
        for subject, version in lost.items():
            if subject not in versions and (self.kind == "journal" or newest[subject] == version):
                raise Broken(f"seed {self.seed}, {subject}: told nothing, {version} was lost")


def histories(seeds: range, replica_class: type[Replica] = Replica) -> None:
    """The first seeds of both kinds; Broken at the first that fails."""
    for seed in seeds:
        for kind in ("state", "journal"):
            History(seed, kind, replica_class).run()
