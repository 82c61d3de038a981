"""Payments over HTTP: the standard operations; they are decided on and withdrawn as approvals."""

from crm_billing.payment.record import PAYMENT
from crm_records import record_router
from crm_web import Router

router: Router = record_router(PAYMENT)
