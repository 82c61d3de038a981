"""The schedule that asks again. Of all replicas of a service's worker one runs it."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from crm_database import Database, WriteContext
from crm_events import Schedule, every
from crm_sagas import store
from crm_sagas.actions import ask_again
from crm_sagas.kind import SagaKind

#: How often deadlines are looked at.
LOOK_EVERY: Final = dt.timedelta(seconds=10)
#: Sagas that one run deals with at most; the rest ten seconds later.
_AT_ONCE: Final = 200


def deadlines(kinds: Sequence[SagaKind]) -> Schedule:
    """Steps whose deadline is over are asked again: each saga in a transaction of its own, so that one that can't be is alone."""
    known = {kind.name: kind for kind in kinds}

    async def run(database: Database, due: dt.datetime) -> None:
        async with database.read() as session:
            found = await store.overdue(session, known, due, _AT_ONCE)
        for saga_id, kind in found:
            async with database.write(WriteContext(now=due, channel="rule")) as session:
                await ask_again(session, known[kind], saga_id)

    return Schedule("crm.sagas", every(LOOK_EVERY), run)
