"""Customers: companies and persons we deal with (CU-10)."""
