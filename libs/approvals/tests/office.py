"""A tiny service with something to approve: memos, which are drafts, then wait, and then are in force or drafts again."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from crm_approvals import (
    APPROVALS_1,
    Approval,
    Subject,
    approval_permissions,
    approval_router,
    require_none_pending,
    submit,
    withdraw_subject,
)
from crm_authz import AUTHZ_1
from crm_contracts import Event, Registry, Topic
from crm_contracts.approvals import approval_events
from crm_contracts.examples import USER, owned
from crm_contracts.records import STANDARD_FACTS, RecordState, StandardEvents, TransferredEvent
from crm_database import service_metadata
from crm_events.schema import JOURNAL_1
from crm_kernel import Conflict
from crm_records import (
    TEXT_1,
    Change,
    Id,
    Integer,
    Record,
    RecordHooks,
    RecordType,
    Select,
    SystemUnit,
    Text,
    Writing,
    ddl,
    lock_one,
    record_permissions,
    record_router,
    record_table,
    write_changes,
)
from crm_web import Json, Service, WriteUnit
from crm_web.idempotency import IDEMPOTENCY_1

#: Not the product's registry: these contracts are nobody's.
registry = Registry()
APPROVALS = approval_events("office", consumers=("archive",), registry=registry)


class MemoState(RecordState):
    name: str
    sum: int | None = None
    status: str = "draft"


def _memo_events() -> StandardEvents[Any]:
    """What crm_contracts.records.standard_events does, in a registry of our own."""
    topic = registry.topic(Topic("crm.office.memo", "office", (), "memos"))
    types: dict[str, type[Event[Any]]] = {}
    for fact, words in STANDARD_FACTS.items():
        parent: Any = TransferredEvent[MemoState] if fact == "transferred" else Event[MemoState]
        model = type(f"memo{fact}", (parent,), {"__doc__": words, "__module__": __name__})
        extra = {"from_user_id": None, "to_user_id": USER} if fact == "transferred" else {}
        example = owned(
            {"name": "A", "created_at": "2026-03-01T09:00:00Z", "updated_at": "2026-03-01T09:00:00Z"}, **extra
        )
        types[fact] = registry.event(f"{topic.name}.{fact}.v1", topic, example=example)(model)
    return StandardEvents(topic, types)


class NoMoney(Conflict):
    code = "memo.no_money"
    title = "There is no money left for this"


class MemoHooks(RecordHooks):
    """While it waits for a decision, a memo is not changed."""

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        await require_none_pending(unit.session, MEMO_SUBJECT, [change.id for change in changes])


FIELDS = (
    Text("name", required=True, max_length=200),
    Integer("sum", minimum=0, maximum=10_000),
    Select("status", ("draft", "waiting", "in_force"), read_only=True, default="draft"),
)
metadata = service_metadata()
memo = record_table(metadata, "memo", FIELDS)
MEMO = RecordType(
    service="office",
    name="memo",
    plural="memos",
    title="Memo",
    titles={"ko": "메모", "zh": "备忘录", "ru": "Записка"},
    table=memo,
    events=_memo_events(),
    state=MemoState,
    fields=FIELDS,
    hooks=MemoHooks(),
)


async def freeze(unit: Writing, records: Sequence[Record]) -> Mapping[uuid.UUID, Mapping[str, Any]]:
    """With what JSON has no form of its own for. Whose it is and the day don't count: they may be others at the approval."""
    return {
        one.id: {"name": one["name"], "sum": one["sum"], "owner": one.owner_id, "on": unit.now.date()}
        for one in records
    }


async def _becomes(unit: Writing, found: Record, status: str) -> None:
    system = SystemUnit(unit.session, unit.directory, unit.calendar, "the approval decides")
    change = Change(index=0, record=found, values={"status": status})
    await write_changes(system, MEMO, [change], MEMO.events.changed)


async def approved(unit: Writing, approval: Approval, found: Record) -> None:
    """Above 9,000 there is no money: the reaction refuses, and so the decision is not made."""
    if (approval.snapshot["sum"] or 0) > 9000:
        raise NoMoney
    await _becomes(unit, found, "in_force")


async def sent_back(unit: Writing, approval: Approval, found: Record) -> None:
    assert approval.subject_id == found.id
    await _becomes(unit, found, "draft")


MEMO_SUBJECT = Subject(
    record=MEMO,
    events=APPROVALS,
    title=lambda record: record["name"],
    snapshot=freeze,
    counting=("name", "sum"),
    approved=approved,
    rejected=sent_back,
    withdrawn=sent_back,
)

router = record_router(MEMO)


@router.post("/memos/{id}/submit", permission="office.memo:update", summary="Submit a memo")
async def submit_memo(id: Id, unit: WriteUnit) -> Json:
    found = await lock_one(unit, MEMO, id, "write")
    change = Change(index=0, record=found, values={"status": "waiting"})
    await write_changes(unit, MEMO, [change], MEMO.events.changed)
    made = await submit(unit, MEMO_SUBJECT, change.after or found, "Please")
    return Json({"id": made.id, "approvers": list(made.steps[0].approvers), "digest": made.snapshot_digest})


@router.post("/memos/{id}/withdraw", permission="office.memo:update", summary="Take a memo back")
async def withdraw_memo(id: Id, unit: WriteUnit) -> Json:
    done = await withdraw_subject(unit, MEMO_SUBJECT, uuid.UUID(int=id.int))
    return Json({"status": done.status})


SERVICE = Service(
    name="office",
    title="Office",
    routers=[router, approval_router("office", [MEMO_SUBJECT])],
    permissions=[*record_permissions(MEMO), *approval_permissions("office")],
)

TABLES: tuple[str, ...] = (*JOURNAL_1, *AUTHZ_1, *IDEMPOTENCY_1, *TEXT_1, *APPROVALS_1, *ddl(memo))
