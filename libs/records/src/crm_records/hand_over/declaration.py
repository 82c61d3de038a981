"""What a service declares: `HandOvers(CUSTOMERS_HAND_OVERS, [CUSTOMER, CONTACT])`. Its reaction and its kind of job follow from that."""

from collections.abc import Sequence
from typing import Final

from crm_contracts import identity
from crm_contracts.hand_overs import HandOverEvents
from crm_events import Reaction
from crm_jobs import JobKind
from crm_records.hand_over.hearing import Hearing
from crm_records.hand_over.work import Work
from crm_records.record_type import DeclarationError, RecordType

REASON: Final = "ID-6: who leaves hands their records to a successor; the right to that was the dismissal's"


class HandOvers:
    """A service's part in hand-overs.

    records: its record types with owners, those first that take others along. Raises DeclarationError for one without owners, or that
    doesn't say which of its records are open.

    reaction: for the worker's list. kind: for `Jobs([…])`.
    """

    def __init__(self, events: HandOverEvents, records: Sequence[RecordType]) -> None:
        for record in records:
            if not record.scoped or record.service != events.service:
                raise DeclarationError(f"{record.key} has no owners, or is not of {events.service}")
            if record.open is None:
                raise DeclarationError(f"{record.key} doesn't say which of its records are open")
        self.events = events
        self.records = tuple(records)
        work = Work(events, self.records)
        self.kind = JobKind(
            f"{events.service}.hand-over", None, work.step, authority="product", reason=REASON, failed=work.failed
        )
        self.reaction = Reaction(
            group=f"{events.service}.hand-overs",
            topics=(identity.HAND_OVER.name,),
            handle=Hearing(events, self.kind).handle,
            # Jobs follow from it: nobody waits for it to read, and it is never told again.
            projection=False,
        )
