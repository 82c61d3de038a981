"""The crm command: local stack, demo data, operations."""
