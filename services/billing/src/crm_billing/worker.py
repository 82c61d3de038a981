"""The composition root of the worker: what this service does with events, and when it does something by itself."""

from crm_billing.customer.reactions import REACTIONS as CUSTOMER_REACTIONS
from crm_billing.hand_over import HAND_OVERS
from crm_billing.opportunity.reactions import REACTIONS as OPPORTUNITY_REACTIONS
from crm_billing.product.reactions import REACTIONS as PRODUCT_REACTIONS
from crm_events import Reaction, Schedule

REACTIONS: tuple[Reaction, ...] = (*CUSTOMER_REACTIONS, *PRODUCT_REACTIONS, *OPPORTUNITY_REACTIONS, HAND_OVERS.reaction)
SCHEDULES: tuple[Schedule, ...] = ()
