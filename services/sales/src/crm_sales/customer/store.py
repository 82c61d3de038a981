"""The replica of customers: read through the caller's scope, written by versions."""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz import Scope
from crm_database import ReadSession, WriteSession, query
from crm_sales.customer.rules import Known
from crm_sales.customer.tables import CUSTOMER, customer_replica


async def visible(session: ReadSession, scope: Scope, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these customers the scope (over customers.customer) reaches; unknown and deleted ones are not among them."""
    if not ids:
        return set()
    table = customer_replica
    statement = query(
        sa.select(table.c.id).where(
            table.c.id == sa.func.any(sa.bindparam("ids", type_=ARRAY(sa.Uuid()))),
            table.c.deleted.is_(sa.false()),
            scope.predicate(table),
        )
    )
    return {uuid.UUID(int=row["id"].int) for row in await session.fetch(statement, ids=list(dict.fromkeys(ids)))}


# A batch's JSON rows become the upsert's on the server; older versions change nothing, and are not answered.
_UPSERT = """
INSERT INTO customer_replica AS c (id, version, number, name, lifecycle, owner_id, deleted)
SELECT id, version, number, name, lifecycle, owner_id, deleted FROM jsonb_to_recordset($1::jsonb)
  AS g(id uuid, version int, number text, name text, lifecycle text, owner_id uuid, deleted boolean)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET version = excluded.version, number = excluded.number, name = excluded.name,
  lifecycle = excluded.lifecycle, owner_id = excluded.owner_id, deleted = excluded.deleted
WHERE c.version < excluded.version
RETURNING id
"""
# Members that went and those that came, of all customers of a batch, in one statement.
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


async def keep(session: WriteSession, known: Sequence[Known]) -> None:
    """Take customers into the replica, each once; what is older than what is there is left out, its members too."""
    if not known:
        return
    rows = [
        {
            "id": one.id,
            "version": one.version,
            "number": one.state.number,
            "name": one.state.name,
            "lifecycle": one.state.lifecycle,
            "owner_id": one.owner_id,
            "deleted": one.state.deleted,
        }
        for one in known
    ]
    # Raw SQL: see _UPSERT.
    fresh = {uuid.UUID(int=row["id"].int) for row in await session.connection.fetch(_UPSERT, rows)}
    told = [one for one in known if one.id in fresh and one.members is not None]
    if not told:
        return
    members = [
        {"record_id": one.id, "user_id": m.user_id, "right": m.right, "expires_at": m.expires_at}
        for one in told
        for m in one.members or ()
    ]
    # Raw SQL: see _MEMBERS.
    await session.connection.execute(_MEMBERS, CUSTOMER, [one.id for one in told], members)
