"""Products over HTTP: the standard operations."""

from crm_records import record_router
from crm_sales.product.actions import PRODUCT
from crm_web import Router

router: Router = record_router(PRODUCT)
