"""The metadata that all tables of this service stand in."""

from crm_database import service_metadata

metadata = service_metadata()
