"""The job of a hand-over: the leaver's open records go to the successor, at most 500 in a step, until nothing is left.

They go through the records' own transfer: history, events, versions and members are those of any other. Quotas and locks of single
records don't keep them: the person is gone, and somebody must look after what they had.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crm_contracts.hand_overs import HandOverEvents
from crm_database import WriteSession
from crm_jobs import STEP_ROWS, Job, JobRow, JobUnit, StepDone
from crm_records.actions.transfer import transfer_records
from crm_records.hand_over import rules, store
from crm_records.hand_over.rules import HandOver, Place
from crm_records.hand_over.telling import tell
from crm_records.record_type import DeclarationError, RecordType

#: What stands in the records' history.
REASON = "Hand-over: the owner left the company"


class Work:
    """The steps of one service. Lock order: job, hand-over, records."""

    def __init__(self, events: HandOverEvents, records: Sequence[RecordType]) -> None:
        self.events = events
        self.records = records

    async def step(self, unit: JobUnit, job: Job) -> StepDone:
        """The next records, or the end. Raises what `rules.require_heard` raises, and RecordsRefused."""
        found = await store.lock(unit.session, _id(job))
        if found is None or found.job_id != job.id or found.status != "running":
            # Another job is at it by now, or it was cancelled: both wrote down how far this one came.
            return StepDone(finished=True)
        rules.require_heard(found, unit.directory)
        place = Place.read(job.position, await store.database_now(unit.session))
        while place.record < len(self.records):
            record = self.records[place.record]
            ids = await store.lock_open(
                unit.session,
                record,
                unit.scope(record.key, "transfer"),
                found.user_id,
                after=place.after,
                now=unit.now,
                limit=STEP_ROWS,
            )
            if ids:
                return await self._moved(unit, job, found, place, record, ids)
            place = replace(place, record=place.record + 1, after=None)
        return await self._passed(unit, found, place)

    async def failed(self, session: WriteSession, job: Job, problem: Mapping[str, Any]) -> None:
        """The job could not go on: so neither can the hand-over, until it is asked for again."""
        found = await store.lock(session, _id(job))
        if found is not None and found.job_id == job.id and found.status == "running":
            after = replace(found, status="failed", ended_at=session.context.now, problem=problem)
            await tell(session, self.events, "failed", after)

    async def _moved(
        self, unit: JobUnit, job: Job, found: HandOver, place: Place, record: RecordType, ids: Sequence[uuid.UUID]
    ) -> StepDone:
        outcomes = await transfer_records(unit, record, ids, found.successor_id, reason=REASON)
        rows: list[JobRow] = []
        for outcome, record_id in zip(outcomes, ids, strict=True):
            outcome.record_id = record_id
            rows.append(outcome.row(job.processed + outcome.index, f"/ids/{job.processed + outcome.index}"))
        moved = dict(found.moved)
        for each in self.records:
            # As the journal of this transaction has them: also those that followed others, as contacts their customer.
            count = unit.session.recorded.get(_transferred(each), 0)
            moved[each.key] = moved.get(each.key, 0) + count
        refused = sum(1 for row in rows if row.status == "error")
        place = replace(place, after=ids[-1], moved=place.moved + len(rows) - refused, refused=place.refused + refused)
        after = replace(found, moved=moved)
        if unit.now - found.told_at >= rules.TOLD_EVERY:
            await self._tell(unit, "progressed", after)
        else:
            await store.write_counts(unit.session, found.id, moved, found.remaining)
        return StepDone(rows, place.json())

    async def _passed(self, unit: JobUnit, found: HandOver, place: Place) -> StepDone:
        """All record types were gone through: again if anything was found, else the end, when nothing can come any more."""
        again = Place(place.begun_at)
        if place.moved:
            return StepDone(position=again.json())
        now, oldest = await store.under_way(unit.session)
        if not rules.may_end(place, now, oldest):
            return StepDone(position=again.json(), pause=_wait(place, now))
        if place.refused:
            raise rules.RecordsRefused(f"{place.refused} records; the job {found.job_id} says which")
        await self._tell(unit, "done", replace(found, status="done", ended_at=unit.now))
        return StepDone(finished=True)

    async def _tell(self, unit: JobUnit, fact: Any, after: HandOver) -> None:
        """Say how far it is, with what is left by now."""
        remaining = {
            record.key: await store.count_open(
                unit.session, record, unit.scope(record.key, "transfer"), after.user_id, unit.now
            )
            for record in self.records
        }
        moved = {record.key: after.moved.get(record.key, 0) for record in self.records}
        await store.write_counts(unit.session, after.id, moved, remaining)
        await tell(unit.session, self.events, fact, replace(after, moved=moved, remaining=remaining))


def _wait(place: Place, now: dt.datetime) -> dt.timedelta:
    return max(rules.LOOK_AGAIN, rules.hears_of_it(place) - now)


def _id(job: Job) -> uuid.UUID:
    return uuid.UUID(job.parameters["hand_over_id"])


def _transferred(record: RecordType) -> str:
    if record.events.transferred is None:
        raise DeclarationError(f"{record.key} has no owners")
    return record.events.transferred.type
