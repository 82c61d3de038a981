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
from crm_events.reconcile_holdings import beyond
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
    Raises StillAtWork.
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
    if found is not None:
        lost = await _lost(database, found[1], topics)
        for topic in topics:
            records = sorted(subject for at, subject in lost if at == topic)
            for some in _pieces(records):
                events = [event for subject in some for event in lost[topic, subject]]
                async with found[1].database.read() as reading:
                    rows = await store.whole(reading, found[1].table, events)
                async with database.write(WriteContext(now=now)) as session:
                    await _take(session, known, topic, rows, result)
    await _overtake_replicas(service, databases, groups, known, now, result)
    return result


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


async def _take(session: WriteSession, known: Registry, topic: str, lost: Sequence[Row], result: TakenBack) -> None:
    """Take back the lost facts of some records, and tell what the records are now."""
    table, models, now = store.table_of(topic), rules.plain_facts(known, topic), session.context.now
    by_record: dict[uuid.UUID, list[Row]] = {}
    for row in lost:
        by_record.setdefault(row.subject, []).append(row)
    versions = await store.versions(session, table, list(by_record))
    own = await store.own(session, topic, list(by_record))
    told: list[Row] = []
    raised: dict[uuid.UUID, int] = {}
    for subject, rows in by_record.items():
        newest = own.get(subject)
        top = max(rows[-1].version, versions.get(subject, 0), 0 if newest is None else newest["version"])
        last = _told(known, rows[-1].type, rows[-1].payload)
        if newest is None:
            event = rules.withdrawn(models, last, top + 1, now)
            (result.standing if event is None and not last.is_deleted else result.withdrawn).append((topic, subject))
        else:
            event = rules.set_back(models, _told(known, newest["type"], newest["data"]), last, top + 1, now)
            (result.standing if event is None else result.set_back).append((topic, subject))
        told += rows
        if event is not None:
            told.append(Row.of(event, subject, session))
        raised[subject] = top if event is None else top + 1
    await store.append(session, topic, told)
    await store.raise_versions(session, table, raised)
    result.facts += len(lost)


async def _overtake_replicas(
    service: str,
    databases: Mapping[str, Database],
    groups: Mapping[str, Sequence[ConsumerGroup]],
    known: Registry,
    now: dt.datetime,
    result: TakenBack,
) -> None:
    """Where a replica knows more than the log did, the restored state is told above that: the facts between are lost for good."""
    database = databases[service]
    for topic in known.produced_by(service):
        ahead: dict[uuid.UUID, int] = {}
        for follower, mine in groups.items():
            for group in mine if follower in databases else ():
                for fault in await beyond(service, database, databases[follower], group, topic.name):
                    if fault.owned == 0:
                        if (topic.name, fault.subject) not in result.unknown:
                            result.unknown.append((topic.name, fault.subject))
                    else:
                        ahead[fault.subject] = max(fault.held, ahead.get(fault.subject, 0))
        for some in _pieces(sorted(ahead)):
            async with database.write(WriteContext(now=now)) as session:
                await _overtake(session, known, topic.name, {subject: ahead[subject] for subject in some}, result)


async def _overtake(
    session: WriteSession, known: Registry, topic: str, ahead: Mapping[uuid.UUID, int], result: TakenBack
) -> None:
    table, models = store.table_of(topic), rules.plain_facts(known, topic)
    await store.versions(session, table, list(ahead))
    told, raised = [], {}
    for subject, newest in (await store.own(session, topic, list(ahead))).items():
        version = ahead[subject] + 1
        event = rules.set_back(models, _told(known, newest["type"], newest["data"]), None, version, session.context.now)
        (result.standing if event is None else result.set_back).append((topic, subject))
        if event is not None:
            told.append(Row.of(event, subject, session))
        raised[subject] = version if event is not None else version - 1
    await store.append(session, topic, told)
    await store.raise_versions(session, table, raised)


def _told(known: Registry, type_name: str, data: dict[str, object]) -> Told:
    newest, raised = known.upcast_data(type_name, dict(data))
    return Told(newest, raised)
