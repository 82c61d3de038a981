"""What a service has approved: how it is frozen, and what follows from the decision."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_approvals.approval import Approval
from crm_contracts.approvals import ApprovalEvents
from crm_kernel.errors import Refusal
from crm_records import Record, RecordType, Writing

#: What is decided on, of many records at once: record id → everything an approver must know. UUIDs, dates and instants are made text;
#: floats are refused. The records are locked.
Snapshot = Callable[[Writing, Sequence[Record]], Awaitable[Mapping[uuid.UUID, Mapping[str, Any]]]]
#: What a reaction refuses by.
Refusals = Sequence[type[Refusal]]
#: What follows, in the same transaction, under the locks of the approval's row and of the record, which is given as it was before.
#: A refusal raised in it undoes the decision.
Reaction = Callable[[Writing, Approval, Record], Awaitable[None]]


@dataclass(frozen=True)
class Subject:
    """A kind of record that is approved; a service declares one per kind.

    events: what `approval_events("billing")` answered. title: names a record for people in lists of approvals. snapshot: what is
    frozen at submission, and compared at the approval. counting: the names of the snapshot that must be the same then; the others
    (version, owner, what a customer is called) may have changed. approved, rejected, withdrawn: what becomes of the record;
    they get the unit of whoever decides, who need not reach the record by scope (see README.md).
    refusals: what `approved` refuses by, for the documents.

    Raises ValueError when the events are another service's.
    """

    record: RecordType
    events: ApprovalEvents
    title: Callable[[Record], str]
    snapshot: Snapshot
    counting: Sequence[str]
    approved: Reaction
    rejected: Reaction
    withdrawn: Reaction
    refusals: Refusals = ()

    def __post_init__(self) -> None:
        if self.record.service != self.events.service:
            raise ValueError(f"{self.type}: the events are of {self.events.service}")

    @property
    def type(self) -> str:
        """The record type: `billing.contract`."""
        return self.record.key

    @property
    def permission(self) -> str:
        """What somebody needs to decide."""
        return f"{self.events.service}.approval:decide"
