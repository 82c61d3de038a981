"""What activities are about goes to another customer: they go along (SA-30)."""

import uuid
from collections.abc import Collection, Sequence

from crm_contracts import Envelope
from crm_contracts.sales import ACTIVITY_EVENTS
from crm_database import WriteSession
from crm_records import Change, Record, SystemUnit, Writing, lock_records, write_changes
from crm_records.fields.references import id_of
from crm_records.replica import Replica
from crm_sales.activity.about_store import about
from crm_sales.activity.known import customers_of
from crm_sales.activity.record import ACTIVITY
from crm_sales.activity.rules import customer_of
from crm_sales.activity.store import lock_customers

_REASON = "SA-30: an activity's customer is that of what it is about"


async def keep_with_activities(session: WriteSession, replica: Replica, envelopes: Sequence[Envelope]) -> None:
    """Take events into a replica of records that have customers; the activities about those that got another one go along."""
    ids = [envelope.subject for envelope in envelopes]
    # Locked: what is told again comes beside what is told (resync). What is new here is in no link yet.
    before = await replica.find(
        session, ids, unscoped="only whether they have another customer than before is asked", lock=True
    )
    news = await replica.keep(session, envelopes)
    moved = [one.id for one in news if one.id in before and _customer(one.state) != before[one.id]["customer_id"]]
    if moved:
        await follow_customers(await SystemUnit.within(session, _REASON), moved)


async def follow_customers(unit: Writing, ids: Collection[uuid.UUID]) -> None:
    """Records that activities can be about have other customers now, as this transaction wrote: so have the activities about them.

    Activities are locked first: who links one has its row before it holds the customers. Only then are those waited for who link at
    this moment with the customers of before; what they wrote is looked for once more.
    """
    system = SystemUnit(session=unit.session, directory=unit.directory, calendar=unit.calendar, reason=_REASON)
    found = await _locked(system, ids)
    await lock_customers(unit.session)
    found |= await _locked(system, ids)
    customers = await customers_of(system, [link for one in found.values() for link in one["links"]])
    changes = [
        Change(index=index, record=one, values={"customer_id": customer_of(one["links"], customers)})
        for index, one in enumerate(found.values())
    ]
    await write_changes(system, ACTIVITY, changes, ACTIVITY_EVENTS.changed)


async def _locked(unit: SystemUnit, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Record]:
    """The activities about these records, locked; not the deleted ones, which look when they are restored."""
    linked = await about(unit.session, ids)
    return await lock_records(unit, ACTIVITY, linked) if linked else {}


def _customer(state: dict[str, object]) -> uuid.UUID | None:
    told = state["customer_id"]
    return None if told is None else id_of(told)
