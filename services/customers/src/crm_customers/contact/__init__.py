"""Contacts: people at customers (CU-30)."""
