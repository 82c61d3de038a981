"""The analytics service: what it is made of."""

from crm_analytics.brief.routes import router as brief
from crm_analytics.contracts.routes import router as contracts
from crm_analytics.funnel.routes import router as funnel
from crm_analytics.log.routes import router as log
from crm_analytics.outcomes.routes import router as outcomes
from crm_analytics.payments.routes import router as payments
from crm_analytics.permissions import PERMISSIONS
from crm_analytics.worker import REACTIONS, SCHEDULES
from crm_web import Service

SERVICE = Service(
    name="analytics",
    title="Analytics",
    routers=[outcomes, funnel, contracts, payments, brief, log],
    permissions=PERMISSIONS,
    reactions=REACTIONS,
    schedules=SCHEDULES,
)
