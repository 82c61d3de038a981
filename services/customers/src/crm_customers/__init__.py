"""The customers service: customers, contacts, the public pool."""
