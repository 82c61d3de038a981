"""Customers' events become the replica."""

from crm_billing.customer.tables import CUSTOMERS

REACTIONS = (CUSTOMERS.reaction("billing.customers"),)
