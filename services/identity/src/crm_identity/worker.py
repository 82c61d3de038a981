"""What identity's worker does besides the relay: schedules. Identity consumes no events: it owns what others replicate."""

import datetime as dt

from crm_events import Schedule, every
from crm_identity.session.tidying import tidy

SCHEDULES = (Schedule("identity.sessions", every(dt.timedelta(hours=1)), tidy),)
