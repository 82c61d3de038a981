"""The job before a service starts: its database, and the migrations of this very code.

    CRM_SERVICE=customers CRM_DATABASE_URL_FILE=… python -m crm_web.prepare

With CRM_SUPERUSER_URL it also makes the service's role and database; without, they are there already. It waits for a server that
is still starting. Running it twice, or twice at once, changes nothing. Exit status: 0 done; 1 failed; 2 wrong settings.
"""

import asyncio
import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Annotated

import asyncpg
from alembic.util import CommandError
from pydantic import Field, SecretStr
from sqlalchemy.exc import DBAPIError

from crm_database.migrate import upgrade
from crm_database.provision import provision
from crm_web.settings import DatabaseUrl, FromEnvironment, SettingsInvalid

#: A server that is away or starting: worth another try.
_AWAY = (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)
_PAUSE = 1.0


class PrepareSettings(FromEnvironment):
    """What the job is told by its environment; other settings of the service don't concern it."""

    service: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="The service whose database is prepared.")]
    database_url: Annotated[
        DatabaseUrl, Field(description="The service's own database, role and password, as the service gets it.")
    ]
    superuser_url: Annotated[
        DatabaseUrl | None,
        Field(description="A superuser's URL: role and database are made when missing. Left out: they are there."),
    ] = None
    wait_seconds: Annotated[float, Field(ge=0, description="How long to wait for a server that is away.")] = 120.0


def prepare(settings: PrepareSettings, say: Callable[[str], None]) -> None:
    """Do it. Raises ImportError for an unknown service; OSError after the wait; what provision raises (asyncpg's errors) and the
    migrations (SQLAlchemy's DBAPIError around them, Alembic's CommandError).
    """
    if importlib.util.find_spec(f"crm_{settings.service}") is None:
        raise ImportError(f"there is no service {settings.service} here")
    dsn = settings.database_url.get_secret_value()
    if settings.superuser_url is not None:
        asyncio.run(_patiently_provision(settings.superuser_url, dsn, settings.wait_seconds, say))
        say("role and database are there")
    asyncio.run(_until_it_answers(dsn, settings.wait_seconds, say))
    upgrade(settings.service, dsn)
    say("migrated")


async def _patiently_provision(superuser: SecretStr, dsn: str, seconds: float, say: Callable[[str], None]) -> None:
    await _until_it_answers(superuser.get_secret_value(), seconds, say)
    await provision(superuser.get_secret_value(), dsn)


async def _until_it_answers(dsn: str, seconds: float, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + seconds
    told = False
    while True:
        try:
            await (await asyncpg.connect(dsn, timeout=10)).close()
        except _AWAY as away:
            if time.monotonic() >= deadline:
                raise
            if not told:
                say(f"waiting for the database ({type(away).__name__})")
                told = True
            await asyncio.sleep(_PAUSE)
        else:
            return


def main() -> int:
    """The command."""
    try:
        settings = PrepareSettings.load()
    except SettingsInvalid as refused:
        sys.stderr.writelines(f"prepare: {problem}\n" for problem in refused.problems)
        return 2

    def say(text: str) -> None:
        sys.stderr.write(f"{settings.service}: {text}\n")

    try:
        prepare(settings, say)
    except ImportError as unknown:
        say(str(unknown))
        return 2
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError, CommandError) as failed:
        # What PostgreSQL says of a log-in names the role and the database, never the password.
        say(f"failed: {_in_one_line(failed)}")
        return 1
    return 0


def _in_one_line(failed: BaseException) -> str:
    """What went wrong, without the layers around it and without the statement, which may hold data."""
    if isinstance(failed, DBAPIError) and failed.orig is not None:
        failed = failed.orig.__cause__ or failed.orig
    return f"{type(failed).__name__}: {'; '.join(str(failed).splitlines())}"


if __name__ == "__main__":
    sys.exit(main())
