"""A session for whoever operates the installation, without a password: opened beside the API, by who holds the database's secret.

The `crm` command needs it to load demo data: an operator who can read `.crm/secrets` could change the database anyway. It is a session
like any other: announced (`session.started` with the client `crm`), shown among the administrator's sessions, ended like them.
"""

import asyncio
import datetime as dt

from crm_contracts.identity import SessionStarted
from crm_database import Database, PoolSettings, WriteContext
from crm_events.record import Step
from crm_identity.announce import announce
from crm_identity.credential.rules import new_secret, secret_hash
from crm_identity.session import store
from crm_identity.session.tables import login_session
from crm_identity.user import store as users
from crm_kernel import NotFound, SystemClock, new_id

#: The OAuth client of the command line.
CLIENT = "crm"
LIFE = dt.timedelta(hours=1)


def open_session(dsn: str) -> str:
    """A refresh token of the oldest active super administrator, for the client `crm`; good for one hour.

    Raises NotFound when the company isn't set up; asyncpg's errors without a database.
    """
    return asyncio.run(_open(dsn))


async def _open(dsn: str) -> str:
    database = await Database.open(dsn, name="identity-operator", settings=PoolSettings(min_size=1, max_size=1))
    try:
        now = SystemClock().now()
        async with database.write(WriteContext(now=now, client=CLIENT)) as session:
            user_id = await users.first_super_admin(session)
            if user_id is None:
                raise NotFound("There is no active super administrator")
            session_id, secret = new_id(), new_secret()
            state = {"user_id": user_id, "client": CLIENT, "started_at": now}
            step = Step(
                table=login_session,
                id=session_id,
                event=SessionStarted,
                state=state,
                values={**state, "address": None, "user_agent": "crm command", "expires_at": now + LIFE},
                new=True,
            )
            await announce(session, [step])
            await store.add_token(session, secret_hash(secret), session_id, now + LIFE)
        return secret
    finally:
        await database.close()
