"""How much a service has recorded that the broker has not acknowledged."""

from crm_database import ReadSession

# Raw SQL: two sums in one round trip. The outbox table holds what has no number yet; the rest of the outbox is `next … head`.
_BACKLOG = """
SELECT (SELECT count(*) FROM outbox) + coalesce((SELECT sum(head - next + 1) FROM stream WHERE current), 0)::bigint
"""


async def backlog(session: ReadSession) -> int:
    """Events recorded and not acknowledged (or put back to be sent again)."""
    return int(await session.connection.fetchval(_BACKLOG))
