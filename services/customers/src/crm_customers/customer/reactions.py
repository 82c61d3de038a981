"""What other services' events change in customers."""

from collections.abc import Sequence

from crm_contracts import Envelope
from crm_contracts.sales import OPPORTUNITY_TOPIC, OpportunityWon
from crm_customers.customer.actions import Deal, note_deals
from crm_database import WriteSession
from crm_events import Reaction
from crm_records import SystemUnit


async def opportunities_won(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Won opportunities make their customers customers (SA-8)."""
    won = [(envelope, OpportunityWon.model_validate_json(envelope.data)) for envelope in envelopes]
    deals = [
        Deal(event.state.customer_id, envelope.subject, event.occurred_at)
        for envelope, event in won
        if event.state.customer_id is not None
    ]
    if deals:
        await note_deals(
            await SystemUnit.within(session, "the first won deal makes a prospect a customer (SA-8)"), deals
        )


REACTIONS = (
    Reaction(
        group="customers.deals",
        topics=(OPPORTUNITY_TOPIC.name,),
        types=frozenset({OpportunityWon.type}),
        handle_batch=opportunities_won,
    ),
)
