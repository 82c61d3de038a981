"""The composition root of the worker: what this service does with events, and when it does something by itself."""

from crm_events import Reaction, Schedule
from crm_sales.contact.reactions import REACTIONS as CONTACT_REACTIONS
from crm_sales.contract.reactions import REACTIONS as CONTRACT_REACTIONS
from crm_sales.customer.reactions import REACTIONS as CUSTOMER_REACTIONS
from crm_sales.hand_over import HAND_OVERS
from crm_sales.ticket.reactions import REACTIONS as TICKET_REACTIONS

REACTIONS: tuple[Reaction, ...] = (
    *CUSTOMER_REACTIONS,
    *CONTACT_REACTIONS,
    *CONTRACT_REACTIONS,
    *TICKET_REACTIONS,
    HAND_OVERS.reaction,
)
SCHEDULES: tuple[Schedule, ...] = ()
