"""What a running service has: made once at the start, handed to every request."""

from dataclasses import dataclass, field
from typing import Any

from crm_database import Database
from crm_kernel import Clock, CompanyCalendar, SystemClock
from crm_web.consistency import ConsistencyTokens
from crm_web.cursors import Cursors
from crm_web.security import Security
from crm_web.settings import Settings


@dataclass
class Runtime:
    """One process's parts. calendar: in use until the directory knows the company. own: what Service.opened gave."""

    settings: Settings
    database: Database
    security: Security
    cursors: Cursors
    calendar: CompanyCalendar
    consistency: ConsistencyTokens | None = None
    clock: Clock = field(default_factory=SystemClock)
    own: Any = None
