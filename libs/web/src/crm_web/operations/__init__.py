"""What operators do with a service's consumers over HTTP: dead letters, how far the groups are, resyncs. One for all services.

A service adds `operation_router(SUPPORT_OPERATIONS, REACTIONS)` to its routers, `operation_permissions("support")` to its permissions,
and `OPERATIONS_1` to its migrations. Every act is recorded as an event of the service (`crm_contracts.operations`).
"""

from crm_web.operations.permissions import operation_permissions
from crm_web.operations.routes import operation_router
from crm_web.operations.schema import OPERATIONS_1

__all__ = ["OPERATIONS_1", "operation_permissions", "operation_router"]
