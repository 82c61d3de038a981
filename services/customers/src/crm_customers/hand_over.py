"""What of a leaver's goes to the successor here (ID-6). Customers go first: contacts that follow them go along."""

from crm_contracts.customers import CUSTOMERS_HAND_OVERS
from crm_customers.contact.actions import CONTACT
from crm_customers.customer.actions import CUSTOMER
from crm_records.hand_over import HandOvers

HAND_OVERS = HandOvers(CUSTOMERS_HAND_OVERS, [CUSTOMER, CONTACT])
