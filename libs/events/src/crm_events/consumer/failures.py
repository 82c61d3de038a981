"""What a failed handler means: transient (the world's fault: again, in place) or poison (the event's, or our code's)."""

import asyncpg

from crm_kernel.errors import Unavailable

#: How often an event is tried before it is poison, and the pauses between, in seconds.
POISON_ATTEMPTS = 3
POISON_PAUSES = (0.05, 0.5)
#: Transient failures: pauses double from the first to the last, in seconds; for ever.
TRANSIENT_FIRST = 0.05
TRANSIENT_MOST = 5.0
#: So many events in a row that nobody could apply: it is not the events. The group stops and says so.
DEAD_LETTERS_IN_A_ROW = 20

_TRANSIENT = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    Unavailable,
)


def is_transient(error: BaseException) -> bool:
    """Whether trying the same event again later can help: connections, locks, serialization, time-outs, fail-over."""
    return isinstance(error, _TRANSIENT)


def is_about_locks(error: BaseException) -> bool:
    """Whether others hold, in another order or for long, what this wants."""
    return isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.LockNotAvailableError)


def transient_pause(failures: int) -> float:
    """Seconds to wait after the n-th transient failure in a row (1 is the first)."""
    return float(min(TRANSIENT_MOST, TRANSIENT_FIRST * 2 ** min(failures - 1, 20)))


def reason_of(error: BaseException) -> str:
    """One line for people and for the dead-letter table."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:500]
