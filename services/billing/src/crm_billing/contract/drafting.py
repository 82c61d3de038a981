"""A contract drafted from a won opportunity (SA-8)."""

import uuid
from dataclasses import replace

from crm_billing.contract.known import visible
from crm_billing.contract.record import CONTRACT
from crm_billing.contract.rules import AlreadyDrafted, CustomerUnknown, OpportunityNotWon, OpportunityUnknown, pointed
from crm_billing.contract.store import drafted, lock_drafting
from crm_billing.opportunity.tables import OPPORTUNITIES
from crm_kernel import new_id
from crm_records import Draft, Record, Writing, create_records
from crm_records.lines import line_of, parts_of


async def draft_from_opportunity(unit: Writing, opportunity_id: uuid.UUID) -> Record:
    """The caller's draft, with customer, name, value and lines exactly as the opportunity has them.

    Raises OpportunityUnknown, OpportunityNotWon, AlreadyDrafted, CustomerUnknown.
    """
    if opportunity_id not in await visible(unit, OPPORTUNITIES, [opportunity_id]):
        raise pointed(OpportunityUnknown, "/opportunity_id")
    found = (await OPPORTUNITIES.find(unit.session, [opportunity_id], unscoped="the caller was just shown to see it"))[
        opportunity_id
    ]
    if found["outcome"] != "won":
        raise OpportunityNotWon(extra={"outcome": found["outcome"]})
    if found["customer_id"] is None:
        raise pointed(CustomerUnknown, "/opportunity_id", "The opportunity names no customer")
    await lock_drafting(unit.session)
    if await drafted(unit.session, [opportunity_id]):
        raise AlreadyDrafted
    # Lines of their own: a void contract's stay where they are.
    lines = [replace(line_of(state), id=new_id()) for state in found["lines"]]
    draft = Draft(
        index=0,
        id=new_id(),
        values={
            "name": found["name"],
            "customer_id": found["customer_id"],
            "opportunity_id": opportunity_id,
            "value": found["value"],
        },
        owner_id=unit.session.context.actor_id,
        parts=parts_of(lines),
    )
    made = await create_records(unit, CONTRACT, [draft])
    if draft.refusal is not None:
        raise draft.refusal
    return made[0]
