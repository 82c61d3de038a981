"""The analytics service: what it is made of."""

from crm_analytics.brief.routes import router as brief
from crm_analytics.contracts.routes import router as contracts
from crm_analytics.feed.routes import router as feed
from crm_analytics.funnel.routes import router as funnel
from crm_analytics.log.routes import router as log
from crm_analytics.outcomes.routes import router as outcomes
from crm_analytics.payments.routes import router as payments
from crm_analytics.permissions import PERMISSIONS
from crm_analytics.settings import AnalyticsSettings
from crm_analytics.webhook.routes import router as webhooks
from crm_analytics.worker import REACTIONS, SCHEDULES, WORKS
from crm_contracts.analytics import ANALYTICS_OPERATIONS
from crm_web import Service
from crm_web.operations import operation_permissions, operation_router

SERVICE = Service(
    name="analytics",
    title="Analytics",
    routers=[
        outcomes,
        funnel,
        contracts,
        payments,
        brief,
        log,
        feed,
        webhooks,
        operation_router(ANALYTICS_OPERATIONS, REACTIONS),
    ],
    permissions=[*PERMISSIONS, *operation_permissions("analytics")],
    reactions=REACTIONS,
    schedules=SCHEDULES,
    works=WORKS,
    settings=AnalyticsSettings,
)
