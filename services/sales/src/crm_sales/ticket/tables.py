"""The replica of tickets: what is needed to say whether a caller may name one, and whose ticket it is; strangers' are no customer's."""

from crm_contracts.support import TICKET_TOPIC
from crm_records.replica import Column, Replica
from crm_sales.metadata import metadata

TICKETS = Replica(metadata, "support.ticket", TICKET_TOPIC, (Column("customer_id", "id"),))
