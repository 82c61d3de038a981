"""Taking back what a restored service had told: while it is held, before it says anything new.

Each fact that the log of all events has and the service's journal lacks goes into the journal again, under its own id and version, and
into the outbox: whoever had not heard it yet hears it, everybody else knows the id. Then the record's restored state is told as the
next version. Done in pieces of whole records, each a transaction: interrupted, it goes on where it stood when it is asked again.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from crm_contracts import Registry
from crm_database import Database, WriteContext, WriteSession
from crm_events.reaction import ConsumerGroup
from crm_events.reconcile_holdings import HoldingFault, beyond
from crm_events.restored import rules, store
from crm_events.restored.rules import Told
from crm_events.restored.store import Row

#: Records of which the facts are taken back in one transaction.
RECORDS_AT_ONCE = 200

Record = tuple[str, uuid.UUID]


class StillAtWork(Exception):
    """Programs of the service are connected to its database; says which. What they record would take versions that are known elsewhere."""


@dataclass
class TakenBack:
    """What was done. numberings: how many begin anew. facts: taken back into the journal. Records: set_back: their restored state was told
    anew; withdrawn: unknown to the restored service, and told as deleted; standing: there is no fact to tell it with, so what was told
    stands; unknown: replicas have them, and neither the service nor the log does.
    """

    numberings: int = 0
    facts: int = 0
    set_back: list[Record] = field(default_factory=list)
    withdrawn: list[Record] = field(default_factory=list)
    standing: list[Record] = field(default_factory=list)
    unknown: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class Log:
    """The log of all events: a table with what `crm_analytics` keeps of each, and its database."""

    database: Database
    table: sa.Table


def log_among(
    databases: Mapping[str, Database], groups: Mapping[str, Sequence[ConsumerGroup]]
) -> tuple[str, Log] | None:
    """Which group keeps a log of all events, and the log. None: none does here."""
    for service, mine in groups.items():
        for group in mine:
            for reaction in group.reactions:
                if service in databases and reaction.held is not None and reaction.held.log is not None:
                    return group.name, Log(databases[service], reaction.held.log)
    return None


async def take_back(
    service: str,
    databases: Mapping[str, Database],
    groups: Mapping[str, Sequence[ConsumerGroup]],
    known: Registry,
    now: dt.datetime,
) -> TakenBack:
    """Bring a restored service and what others know of it into one state.

    databases: service → its database, opened under a name that begins with `operator-`. groups: service → the groups of its worker.
    Raises StillAtWork; ArchiveUnreachable and ArchiveDamaged when what a record was lies in the archive (`archive.keep_in`).
    """
    database = databases[service]
    result = TakenBack()
    async with database.read() as session:
        if others := await store.others_at_work(session):
            raise StillAtWork(", ".join(others))
    async with database.write(WriteContext(now=now)) as session:
        result.numberings = await store.set_apart(session)
    found = log_among(databases, groups)
    topics = [topic.name for topic in known.produced_by(service)]
    lost = {} if found is None else await _lost(database, found[1], topics)
    # Looked at before anything is told: a replica may know more than the log, and no version of its may be given again.
    heard = await _ahead(service, databases, groups, topics)
    owned = {record for record, one in heard.items() if one.owned}
    result.unknown = sorted(heard.keys() - owned - lost.keys())
    for topic in topics:
        for some in _pieces(sorted(subject for at, subject in lost.keys() | owned if at == topic)):
            events = [event for subject in some for event in lost.get((topic, subject), ())]
            rows: list[Row] = []
            if found is not None and events:
                async with found[1].database.read() as reading:
                    rows = await store.whole(reading, found[1].table, events)
            highest = {subject: heard[topic, subject].held for subject in some if (topic, subject) in heard}
            async with database.write(WriteContext(now=now)) as session:
                await _take(session, known, topic, some, rows, highest, result)
    return result


async def _ahead(
    service: str,
    databases: Mapping[str, Database],
    groups: Mapping[str, Sequence[ConsumerGroup]],
    topics: Sequence[str],
) -> dict[Record, HoldingFault]:
    """Records of which a replica knows more than the journal; of several, the one that knows most."""
    found: dict[Record, HoldingFault] = {}
    for follower, mine in groups.items():
        for group in mine if follower in databases else ():
            for topic in topics:
                for fault in await beyond(service, databases[service], databases[follower], group, topic):
                    other = found.get((topic, fault.subject))
                    if other is None or other.held < fault.held:
                        found[topic, fault.subject] = fault
    return found


async def _lost(database: Database, log: Log, topics: Sequence[str]) -> dict[Record, list[uuid.UUID]]:
    """Record → its events that the log has and the journal lacks."""
    lost: dict[Record, list[uuid.UUID]] = {}
    last = uuid.UUID(int=0)
    while True:
        async with log.database.read() as session:
            rows = await store.logged(session, log.table, topics, last)
        if not rows:
            return lost
        last = rows[-1][0]
        async with database.read() as session:
            there = await store.in_journal(session, [row[0] for row in rows])
        for event, topic, subject, _ in rows:
            if event not in there:
                lost.setdefault((topic, subject), []).append(event)


def _pieces(records: Sequence[uuid.UUID]) -> list[tuple[uuid.UUID, ...]]:
    return [tuple(records[at : at + RECORDS_AT_ONCE]) for at in range(0, len(records), RECORDS_AT_ONCE)]


async def _take(
    session: WriteSession,
    known: Registry,
    topic: str,
    subjects: Sequence[uuid.UUID],
    lost: Sequence[Row],
    heard: Mapping[uuid.UUID, int],
    result: TakenBack,
) -> None:
    """Take back the lost facts of some records, and tell what the records are now. heard: the versions that replicas have."""
    table, models, now = store.table_of(topic), rules.plain_facts(known, topic), session.context.now
    lost_of: dict[uuid.UUID, list[Row]] = {subject: [] for subject in subjects}
    for row in lost:
        lost_of[row.subject].append(row)
    versions = await store.versions(session, table, subjects)
    own = await store.own(session, topic, subjects)
    told: list[Row] = []
    raised: dict[uuid.UUID, int] = {}
    for subject, rows in lost_of.items():
        newest = own.get(subject)
        known_up_to = [versions.get(subject, 0), heard.get(subject, 0), *(row.version for row in rows)]
        top = max(known_up_to) if newest is None else max(*known_up_to, newest.version)
        last = _told(known, rows[-1].type, rows[-1].payload) if rows else None
        event = None
        if newest is not None:
            event = rules.set_back(models, _told(known, newest.type, newest.data), last, top + 1, now)
            (result.standing if event is None else result.set_back).append((topic, subject))
        elif last is not None:
            event = rules.withdrawn(models, last, top + 1, now)
            (result.withdrawn if event is not None or last.is_deleted else result.standing).append((topic, subject))
        told += rows
        if event is not None:
            told.append(Row.of(event, subject, session))
        raised[subject] = top if event is None else top + 1
    await store.append(session, topic, told)
    await store.raise_versions(session, table, raised)
    result.facts += len(lost)


def _told(known: Registry, type_name: str, data: dict[str, object]) -> Told:
    newest, raised = known.upcast_data(type_name, dict(data))
    return Told(newest, raised)
