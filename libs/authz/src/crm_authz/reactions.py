"""Identity's events into the replica. Identity calls the same functions in its own transactions, so its replica is never behind.

Each upsert ignores older versions by itself, so events may come twice, and those of different records in any order. A transaction
that changes the replica holds the row of directory_version until it commits: changes become visible in the order of the versions,
and a reader that knows version n misses nothing below. Call these last in a transaction that locks other rows too.
"""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from crm_authz import tables
from crm_authz.tables import directory_session_end, directory_version
from crm_authz.tokens import LONGEST_LIFE
from crm_contracts import Envelope, Event, identity, registry
from crm_contracts.events import Part
from crm_database import Query, WriteSession, query

#: How long an ended session is remembered after it was heard of: twice the longest token, so clocks may differ by minutes.
REMEMBER_ENDED: Final = dt.timedelta(seconds=2 * LONGEST_LIFE)

#: Under this id a session notes that it holds the row of directory_version.
_THE_ROW: Final = uuid.UUID(int=0)

_RAISE = query(
    sa.update(directory_version).values(version=directory_version.c.version + 1).returning(directory_version.c.version)
)
# The latest heartbeat counts, and none from the future: a wrong clock must not make a deaf service believe that it hears. Nor one that was
# wrong: what was heard by a clock that was an hour ahead would count for an hour after it was put right.
_HEARD = query(
    sa.update(directory_version).values(
        heard_at=sa.func.greatest(
            sa.case(
                (
                    directory_version.c.heard_at <= sa.bindparam("now", type_=sa.TIMESTAMP(timezone=True)),
                    directory_version.c.heard_at,
                )
            ),
            sa.bindparam("sent_at", type_=sa.TIMESTAMP(timezone=True)),
        )
    )
)
_FORGET = query(sa.delete(directory_session_end).where(directory_session_end.c.forget_at <= sa.bindparam("now")))


def _upsert(table: sa.Table) -> Query:
    statement = insert(table)
    return query(
        statement.on_conflict_do_update(
            index_elements=[table.c.id],
            set_={column.name: statement.excluded[column.name] for column in table.c if column.name != "id"},
            where=table.c.version < statement.excluded.version,
        )
    )


_TABLES: Final[Mapping[str, sa.Table]] = {
    identity.COMPANY.name: tables.directory_company,
    identity.DEPARTMENT.name: tables.directory_department,
    identity.USER_TOPIC.name: tables.directory_user,
    identity.ROLE_TOPIC.name: tables.directory_role,
    identity.DEPARTMENT_SET.name: tables.directory_set,
    identity.SESSION_TOPIC.name: directory_session_end,
    identity.SIGNING_KEY.name: tables.directory_key,
}
_UPSERTS: Final[Mapping[str, Query]] = {topic: _upsert(table) for topic, table in _TABLES.items()}

#: The topics of which the replica is made.
DIRECTORY_TOPICS: Final = tuple(_TABLES)


async def apply(session: WriteSession, envelope: Envelope) -> None:
    """Take one of identity's events into the replica.

    An event type that this version doesn't know is left alone. pydantic.ValidationError when the data doesn't fit its contract.
    """
    model = registry.events.get(envelope.type)
    if model is not None and model.topic in _TABLES:
        await apply_event(session, envelope.subject, model.model_validate_json(envelope.data))


async def apply_event(session: WriteSession, subject: uuid.UUID, event: Event[Any]) -> None:
    """Take an event's state into the replica; for those who have it as a model."""
    await apply_state(session, event.topic, subject, event.version, event.state)


async def apply_state(session: WriteSession, topic: str, subject: uuid.UUID, version: int, state: Part) -> None:
    """Take the state of a record at a version into the replica; identity's own way in, after `record()`.

    topic: one of DIRECTORY_TOPICS, else KeyError. state: the contract's state model of that topic.
    """
    row = _row(state, session.context.now)
    if row is None:
        return
    row |= {"id": subject, "version": version, "changed_at_version": await _raise_version(session)}
    await session.execute(_UPSERTS[topic], **{column.name: row[column.name] for column in _TABLES[topic].c})


async def heard(session: WriteSession, sent_at: dt.datetime | None = None) -> None:
    """Note identity's heartbeat. sent_at: when identity sent it (a heartbeat read late is no sign of life); None: now."""
    now = session.context.now
    await session.execute(_HEARD, now=now, sent_at=now if sent_at is None else min(sent_at, now))


async def forget_ended_sessions(session: WriteSession) -> int:
    """Remove ended sessions of which no token can be in time any more; answers how many. For a schedule, hourly say."""
    return await session.execute(_FORGET, now=session.context.now)


async def _raise_version(session: WriteSession) -> int:
    """The directory version of this transaction; raised, and so locked, by its first change."""
    held = session.held.get((directory_version.name, _THE_ROW))
    if held is None:
        held = await session.value(_RAISE)
        if held is None:
            raise RuntimeError("directory_version is empty: the database was not migrated")
        session.hold(directory_version, _THE_ROW, held)
    return int(held)


def _row(state: Part, now: dt.datetime) -> dict[str, Any] | None:
    """The replica's columns of a state; None when the replica keeps nothing of it."""
    if isinstance(state, identity.SessionState):
        if state.ended_at is None:
            return None
        return {"ended_at": state.ended_at, "forget_at": now + REMEMBER_ENDED}
    row = {name: getattr(state, name) for name in type(state).model_fields}
    if isinstance(state, identity.RoleState):
        row["scopes"] = state.model_dump(mode="json")["scopes"]
    return row


#: Topic → the replica's table, for those of which every record has a row. Of sessions only those that ended have one, for a while.
DIRECTORY_TABLES: Final = {topic: table for topic, table in _TABLES.items() if table is not directory_session_end}

Reaction = Callable[[WriteSession, Envelope], Awaitable[None]]

#: Topic → what a service's worker does with its events.
directory_reactions: Final[Mapping[str, Reaction]] = dict.fromkeys(DIRECTORY_TOPICS, apply)
