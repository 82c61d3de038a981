"""APPROVALS_1 makes the tables that the code declares, and the lists go by indexes."""

import asyncpg
import pytest

from crm_approvals import store
from crm_approvals.tables import metadata
from crm_kernel import new_id
from crm_testing.declared import require_declared

from .conftest import NOW, World

_MANY = """
INSERT INTO approval (id, version, subject_type, subject_id, subject_version, title, snapshot, snapshot_digest,
                      submitted_by, submitted_at, status, current_step, ended_at)
SELECT uuidv7(), 1, 'office.memo', uuidv7(), 1, 'M', '{}', 'x',
       md5((n % 500)::text)::uuid, now() - n * interval '1 s', CASE WHEN n % 10 = 0 THEN 'pending' ELSE 'approved' END, 1,
       CASE WHEN n % 10 = 0 THEN NULL ELSE now() END
FROM generate_series(1, 20000) AS g(n)
"""
#: Each person's approvals are decided by the same other person.
_THEIR_STEPS = """
INSERT INTO approval_step (approval_id, step, part, approvers, decided_by, decided_at, decision, decided_on_digest)
SELECT id, 1, 1, ARRAY[md5(submitted_by::text)::uuid], decided, ended_at,
       CASE WHEN decided IS NOT NULL THEN 'approve' END, CASE WHEN decided IS NOT NULL THEN 'x' END
FROM (SELECT *, CASE WHEN status <> 'pending' THEN md5(submitted_by::text)::uuid END AS decided FROM approval) AS a
"""


async def test_the_statements_make_the_declared_tables(office_dsn: str) -> None:
    await require_declared(office_dsn, metadata.sorted_tables)


@pytest.mark.requirement("BI-16")
async def test_lists_among_many_approvals_go_by_indexes(world: World) -> None:
    await world.change(_MANY)
    await world.change(_THEIR_STEPS)
    # Raw SQL: VACUUM can't run inside a transaction.
    connection = await asyncpg.connect(world.database.pool._connect_args[0])
    try:
        await connection.execute("VACUUM ANALYZE approval, approval_step")
    finally:
        await connection.close()
    (someone,) = await world.rows("SELECT submitted_by, md5(submitted_by::text)::uuid AS boss FROM approval LIMIT 1")
    left = [row[0] for row in await world.rows("SELECT DISTINCT md5(submitted_by::text)::uuid FROM approval LIMIT 20")]
    by_role = {
        "to_decide": (someone["boss"], "ix_approval_step_waiting"),
        "inherited": (someone["boss"], "ix_approval_step_waiting"),
        "decided": (someone["boss"], "ix_approval_step_decided_by"),
        "submitted": (someone["submitted_by"], "ix_approval_submitted_by"),
    }
    for role, (user, index) in by_role.items():
        for after in (None, (NOW, new_id())):
            inherits = role == "inherited"
            asked = "to_decide" if inherits else role
            statement = store._listed(asked, after is not None, 51, inherits)  # type: ignore[arg-type]
            given = {"users": [user]} if asked == "to_decide" else {"user_id": user}
            given |= {"user_id": user, "left": left} if inherits else {}
            place = {} if after is None else {"at": after[0], "id": after[1]}
            rows = await world.rows(f"EXPLAIN {statement.sql}", *statement.arguments({**given, **place}))
            plan = "\n".join(row[0] for row in rows)
            assert index in plan, plan
            assert "Seq Scan" not in plan, plan
