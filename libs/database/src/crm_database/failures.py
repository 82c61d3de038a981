"""What can come out of the driver when the database, or the way to it, is in trouble."""

from typing import Final

import asyncpg

#: Errors of a statement or of its connection. InternalClientError is how the driver meets a server that died in mid-sentence: its
#: last words ("terminating connection because of crash of another server process") are still being read when the next
#: statement comes.
DATABASE_ERRORS: Final[tuple[type[Exception], ...]] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
