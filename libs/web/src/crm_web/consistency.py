"""Read your own writes across services (PL-13): what the web layer needs of crm_events."""

from typing import Protocol

from crm_database import Database, WriteSession


class ConsistencyTokens(Protocol):
    """Tells which events a write recorded, and waits for those of another's write."""

    def token(self, session: WriteSession) -> str | None:
        """The token of a transaction's events; None when it recorded none."""
        ...

    async def wait(self, tokens: str, database: Database) -> None:
        """Return when this service has applied what the tokens, a list with commas, name and it consumes.

        Raises Invalid for one that we did not sign, Unavailable after 2 s.
        """
        ...
