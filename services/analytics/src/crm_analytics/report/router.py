"""How reports are declared: below /api/analytics/v1, for those to whom the module is open.

Not `scoped`: the scope that counts is the one of the records that a report is about, and each report asks for it.
"""

from typing import Final

from crm_web import Router

PERMISSION: Final = "analytics.report:read"


def report_router() -> Router:
    """A router for one report."""
    return Router("analytics", tag="reports", module="analytics")
