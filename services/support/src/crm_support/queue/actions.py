"""Queues are set up and changed; who is a member of one."""

import uuid
from collections.abc import Mapping
from typing import Any

import asyncpg

from crm_contracts.support import QueueChanged, QueueCreated
from crm_events.record import Step, changes_between, record
from crm_kernel import NotFound, new_id
from crm_support.queue import store
from crm_support.queue.rules import NotQueueMember, Queue, QueueKeyTaken
from crm_support.queue.tables import queue as queue_table
from crm_web import ReadUnit, WriteUnit


def is_member(unit: ReadUnit | WriteUnit, queue: Queue | None) -> bool:
    """Whether the caller sees and takes what waits in the queue. None: a queue that isn't there has no members."""
    if queue is None or not unit.caller.allows("support.queue:read"):
        return False
    user_id = unit.caller.user_id
    return queue.has_member(user_id, unit.directory.credit_of(user_id).department_path)


async def member_queue(unit: ReadUnit, queue_id: uuid.UUID) -> Queue:
    """The queue, of which the caller is a member. Raises NotFound, NotQueueMember."""
    row = await store.read_queue(unit.session, queue_id)
    if row is None:
        raise NotFound
    found = store.queue_of(row)
    if not is_member(unit, found):
        raise NotQueueMember
    return found


async def my_queues(unit: ReadUnit) -> list[Queue]:
    """The queues of which the caller is a member."""
    found = [store.queue_of(row) for row in await store.all_queues(unit.session)]
    return [queue for queue in found if is_member(unit, queue)]


async def create_queue(unit: WriteUnit, values: Mapping[str, Any]) -> uuid.UUID:
    """Set up a further queue. Raises QueueKeyTaken."""
    queue_id = new_id()
    step = Step(
        table=queue_table,
        id=queue_id,
        event=QueueCreated,
        state=values,
        values={**values, "created_at": unit.now},
        new=True,
    )
    try:
        await record(unit.session, [step])
    except asyncpg.UniqueViolationError as violation:
        if violation.constraint_name != "uq_queue_key":
            raise
        raise QueueKeyTaken from None
    return queue_id


async def change_queue(unit: WriteUnit, queue_id: uuid.UUID, values: Mapping[str, Any]) -> None:
    """Change a queue's name or members. Raises NotFound, Stale."""
    row = await store.lock_queue(unit.session, queue_id)
    if row is None:
        raise NotFound
    unit.require_match(row["version"])
    before = store.plain(row)
    changes = changes_between(before, values)
    if not changes:
        return
    step = Step(
        table=queue_table,
        id=queue_id,
        event=QueueChanged,
        state={**before, **values},
        values={name: values[name] for name in changes},
        changes=changes,
    )
    await record(unit.session, [step])
