"""The statements of replicas: a batch is one upsert by version, and one statement for all members that come and go with it."""

import uuid
from collections.abc import Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from crm_database import WriteSession
from crm_records.replica.columns import Column
from crm_records.replica.told import Told

_PG = postgresql.dialect()  # type: ignore[no-untyped-call]

# Members that went and those that came, of all records of a batch, in one statement.
_MEMBERS = """
WITH given AS (
  SELECT * FROM jsonb_to_recordset($3::jsonb) AS g(record_id uuid, user_id uuid, "right" text, expires_at timestamptz)
), gone AS (
  DELETE FROM record_member m WHERE m.record_type = $1 AND m.record_id = ANY($2::uuid[])
    AND NOT EXISTS (SELECT FROM given g WHERE g.record_id = m.record_id AND g.user_id = m.user_id)
)
INSERT INTO record_member AS m (record_type, record_id, user_id, "right", expires_at)
SELECT $1, record_id, user_id, "right", expires_at FROM given
ON CONFLICT (record_type, record_id, user_id) DO UPDATE SET "right" = excluded."right", expires_at = excluded.expires_at
WHERE (m."right", m.expires_at) IS DISTINCT FROM (excluded."right", excluded.expires_at)
"""

_NO_MEMBERS = "DELETE FROM record_member WHERE record_type = $1 AND record_id = ANY($2::uuid[])"


@lru_cache(maxsize=100)
def upsert_sql(table: sa.Table) -> str:
    """A batch's JSON rows become the table's on the server; older versions change nothing, and are not answered.

    In the order of the ids, so that two batches that touch the same rows wait for each other instead of locking each other up.
    Names come from the table, never from input.
    """
    names = [column.name for column in table.c]
    types = ", ".join(f'"{column.name}" {column.type.compile(_PG)}' for column in table.c)
    listed = ", ".join(f'"{name}"' for name in names)
    sets = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name != "id")
    return (
        f'INSERT INTO "{table.name}" AS r ({listed}) SELECT {listed} FROM jsonb_to_recordset($1::jsonb) AS g({types}) '  # noqa: S608
        f"ORDER BY id ON CONFLICT (id) DO UPDATE SET {sets} WHERE r.version < excluded.version RETURNING id"
    )


async def keep(
    session: WriteSession, table: sa.Table, record: str, columns: Sequence[Column], told: Sequence[Told]
) -> list[Told]:
    """Take records into the replica, each once; answers those that were news. What is older than what is there is left out, its
    members too."""
    if not told:
        return []
    scoped = "owner_id" in table.c
    rows = []
    for one in told:
        row = {"id": one.id, "version": one.version, "deleted": one.deleted}
        for column in columns:
            row |= column.stored(one.state[column.name])
        if scoped:
            row["owner_id"] = one.owner_id
        rows.append(row)
    # Raw SQL: see upsert_sql.
    kept = await session.connection.fetch(upsert_sql(table), rows)
    fresh = {uuid.UUID(int=row["id"].int) for row in kept}
    news = [one for one in told if one.id in fresh]
    if scoped:
        await _keep_members(session, record, news)
    return news


async def _keep_members(session: WriteSession, record: str, news: Sequence[Told]) -> None:
    telling = [one for one in news if one.members is not None]
    if not telling:
        return
    members = [
        {"record_id": one.id, "user_id": m.user_id, "right": m.right, "expires_at": m.expires_at}
        for one in telling
        for m in one.members or ()
    ]
    # Raw SQL: see _MEMBERS.
    await session.connection.execute(_MEMBERS, record, [one.id for one in telling], members)


async def forget(session: WriteSession, table: sa.Table, record: str, ids: Sequence[uuid.UUID]) -> None:
    """Remove records from the replica, and who shares in them."""
    # Raw SQL: the table's name comes from its declaration.
    await session.connection.execute(f'DELETE FROM "{table.name}" WHERE id = ANY($1)', list(ids))  # noqa: S608
    if "owner_id" in table.c:
        # Raw SQL: an array of ids.
        await session.connection.execute(_NO_MEMBERS, record, list(ids))
