"""Contracts over HTTP: the standard operations, drafting, instalments, approval, end, balance and ledger."""

from crm_approvals import AlreadyDecided, NoApprover, NotPending, NotSubmitter
from crm_billing.contract.actions import (
    put_instalments,
    submit_contract,
    terminate_contract,
    void_contract,
    withdraw_contract,
)
from crm_billing.contract.bodies import (
    BalanceView,
    EntryList,
    FromOpportunityBody,
    InstalmentList,
    InstalmentsBody,
    SubmitBody,
    TerminateBody,
)
from crm_billing.contract.drafting import draft_from_opportunity
from crm_billing.contract.plan import InstalmentPaid, PlanInvalid, SumDiffers
from crm_billing.contract.record import CONTRACT
from crm_billing.contract.rules import (
    AlreadyDrafted,
    CustomerUnknown,
    NotActive,
    NotDraft,
    OpportunityNotWon,
    OpportunityUnknown,
    ValueMissing,
)
from crm_billing.contract.shown import balance_view, entry_views, instalment_views, seen_contract
from crm_kernel import NotFound, Stale
from crm_records import Id, Record, RecordOutOfScope, record_router, whole
from crm_web import Json, ReadUnit, Router, WriteUnit

router: Router = record_router(CONTRACT)

_SEEN = (NotFound, RecordOutOfScope, Stale)


@router.post(
    "/contracts/from-opportunity",
    permission="billing.contract:create",
    summary="Draft a contract from a won opportunity: its customer, name, value and lines",
    operation_id="draft_contract_from_opportunity",
    status=201,
    errors=[OpportunityUnknown, OpportunityNotWon, AlreadyDrafted, CustomerUnknown],
    response=CONTRACT.models.view,
)
async def draft_from_won(body: FromOpportunityBody, unit: WriteUnit) -> Json:
    made = await draft_from_opportunity(unit, body.opportunity_id)
    location = f"{router.prefix}/contracts/{made.id}"
    return Json(await whole(unit, CONTRACT, made), status=201, etag=made.version, location=location)


@router.get(
    "/contracts/{id}/instalments",
    permission="billing.contract:read",
    summary="A contract's instalments, with what came in and their status today",
    errors=[NotFound],
    snapshot=True,
)
async def read_contract_instalments(id: Id, unit: ReadUnit) -> InstalmentList:
    return InstalmentList(items=await instalment_views(unit, await seen_contract(unit, id)))


@router.put(
    "/contracts/{id}/instalments",
    permission="billing.contract:update",
    summary="Replace a contract's instalments; those of an active contract need the permission to plan besides",
    errors=[*_SEEN, NotDraft, PlanInvalid, SumDiffers, InstalmentPaid],
    response=CONTRACT.models.view,
)
async def put_contract_instalments(id: Id, body: InstalmentsBody, unit: WriteUnit) -> Json:
    return await _answer(unit, await put_instalments(unit, id, [one.given() for one in body.instalments]))


@router.post(
    "/contracts/{id}/submit",
    permission="billing.contract:submit",
    summary="Submit a draft for approval",
    errors=[*_SEEN, NotDraft, ValueMissing, SumDiffers, NoApprover],
    response=CONTRACT.models.view,
)
async def submit_one_contract(id: Id, body: SubmitBody, unit: WriteUnit) -> Json:
    return await _answer(unit, await submit_contract(unit, id, (body.comment or "").strip() or None))


@router.post(
    "/contracts/{id}/withdraw",
    permission="billing.contract:submit",
    summary="Take back a contract that one has submitted, before it is decided",
    errors=[NotFound, Stale, NotPending, NotSubmitter, AlreadyDecided],
    response=CONTRACT.models.view,
)
async def withdraw_one_contract(id: Id, unit: WriteUnit) -> Json:
    return await _answer(unit, await withdraw_contract(unit, id))


@router.post(
    "/contracts/{id}/terminate",
    permission="billing.contract:terminate",
    summary="End an active contract before its time; what is open is not asked for any more",
    errors=[*_SEEN, NotActive],
    response=CONTRACT.models.view,
)
async def terminate_one_contract(id: Id, body: TerminateBody, unit: WriteUnit) -> Json:
    return await _answer(unit, await terminate_contract(unit, id, body.reason))


@router.post(
    "/contracts/{id}/void",
    permission="billing.contract:update",
    summary="Give a draft up for good",
    errors=[*_SEEN, NotDraft],
    response=CONTRACT.models.view,
)
async def void_one_contract(id: Id, unit: WriteUnit) -> Json:
    return await _answer(unit, await void_contract(unit, id))


@router.get(
    "/contracts/{id}/balance",
    permission="billing.contract:read",
    summary="What a contract comes to, what came in, and what is open",
    errors=[NotFound],
    snapshot=True,
)
async def read_contract_balance(id: Id, unit: ReadUnit) -> BalanceView:
    return await balance_view(unit, id)


@router.get(
    "/contracts/{id}/ledger",
    permission="billing.contract:read",
    summary="The immutable entries that prove a contract's balance",
    errors=[NotFound],
    snapshot=True,
)
async def read_contract_ledger(id: Id, unit: ReadUnit) -> EntryList:
    return EntryList(items=await entry_views(unit, id))


async def _answer(unit: WriteUnit, found: Record) -> Json:
    return Json(await whole(unit, CONTRACT, found), etag=found.version)
