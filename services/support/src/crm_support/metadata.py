"""The metadata of this service's tables."""

from crm_database import service_metadata

metadata = service_metadata()
