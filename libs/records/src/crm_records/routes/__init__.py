"""The standard operations of a record type."""

from crm_records.routes.router import record_router

__all__ = ["record_router"]
