"""What other services' events change in customers."""

from collections.abc import Sequence

from crm_contracts import Envelope
from crm_contracts.billing import CONTRACT_TOPIC, ContractApproved
from crm_contracts.sales import OPPORTUNITY_TOPIC, OpportunityWon
from crm_customers.customer.actions import Deal, note_deals
from crm_database import WriteSession
from crm_events import Reaction
from crm_records import SystemUnit


async def deals_made(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Won opportunities and approved contracts make their customers customers (SA-8, BI-4)."""
    deals = [deal for envelope in envelopes if (deal := _deal(envelope)) is not None]
    if deals:
        await note_deals(await SystemUnit.within(session, "the first deal makes a prospect a customer (SA-8)"), deals)


def _deal(envelope: Envelope) -> Deal | None:
    """The deal that an event tells of; None when its opportunity names no customer."""
    if envelope.type == ContractApproved.type:
        approved = ContractApproved.model_validate_json(envelope.data)
        return Deal(approved.state.customer_id, "contract", envelope.subject, approved.occurred_at)
    won = OpportunityWon.model_validate_json(envelope.data)
    if won.state.customer_id is None:
        return None
    return Deal(won.state.customer_id, "opportunity", envelope.subject, won.occurred_at)


REACTIONS = (
    Reaction(
        group="customers.deals",
        topics=(OPPORTUNITY_TOPIC.name, CONTRACT_TOPIC.name),
        types=frozenset({OpportunityWon.type, ContractApproved.type}),
        handle_batch=deals_made,
    ),
)
