"""Events of the analytics service: it has no records of its own; what its operators did is told like everywhere."""

from crm_contracts.operations import operation_events

ANALYTICS_OPERATIONS = operation_events("analytics")
