"""What identity's worker does besides the relay: schedules, and what services tell of hand-overs. Otherwise it consumes no events: it owns
what others replicate."""

import asyncio
import datetime as dt

from crm_database import Database
from crm_events import Reaction, Schedule, every
from crm_identity.hand_over.actions import HAND_OVER
from crm_identity.hand_over.reactions import REACTIONS as HAND_OVER_REACTIONS
from crm_identity.session.tidying import tidy
from crm_kernel import Clock
from crm_sagas import SagasObserving, deadlines
from crm_web import Settings

REACTIONS: tuple[Reaction, ...] = (*HAND_OVER_REACTIONS,)
SCHEDULES: tuple[Schedule, ...] = (
    Schedule("identity.sessions", every(dt.timedelta(hours=1)), tidy),
    deadlines([HAND_OVER]),
)


async def _observe(_: Settings, database: Database, __: Clock, stop: asyncio.Event) -> None:
    await SagasObserving(database, [HAND_OVER]).run(stop)


WORKS = (_observe,)
