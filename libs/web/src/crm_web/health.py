"""Whether this process lives and is ready (PL-46): `/livez` and `/readyz`, for the supervisor, outside `/api`.

`/livez` fails when the process should be restarted: its event loop doesn't answer, or its consumers make no progress; where nobody
restarts it, it ends itself (crm_web.liveness). `/readyz`
fails when it should get no requests: the database is away or older than this code needs, or nobody is known yet who could call
(a new service before identity's first events). A bus that is away is a warning only: writes go on, and the outbox drains later.
"""

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from alembic.script import ScriptDirectory

from crm_database import Database
from crm_database.migrate import configuration, versions_folder
from crm_web.answers import Answer, to_json

#: Says what is wrong, or None.
Probe = Callable[[], str | None]

#: Where a process answers whether it lives, and whether it is ready.
LIVE_PATH = "/livez"
READY_PATH = "/readyz"
_LIMIT = 2.0
_log = structlog.get_logger("crm_web")


@dataclass
class Health:
    """database: must answer. head: the migration this code needs, None where a service has none; known: all that it knows.

    alive: probes of `/livez`. warnings: probes that `/readyz` shows without failing. people: asks the database for what is known
    of callers, see Security.health.
    """

    database: Database
    head: str | None = None
    known: frozenset[str] = frozenset()
    alive: list[Probe] = field(default_factory=list)
    warnings: list[Probe] = field(default_factory=list)
    people: Callable[[], Awaitable[tuple[str | None, str | None]]] | None = None

    def livez(self) -> Answer:
        """200, or 503 with what stands still."""
        complaints = [said for probe in self.alive if (said := probe()) is not None]
        return _answer(not complaints, {"status": "failing" if complaints else "alive", "problems": complaints})

    async def readyz(self) -> Answer:
        """200, or 503 with what is missing."""
        problems: list[str] = []
        warnings = [said for probe in self.warnings if (said := probe()) is not None]
        try:
            async with asyncio.timeout(_LIMIT), self.database.read() as session:
                # Raw SQL: a health check asks as little as possible. The table is Alembic's, not ours.
                migrated = await session.connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
                if self.head is not None:
                    # Raw SQL: Alembic's own table, which no metadata of ours declares.
                    rows = await session.connection.fetch("SELECT version_num FROM alembic_version") if migrated else []
                    problems += self._behind({row["version_num"] for row in rows})
            if not problems and self.people is not None:
                async with asyncio.timeout(_LIMIT):
                    problem, warning = await self.people()
                problems += [] if problem is None else [problem]
                warnings += [] if warning is None else [warning]
        except Exception as error:  # Whatever it was: a service without its database isn't ready, and says so.
            _log.warning("not ready", cause=repr(error))
            problems.append("database: can't be reached")
        ready = not problems
        status = "ready" if ready else "not ready"
        return _answer(ready, {"status": status, "problems": problems, "warnings": warnings})

    def _behind(self, present: set[str]) -> list[str]:
        """A database at a version that this code doesn't know is newer: a rollout is under way, and expanding changes fit both."""
        if self.head in present or (present and not present & self.known):
            return []
        return [f"migrations: the database is at {', '.join(sorted(present)) or 'nothing'}, {self.head} is needed"]


def migrations(service: str) -> tuple[str | None, frozenset[str]]:
    """(head, all) of a service's migrations; (None, none) where it has none, as in tests of this library."""
    if importlib.util.find_spec(f"crm_{service}") is None or not versions_folder(service).is_dir():
        return None, frozenset()
    scripts = ScriptDirectory.from_config(configuration(service, ""))
    return scripts.get_current_head(), frozenset(script.revision for script in scripts.walk_revisions())


def _answer(good: bool, content: dict[str, object]) -> Answer:
    return Answer(200 if good else 503, to_json(content), headers={"cache-control": "no-store"})
