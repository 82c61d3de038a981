"""What `./crm events reconcile` finds on a stack."""

import asyncio

from crm_events import groups_of
from crm_events.reconcile import Reconciliation, reconcile
from crm_stack.bus.databases import opened
from crm_stack.local import Stack
from crm_web.service import load_service
from crm_web.working import all_reactions

from .waiting import until


def reconciled(stack: Stack) -> Reconciliation:
    """Every service's journal against the inboxes of all groups."""

    async def compare() -> Reconciliation:
        services = stack.options.services
        groups = {name: groups_of(all_reactions(load_service(name))) for name in services}
        async with opened(stack.layout, services) as databases:
            return await reconcile(databases, groups)

    return asyncio.run(compare())


def every_event_is_applied(stack: Stack, seconds: float) -> Reconciliation:
    """The backlog is gone within `seconds`, and reconcile has nothing left to explain."""
    last: list[Reconciliation] = []

    def settled() -> bool:
        last[:] = [reconciled(stack)]
        return not last[0].findings

    until(settled, seconds, "every event is in the inbox of every group that wants it")
    assert not last[0].is_faulty, last[0].holdings[:5]
    # In normal life versions follow each other: nobody ever lacked anything.
    assert gaps(stack) == {}
    return last[0]


def gaps(stack: Stack) -> dict[str, int]:
    """Service → records of which something was lacking, if there are any."""

    async def count() -> dict[str, int]:
        async with opened(stack.layout, stack.options.services) as databases:
            found = {}
            for name, database in databases.items():
                async with database.read() as session:
                    found[name] = await session.connection.fetchval("SELECT count(*) FROM resync_gap")
            return {name: number for name, number in found.items() if number}

    return asyncio.run(count())
