"""Who is a member of a queue, and what is refused. Pure."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crm_kernel.errors import Conflict, FieldError, Forbidden, Invalid

#: The queue that every company has from the start, and that tickets wait in unless they name another.
GENERAL: Final = "general"


class QueueUnknown(Invalid):
    """422: there is no such queue."""

    code = "queue.unknown"
    title = "There is no such queue"


class QueueKeyTaken(Conflict):
    """409: another queue has this key."""

    code = "queue.key_taken"
    title = "Another queue has this key"


class NotQueueMember(Forbidden):
    """403: only members of the queue see what waits in it."""

    code = "queue.not_member"
    title = "You are not a member of this queue"


@dataclass(frozen=True)
class Queue:
    """A queue. key: how tickets name it. open_to_all: whoever may see queues is a member."""

    id: uuid.UUID
    key: str
    member_user_ids: frozenset[uuid.UUID]
    member_department_ids: frozenset[uuid.UUID]
    open_to_all: bool

    def has_member(self, user_id: uuid.UUID, department_path: Sequence[uuid.UUID]) -> bool:
        """Whether the user is a member: named, or in a department (or below one) that is named.

        department_path: from the root down to the user's department.
        """
        if self.open_to_all or user_id in self.member_user_ids:
            return True
        return not self.member_department_ids.isdisjoint(department_path)


def queue_unknown(pointer: str = "/queue") -> QueueUnknown:
    """The refusal, pointing at the member of the input."""
    return QueueUnknown(errors=[FieldError(pointer, QueueUnknown.code, QueueUnknown.title)])
