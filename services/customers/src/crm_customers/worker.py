"""The composition root of the worker: what this service does with events, and when it does something by itself."""

from crm_customers.customer.reactions import REACTIONS as CUSTOMER_REACTIONS
from crm_customers.hand_over import HAND_OVERS
from crm_customers.timeline.reactions import REACTIONS as TIMELINE_REACTIONS
from crm_events import Reaction, Schedule

REACTIONS: tuple[Reaction, ...] = (*CUSTOMER_REACTIONS, *TIMELINE_REACTIONS, HAND_OVERS.reaction)
SCHEDULES: tuple[Schedule, ...] = ()
