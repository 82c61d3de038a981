"""Customers over HTTP: the standard operations, lock and unlock."""

import uuid

from crm_customers.customer.actions import CUSTOMER, set_locked
from crm_kernel import NotFound, Stale
from crm_records import RecordOutOfScope, record_router, view_of
from crm_web import Json, Router, WriteUnit

router: Router = record_router(CUSTOMER)


@router.post(
    "/customers/{id}/lock",
    permission="customers.customer:lock",
    summary="Lock a customer: it is never recycled nor released (CU-13)",
    errors=[NotFound, RecordOutOfScope, Stale],
    response=CUSTOMER.models.view,
)
async def lock_customer(id: uuid.UUID, unit: WriteUnit) -> Json:
    found = await set_locked(unit, id, True)
    return Json(view_of(CUSTOMER, found), etag=found.version)


@router.post(
    "/customers/{id}/unlock",
    permission="customers.customer:lock",
    summary="Unlock a customer",
    errors=[NotFound, RecordOutOfScope, Stale],
    response=CUSTOMER.models.view,
)
async def unlock_customer(id: uuid.UUID, unit: WriteUnit) -> Json:
    found = await set_locked(unit, id, False)
    return Json(view_of(CUSTOMER, found), etag=found.version)
