"""Customers' events become the replica."""

from crm_sales.customer.tables import CUSTOMERS

REACTIONS = (CUSTOMERS.reaction("sales.customers"),)
