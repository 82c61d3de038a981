"""Routes: transfer, members, owner history (PL-21, PL-22)."""

from typing import Any

from crm_authz import TargetOutOfScope
from crm_jobs import JobView, TooManyOpenJobs, accepted
from crm_kernel import NotFound, Stale
from crm_records.actions.members import members_json, put_member, remove_member
from crm_records.actions.transfer import require_target, transfer_records
from crm_records.history import read_owners
from crm_records.jobs.kinds import parameters_of, transfer_kind
from crm_records.jobs.matching import named_ids, start_over
from crm_records.locking import members_of
from crm_records.models import MAX_ROWS, Id, RowsAnswer
from crm_records.reading import read_record
from crm_records.record_type import RecordType
from crm_records.refusals import MemberIsOwner, OwnerNotActive, RecordOutOfScope, TooManyMatches, TooManyMembers
from crm_records.routes.bodies import MemberBody, MembersView, OwnersPage, TransferBody, TransferManyBody
from crm_records.routes.bulk import BULK
from crm_records.routes.history import page_of
from crm_records.routes.names import EXAMPLE_CURSOR, example_view, plural, singular
from crm_records.routes.single import whole
from crm_records.row_answers import rows_answer
from crm_records.rows import to_bytes
from crm_web import Json, ReadUnit, Router, WriteUnit

_SEEN = (NotFound, RecordOutOfScope, Stale)
_USER = "01900000-0000-7000-8000-000000000002"
_MEMBER = {"user_id": _USER, "right": "read", "expires_at": "2026-12-31T15:00:00Z"}


def add_ownership(router: Router, record: RecordType) -> None:
    """Add transfer, members and owner history."""
    _add_transfer(router, record)
    _add_members(router, record)


def _add_transfer(router: Router, record: RecordType) -> None:
    title = record.title.lower()
    path = f"{record.path}/{{id}}"

    async def transfer_one(id: Id, body: TransferBody, unit: WriteUnit) -> Any:
        (outcome,) = await transfer_records(
            unit, record, [id], body.to_user_id, stay=body.stay, reason=body.reason, match_version=True
        )
        if outcome.refused is not None:
            raise outcome.refused
        assert outcome.change is not None  # noqa: S101  (an outcome without a refusal has its change)
        after = outcome.change.after or outcome.change.record
        return Json(await whole(unit, record, after), etag=after.version)

    async def transfer_many(body: TransferManyBody, unit: WriteUnit) -> Any:
        if body.filter is not None:
            # Before looking for matches: who may give nobody anything learns nothing from their number.
            require_target(unit, record, body.to_user_id)
        ids = await named_ids(unit, record, "transfer", ids=body.ids, filter=body.filter)
        if ids is None:
            require_target(unit, record, body.to_user_id)
            asked = parameters_of(to_user_id=body.to_user_id, stay=body.stay, reason=body.reason)
            kind = transfer_kind(record)
            job = await start_over(unit, record, kind, "transfer", asked, ids=body.ids, filter=body.filter)
            return accepted(record.service, job)
        outcomes = await transfer_records(unit, record, ids, body.to_user_id, stay=body.stay, reason=body.reason)
        return Json(to_bytes(rows_answer(outcomes, "ids", ids=ids)))

    async def owners(id: Id, unit: ReadUnit, limit: int = 50, cursor: str | None = None) -> Any:
        return await page_of(unit, record, id, limit, cursor, read_owners)

    errors = (*_SEEN, TargetOutOfScope, OwnerNotActive, *record.refusals("transfer"))
    router.post(
        f"{path}/transfer",
        operation_id=f"transfer_{singular(record)}",
        summary=f"Give a {title} to another owner",
        permission=record.permission("transfer"),
        response=record.models.view,
        errors=errors,
        example=example_view(record),
    )(transfer_one)
    router.post(
        f"{record.path}/transfer",
        operation_id=f"transfer_{plural(record)}",
        summary=f"Give {title} records, by ids or filter, to another owner; more than {MAX_ROWS} as a job",
        permission=record.permission("transfer"),
        response=RowsAnswer,
        also={202: JobView},
        errors=(TargetOutOfScope, OwnerNotActive, TooManyMatches, TooManyOpenJobs),
        limits=BULK,
        example={
            "ok": 1,
            "failed": 0,
            "rows": [
                {"index": 0, "status": "ok", "done": "transferred", "id": example_view(record)["id"], "version": 2}
            ],
        },
    )(transfer_many)
    router.get(
        f"{path}/owners",
        operation_id=f"read_{singular(record)}_owners",
        summary=f"Who owned a {title}, from when, why and by whom",
        permission=record.permission("read"),
        response=OwnersPage,
        errors=(NotFound,),
        example={
            "items": [
                {
                    "version": 2,
                    "fact": "transferred",
                    "from_user_id": _USER,
                    "to_user_id": "01900000-0000-7000-8000-000000000003",
                    "reason": "moved to another team",
                    "by": {"kind": "user", "id": _USER},
                    "occurred_at": "2026-03-01T09:00:00Z",
                    "recorded_at": "2026-03-01T09:00:00Z",
                }
            ],
            "next": EXAMPLE_CURSOR,
        },
    )(owners)


def _add_members(router: Router, record: RecordType) -> None:
    title = record.title.lower()
    path = f"{record.path}/{{id}}/members"

    async def list_members(id: Id, unit: ReadUnit) -> Any:
        await read_record(unit.session, record, unit.scope(record.key, "read"), id)
        found = (await members_of(unit.session, record, [id])).get(id, [])
        return Json(to_bytes({"items": members_json(found)}))

    async def put(id: Id, user_id: Id, body: MemberBody, unit: WriteUnit) -> Any:
        after = await put_member(unit, record, id, user_id, body.right, body.expires_at)
        return Json(to_bytes({"items": members_json(after.members)}), etag=after.version)

    async def remove(id: Id, user_id: Id, unit: WriteUnit) -> Any:
        after = await remove_member(unit, record, id, user_id)
        return Json(to_bytes({"items": members_json(after.members)}), etag=after.version)

    named = singular(record)
    shown: dict[str, Any] = {"response": MembersView, "example": {"items": [_MEMBER]}}
    router.get(
        path,
        operation_id=f"list_{named}_members",
        summary=f"Who shares in a {title}",
        permission=record.permission("read"),
        errors=(NotFound,),
        **shown,
    )(list_members)
    router.put(
        f"{path}/{{user_id}}",
        operation_id=f"put_{named}_member",
        summary=f"Give a user access to one {title}, or change it",
        permission=record.permission("share"),
        errors=(*_SEEN, MemberIsOwner, OwnerNotActive, TooManyMembers),
        **shown,
    )(put)
    router.delete(
        f"{path}/{{user_id}}",
        operation_id=f"remove_{named}_member",
        summary=f"Take a user's access to one {title} away",
        permission=record.permission("share"),
        errors=_SEEN,
        **shown,
    )(remove)
