"""Keeping whose each record is, and the SQL of who hears an event."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from crm_analytics.access.rules import Hearing
from crm_contracts import Envelope
from crm_database import ReadSession, WriteSession, lock_key

#: Events that one transaction of catching up reads.
CAUGHT_UP_AT_ONCE: Final = 5_000
_ONE_AT_A_TIME: Final = lock_key("analytics.access")

# Of each record the newest event counts, whatever order they come in. In the order of their keys, so that two transactions over the same
# records wait for each other.
_KEEP = """
INSERT INTO record_access AS a (record_id, topic, version, owner_id, members)
SELECT DISTINCT ON (subject, topic) subject, topic, version, (access->>'owner_id')::uuid,
       CASE WHEN jsonb_typeof(access->'members') = 'array' THEN access->'members' ELSE '[]' END
FROM ({events}) AS e
WHERE jsonb_typeof(access) = 'object'
ORDER BY subject, topic, version DESC
ON CONFLICT (record_id, topic) DO UPDATE
SET version = excluded.version, owner_id = excluded.owner_id, members = excluded.members
WHERE a.version < excluded.version
"""
_KEEP_GIVEN = _KEEP.format(
    events="SELECT g.subject, g.topic, (g.data::jsonb->>'version')::int AS version, g.data::jsonb->'access' AS access "
    "FROM unnest($1::uuid[], $2::text[], $3::text[]) AS g(subject, topic, data)"
)
_KEEP_LOGGED = _KEEP.format(
    events="SELECT subject, topic, version, data->'access' AS access FROM event_log WHERE position > $1 AND position <= $2"
)
_LOCK_LOG_HEAD = "SELECT position FROM log_head FOR UPDATE"
# Only when nothing is missing before it: what another version of the program put into the log is caught up with first.
_FOLLOW = "UPDATE access_head SET position = (SELECT position FROM log_head) WHERE position >= $1"
_REACH = """
SELECT a.position AS known, h.position AS head,
       (SELECT max(w.position) FROM (
         SELECT l.position FROM event_log l WHERE l.position > a.position ORDER BY l.position LIMIT $1
       ) w) AS reach
FROM access_head a, log_head h
"""
_CAUGHT_UP = "UPDATE access_head SET position = $1 WHERE position < $1"
_ALONE = "SELECT pg_try_advisory_xact_lock($1)"


async def keep(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Note whose the records of a batch are now."""
    # Raw SQL: one statement for all events, whose JSON the server reads.
    await session.connection.execute(
        _KEEP_GIVEN, [e.subject for e in envelopes], [e.topic for e in envelopes], [e.data.decode() for e in envelopes]
    )


async def lock_log(session: WriteSession) -> int:
    """Keep everybody else from appending to the log until the commit; answers its last position."""
    # Raw SQL: a lock of the one row, without a model.
    return int(await session.connection.fetchval(_LOCK_LOG_HEAD))


async def follow_log(session: WriteSession, before: int) -> None:
    """What was put into the log since `lock_log` answered `before` is known here, when everything before it is."""
    # Raw SQL: beside the others.
    await session.connection.execute(_FOLLOW, before)


async def catch_up(session: WriteSession) -> bool:
    """Take in the next part of the log that wasn't; whether there may be more. Only one transaction does so at a time."""
    # Raw SQL: in the rest of this function; windows over the log, whose statements stand above.
    if not await session.connection.fetchval(_ALONE, _ONE_AT_A_TIME):
        return False
    # Raw SQL: see above.
    row = await session.connection.fetchrow(_REACH, CAUGHT_UP_AT_ONCE)
    assert row is not None  # noqa: S101  (both tables have one row)
    if row["known"] >= row["head"]:
        return False
    # Events after the last one in sight: positions that nothing stands at. The head was read together with what is in sight.
    reach: int = row["head"] if row["reach"] is None else row["reach"]
    # Raw SQL: see above.
    await session.connection.execute(_KEEP_LOGGED, row["known"], reach)
    # Raw SQL: see above.
    await session.connection.execute(_CAUGHT_UP, reach)
    return True


async def heard_up_to(session: ReadSession) -> int:
    """The position up to which the log may be told to anybody."""
    # Raw SQL: one row, one column.
    return int(await session.connection.fetchval("SELECT position FROM access_head"))


@cache
def hearing_sql(parts: int, first: int) -> str:
    """The condition on `event_log l` that an event is heard, for a hearing of so many parts; its parameters begin at `$first`.

    A scalar subquery, not EXISTS: each event's record is looked up by its key, however many the planner takes them for.
    """
    heard = [f"l.topic = ANY(${first + 1}::text[])"]
    for part in range(parts):
        topics, owners, member = (first + 2 + part * 3 + n for n in range(3))
        heard.append(
            f"(l.topic = ANY(${topics}::text[]) AND (SELECT a.owner_id IN (SELECT unnest(${owners}::uuid[])) IS TRUE "  # noqa: S608  (numbers of our own)
            f"OR EXISTS (SELECT FROM jsonb_to_recordset(a.members) AS m(user_id uuid, expires_at timestamptz) "
            f"WHERE m.user_id = ${member}::uuid AND (m.expires_at IS NULL OR m.expires_at > ${first}::timestamptz)) "
            "FROM record_access a WHERE a.record_id = l.subject AND a.topic = l.topic))"
        )
    # The instant is named even where no part needs it: PostgreSQL has no parameters without a type.
    return f"(${first}::timestamptz IS NOT NULL AND ({' OR '.join(heard)}))"


def hearing_arguments(hearing: Hearing) -> list[Any]:
    """The values of the parameters of `hearing_sql`."""
    values: list[Any] = [hearing.now, list(hearing.whole)]
    for part in hearing.parts:
        values += [list(part.topics), list(part.owners), part.member_of]
    return values
