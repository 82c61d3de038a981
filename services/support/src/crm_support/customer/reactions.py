"""Customers' events become the replica."""

from crm_support.customer.tables import CUSTOMERS

REACTIONS = (CUSTOMERS.reaction("support.customers"),)
