"""What other services' events change in customers."""

from crm_contracts import Envelope
from crm_contracts.sales import OPPORTUNITY_TOPIC, OpportunityWon
from crm_customers.customer.actions import note_deal
from crm_database import WriteSession
from crm_events import Reaction
from crm_records import SystemUnit


async def opportunity_won(session: WriteSession, envelope: Envelope) -> None:
    """A won opportunity makes its customer a customer (SA-8)."""
    event = OpportunityWon.model_validate_json(envelope.data)
    if event.state.customer_id is None:
        return
    unit = await SystemUnit.within(session, "the first won deal makes a prospect a customer (SA-8)")
    await note_deal(unit, event.state.customer_id, envelope.subject, event.occurred_at)


REACTIONS = (
    Reaction(
        group="customers.deals",
        topics=(OPPORTUNITY_TOPIC.name,),
        types=frozenset({OpportunityWon.type}),
        handle=opportunity_won,
    ),
)
