"""Queries of hand-overs: seen by who sees the leaver (ID-8)."""

import datetime as dt
import uuid
from typing import Any, Final

import sqlalchemy as sa

from crm_authz import Scope
from crm_database import ReadSession, query
from crm_identity.hand_over.rules import HandOverNotFound
from crm_identity.user.store import VISIBLE, reach
from crm_identity.user.tables import app_user
from crm_sagas import Saga
from crm_sagas.store import with_steps
from crm_sagas.tables import saga

#: The kind of saga.
KIND: Final = "identity.hand-over"

_RUNNING = saga.c.state == sa.literal_column("'running'")
_SEEN = (
    sa.select(saga)
    .join(app_user, app_user.c.id == saga.c.about)
    .where(saga.c.kind == sa.literal_column(f"'{KIND}'"), VISIBLE)
)
_ABOUT = sa.bindparam("about", type_=sa.Uuid)
_STATE = sa.bindparam("state", type_=sa.Text)
_AFTER = sa.bindparam("after_id", type_=sa.Uuid)

_ONE = query(_SEEN.where(saga.c.id == sa.bindparam("id", type_=sa.Uuid)))
_PAGE = query(
    _SEEN.where(
        sa.or_(_ABOUT.is_(None), saga.c.about == _ABOUT),
        sa.or_(_STATE.is_(None), saga.c.state == _STATE),
        sa.or_(
            _AFTER.is_(None),
            sa.tuple_(_RUNNING, saga.c.asked_at, saga.c.id)
            < sa.tuple_(
                sa.bindparam("after_running", type_=sa.Boolean),
                sa.bindparam("after_at", type_=sa.TIMESTAMP(timezone=True)),
                _AFTER,
            ),
        ),
    )
    .order_by(_RUNNING.desc(), saga.c.asked_at.desc(), saga.c.id.desc())
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)

#: running, asked_at, id of the last one of a page.
Position = tuple[bool, dt.datetime, uuid.UUID]


async def one(session: ReadSession, scope: Scope, hand_over_id: uuid.UUID, *, self_id: uuid.UUID) -> Saga:
    """One hand-over of somebody whom the scope reaches, or oneself. Raises HandOverNotFound."""
    row = await session.first(_ONE, id=hand_over_id, **reach(scope, self_id))
    if row is None:
        raise HandOverNotFound
    return (await with_steps(session, [row]))[0]


async def page(
    session: ReadSession,
    scope: Scope,
    *,
    self_id: uuid.UUID,
    about: uuid.UUID | None,
    state: str | None,
    after: Position | None,
    limit: int,
) -> list[Saga]:
    """Hand-overs of people whom the scope reaches: those that are under way first, the newest first."""
    running, at, last = after or (None, None, None)
    place: dict[str, Any] = {"after_running": running, "after_at": at, "after_id": last}
    rows = await session.fetch(_PAGE, about=about, state=state, at_most=limit, **place, **reach(scope, self_id))
    return await with_steps(session, rows)
