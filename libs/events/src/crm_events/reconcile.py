"""The proof of "nothing lost": every journal id is in the inbox of each consumer that wants its type, or is listed with the reason;
and what replicas and the log keep is what the journals tell."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_database import Database
from crm_events.reaction import ConsumerGroup
from crm_events.reconcile_holdings import HoldingFault, Newest, Settled, behind, beyond, journal_gaps

#: The reason of a fact that others have applied and its producer's journal lacks.
UNKNOWN_HERE = "not in the journal"
#: Ids compared at a time: memory stays flat however long the journal is.
CHUNK = 5_000

# Raw SQL: ranges of ids against arrays of ids, over partitioned tables.
_JOURNAL = """
SELECT j.event_id, j.topic, j.type, j.subject, j.version FROM journal j
WHERE j.event_id > $1 AND j.topic = ANY($2) ORDER BY j.event_id LIMIT $3
"""
_UNSENT = "SELECT event_id FROM outbox WHERE event_id = ANY($1)"
_NUMBERED = """
SELECT p.event_id, p.number, p.tombstone, s.next, s.head, s.topic, s.partition, s.id::text AS stream
FROM publication p JOIN stream s ON s.id = p.stream_id AND s.current WHERE p.event_id = ANY($1)
"""
_INBOX = "SELECT event_id FROM inbox WHERE group_name = $1 AND event_id = ANY($2)"
_LETTERS = "SELECT event_id, state FROM dead_letter WHERE group_name = $1 AND event_id = ANY($2)"
_PARKED = "SELECT event_id FROM parked WHERE group_name = $1 AND event_id = ANY($2)"
_MARKS = "SELECT topic, partition, stream, number FROM watermark WHERE group_name = $1"
_APPLIED = """
SELECT event_id, topic FROM inbox WHERE group_name = $1 AND topic = ANY($2) AND event_id > $3 ORDER BY event_id LIMIT $4
"""
_IN_JOURNAL = "SELECT event_id FROM journal WHERE event_id = ANY($1)"


@dataclass(frozen=True)
class Finding:
    """An event that a group has not simply applied, and why.

    reason: `outbox` (not acknowledged yet), `under way` (sent, and the group has not come to it), `tombstone` (could never be
    sent), `dead letter`, `parked`, `discarded`; or, which are faults, `missing`: none of these, `log lacks`: applied, but the
    group's log has it not, and `not in the journal`: applied, but the producer knows nothing of it (type: empty): its database was set
    back, and it was started without taking back what it had told.
    """

    producer: str
    group: str
    event_id: uuid.UUID
    topic: str
    type: str
    reason: str

    @property
    def is_fault(self) -> bool:
        return self.reason in ("missing", "log lacks", UNKNOWN_HERE)


@dataclass
class Reconciliation:
    """applied: per group, how many events are in its inbox and applied. findings: all others. holdings: where replicas are not what
    their owners tell, and journals not whole: each is a fault."""

    events: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    holdings: list[HoldingFault] = field(default_factory=list)

    @property
    def faults(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_fault]

    @property
    def is_faulty(self) -> bool:
        """Whether something is lost."""
        return bool(self.faults or self.holdings)


async def reconcile(
    databases: Mapping[str, Database], groups: Mapping[str, Sequence[ConsumerGroup]], *, since: uuid.UUID | None = None
) -> Reconciliation:
    """Compare the journal of every service with the inboxes of all groups.

    databases: service → its database. groups: service → the groups of its worker. since: only events after this id.
    """
    result = Reconciliation()
    for producer, database in databases.items():
        wanting = [(service, group) for service, mine in groups.items() for group in mine if service in databases]
        topics = sorted({topic for _, group in wanting for topic in group.topics})
        last = since or uuid.UUID(int=0)
        late: dict[tuple[str, str, uuid.UUID], HoldingFault] = {}
        while True:
            async with database.read() as session:
                rows = await session.connection.fetch(_JOURNAL, last, topics, CHUNK)
            if not rows:
                break
            last = rows[-1]["event_id"]
            result.events += len(rows)
            events = {row["event_id"]: (row["topic"], row["type"]) for row in rows}
            for service, group in wanting:
                await _compare(result, producer, database, databases[service], group, events)
                for topic, newest in _newest(rows).items():
                    found = await behind(
                        producer,
                        databases[service],
                        group,
                        topic,
                        newest,
                        _settled(database, databases[service], group),
                    )
                    late |= {(group.name, topic, subject): fault for subject, fault in found.items()}
        result.holdings += late.values()
        for service, group in wanting:
            for topic in sorted(
                set(group.topics) & {topic for topic in topics if topic.startswith(f"crm.{producer}.")}
            ):
                result.holdings += await beyond(producer, database, databases[service], group, topic)
        for service, group in wanting:
            await _beyond_journal(result, producer, database, databases[service], group, since)
        result.holdings += await journal_gaps(producer, database)
    return result


async def _beyond_journal(
    result: Reconciliation,
    producer: str,
    database: Database,
    follower: Database,
    group: ConsumerGroup,
    since: uuid.UUID | None,
) -> None:
    """What the group has applied that the producer's journal doesn't know. The inbox is read first: what is in it was recorded before."""
    topics = [topic for topic in group.topics if topic.startswith(f"crm.{producer}.")]
    last = since or uuid.UUID(int=0)
    while topics:
        async with follower.read() as session:
            rows = await session.connection.fetch(_APPLIED, group.name, topics, last, CHUNK)
        if not rows:
            return
        last = rows[-1]["event_id"]
        async with database.read() as session:
            known = _ids(await session.connection.fetch(_IN_JOURNAL, [row["event_id"] for row in rows]))
        result.findings += [
            Finding(producer, group.name, row["event_id"], row["topic"], "", UNKNOWN_HERE)
            for row in rows
            if row["event_id"] not in known
        ]


def _newest(rows: Iterable[Any]) -> dict[str, dict[uuid.UUID, Newest]]:
    """Topic → record → the newest of these events."""
    found: dict[str, dict[uuid.UUID, Newest]] = {}
    for row in rows:
        records = found.setdefault(row["topic"], {})
        subject = uuid.UUID(int=row["subject"].int)
        if subject not in records or row["version"] > records[subject].version:
            records[subject] = Newest(row["version"], uuid.UUID(int=row["event_id"].int))
    return found


def _settled(database: Database, follower: Database, group: ConsumerGroup) -> Settled:
    async def settled(events: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        reasons, _ = await _reasons(database, follower, group, events)
        return {event for event in events if reasons.get(event) in (None, "missing")}

    return settled


async def _compare(
    result: Reconciliation,
    producer: str,
    database: Database,
    follower: Database,
    group: ConsumerGroup,
    events: Mapping[uuid.UUID, tuple[str, str]],
) -> None:
    wanted = [event for event, (topic, kind) in events.items() if group.reaction(topic, kind) is not None]
    if not wanted:
        return
    reasons, log = await _reasons(database, follower, group, wanted)
    if log is not None:
        reasons |= {event: "log lacks" for event in wanted if event not in log and event not in reasons}
    result.applied[group.name] = result.applied.get(group.name, 0) + len(wanted) - len(reasons)
    for event, reason in reasons.items():
        result.findings.append(Finding(producer, group.name, event, *events[event], reason))


async def _reasons(
    database: Database, follower: Database, group: ConsumerGroup, wanted: Sequence[uuid.UUID]
) -> tuple[dict[uuid.UUID, str], set[uuid.UUID] | None]:
    """Why the group has not simply applied some of these events; and which of them its log has, when it keeps one."""
    logs = [r.held.log for r in group.reactions if r.held is not None and r.held.log is not None]
    async with follower.snapshot() as session:
        connection = session.connection
        inbox = _ids(await connection.fetch(_INBOX, group.name, wanted))
        dead = {row[0]: row[1] for row in await connection.fetch(_LETTERS, group.name, wanted)}
        parked = _ids(await connection.fetch(_PARKED, group.name, wanted))
        marks = {(row[0], row[1]): (row[2], row[3]) for row in await connection.fetch(_MARKS, group.name)}
        log = None
        for table in logs:
            log = _ids(await connection.fetch(f'SELECT id FROM "{table.name}" WHERE id = ANY($1)', wanted))  # noqa: S608
    reasons: dict[uuid.UUID, str] = {}
    for event in wanted:
        if event in parked:
            reasons[event] = "parked"
        elif dead.get(event) in ("waiting", "retry", "discard"):
            reasons[event] = "dead letter"
        elif dead.get(event) == "discarded":
            reasons[event] = "discarded"
    reasons |= await _why_not_arrived(database, [event for event in wanted if event not in inbox], marks)
    return reasons, log


async def _why_not_arrived(
    database: Database, absent: Sequence[uuid.UUID], marks: Mapping[tuple[str, int], tuple[str, int]]
) -> dict[uuid.UUID, str]:
    if not absent:
        return {}
    async with database.snapshot() as session:
        unsent = _ids(await session.connection.fetch(_UNSENT, absent))
        numbered = {row["event_id"]: row for row in await session.connection.fetch(_NUMBERED, absent)}
    reasons = {}
    for event in absent:
        row = numbered.get(event)
        if event in unsent or (row is not None and row["number"] >= row["next"]):
            reasons[event] = "outbox"
        elif row is not None and row["tombstone"]:
            reasons[event] = "tombstone"
        elif row is not None and row["number"] > _mark(marks, row["topic"], row["partition"], row["stream"]):
            reasons[event] = "under way"
        else:
            reasons[event] = "missing"
    return reasons


def _mark(marks: Mapping[tuple[str, int], tuple[str, int]], topic: str, partition: int, stream: str) -> int:
    """The watermark in this numbering; 0 when the group is still in an earlier one."""
    at = marks.get((topic, partition), ("", 0))
    return at[1] if at[0] == stream else 0


def _ids(rows: Iterable[Sequence[uuid.UUID]]) -> set[uuid.UUID]:
    return {row[0] for row in rows}
