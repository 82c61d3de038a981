"""Queries of the counters of failed log-ins."""

import datetime as dt
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from crm_database import WriteSession, query, update_rows
from crm_identity.session.rules import Guard
from crm_identity.session.tables import login_guard

_SUBJECTS = sa.bindparam("subjects", type_=ARRAY(sa.Text))

# Sorted, so that two attempts that share subjects lock them in the same order. Writing the subject over itself locks a row that is
# there already, also when somebody removes it at this moment.
_wanted = sa.func.unnest(_SUBJECTS).table_valued(sa.column("subject", sa.Text)).render_derived(name="wanted")
_ensured = insert(login_guard).from_select(
    ["subject", "failures", "last_at"],
    sa.select(_wanted.c.subject, sa.literal(0), sa.bindparam("now", type_=sa.TIMESTAMP(timezone=True))).order_by(
        _wanted.c.subject
    ),
)
_LOCKED = query(
    _ensured.on_conflict_do_update(index_elements=["subject"], set_={"subject": _ensured.excluded.subject}).returning(
        login_guard
    )
)
_FORGET = query(sa.delete(login_guard).where(login_guard.c.subject == sa.any_(_SUBJECTS)))
_GIVE_BACK = query(
    sa.update(login_guard)
    .where(login_guard.c.subject == sa.any_(_SUBJECTS), login_guard.c.failures > 0)
    .values(
        failures=login_guard.c.failures - 1,
        # The attempt that reached the limit set the lock; it was right, so the lock goes with it.
        blocked_until=sa.case(
            (login_guard.c.failures <= sa.bindparam("free", type_=sa.Integer), None), else_=login_guard.c.blocked_until
        ),
    )
)
_OLD = query(sa.delete(login_guard).where(login_guard.c.last_at < sa.bindparam("before")))


async def locked(session: WriteSession, subjects: Sequence[str]) -> dict[str, Guard]:
    """The counters, locked until the transaction ends; new ones start at nothing."""
    rows = await session.fetch(_LOCKED, subjects=sorted(subjects), now=session.context.now)
    return {row["subject"]: Guard(row["failures"], row["last_at"], row["blocked_until"]) for row in rows}


async def write(session: WriteSession, guards: Mapping[str, Guard]) -> None:
    """Write locked counters back."""
    rows = [
        {
            "subject": subject,
            "failures": guard.failures,
            "last_at": guard.last_at,
            "blocked_until": guard.blocked_until,
        }
        for subject, guard in guards.items()
    ]
    await update_rows(session, login_guard, rows, key="subject")


async def forget(session: WriteSession, subjects: Sequence[str]) -> None:
    """Start afresh."""
    await session.execute(_FORGET, subjects=sorted(subjects))


async def give_back(session: WriteSession, subjects: Sequence[str], free: int) -> None:
    """Take one counted attempt back. free: how many failures the limit allows before it locks."""
    if subjects:
        await session.execute(_GIVE_BACK, subjects=sorted(subjects), free=free)


async def forget_old(session: WriteSession, before: dt.datetime) -> int:
    """Remove counters that nobody touched since; answers how many."""
    return await session.execute(_OLD, before=before)
