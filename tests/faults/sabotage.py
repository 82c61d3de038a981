"""Services with one guard taken out, to see that the gates notice: what a stack runs instead of the product's own entry.

Only in a service that the writers don't wait for: what they are answered is to be the same. Imported by the processes of such a stack,
by its bare name; nothing else of the tests is there.
"""

import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from crm_stack.service_entry import run

#: Of so many events one is forgotten.
_ONE_OF = 10


def without_outbox(service: str, parts: frozenset[str]) -> None:
    """Of tickets one event in ten is in the journal and not in the outbox: as with a program that sends after its commit, and dies."""
    import crm_events.record  # noqa: F401  (so that the module is there)

    # The package's own name `record` is the function.
    record: Any = sys.modules["crm_events.record"]
    real = record._append
    seen = 0

    async def append(session: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        nonlocal seen
        await real(session, rows)
        for row in rows:
            seen += 1
            if seen % _ONE_OF == 0:
                await session.connection.execute("DELETE FROM outbox WHERE event_id = $1", row["event_id"])

    if service == "support":
        record._append = append
    run(service, parts)


def without_inbox(service: str, parts: frozenset[str]) -> None:
    """Whatever reaches analytics is applied, and nobody notes that it was."""
    from crm_events.consumer import rules, store

    async def everything(session: Any, place: object, events: Sequence[Any]) -> set[uuid.UUID]:
        return {event.id for event in events}

    def judge(watermark: Any, stream: str, number: int) -> rules.Outcome:
        return rules.Outcome.APPLY if number > 0 else rules.Outcome.FOREIGN

    if service == "analytics":
        store.into_inbox = everything
        rules.judge = judge
    run(service, parts)
