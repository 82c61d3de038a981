"""The composition root of the worker: what this service does with events, and when it does something by itself."""

from crm_events import Reaction, Schedule
from crm_support.contact.reactions import REACTIONS as CONTACT_REACTIONS
from crm_support.customer.reactions import REACTIONS as CUSTOMER_REACTIONS
from crm_support.hand_over import HAND_OVERS

REACTIONS: tuple[Reaction, ...] = (*CUSTOMER_REACTIONS, *CONTACT_REACTIONS, HAND_OVERS.reaction)
SCHEDULES: tuple[Schedule, ...] = ()
