"""The contract as a record type: its hooks say what must hold when one is created, changed, deleted or restored (BI-1, BI-2)."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from crm_billing.contract.known import known_for_changes, known_for_drafts
from crm_billing.contract.rules import (
    AlreadyDrafted,
    CustomerUnknown,
    EndsBeforeStart,
    NotDraft,
    ValueFromLines,
    check_removable,
)
from crm_billing.contract.settle import settle_change, settle_draft
from crm_billing.contract.store import drafted, instalments_of, lock_drafting
from crm_billing.contract.tables import CONTRACT_FIELDS, contract, contract_line
from crm_contracts.billing import CONTRACT_EVENTS, ContractState, InstalmentState
from crm_contracts.records import LineState, TotalsState
from crm_database import ReadSession
from crm_kernel.errors import Refusal
from crm_records import Change, Draft, RecordHooks, RecordType, Writing, open_while
from crm_records.lines import Lines, LinesInvalid, line_of, lines_of, parts_of, replace_lines


class ContractHooks(RecordHooks):
    """Customer, value, lines and status of new and changed contracts."""

    refusals: ClassVar = {
        "create": (CustomerUnknown, EndsBeforeStart, LinesInvalid, ValueFromLines),
        "change": (NotDraft, CustomerUnknown, EndsBeforeStart, LinesInvalid, ValueFromLines),
        "delete": (NotDraft,),
        "restore": (AlreadyDrafted,),
    }

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        known = await known_for_drafts(unit, drafts)
        for draft in drafts:
            try:
                settle_draft(known, draft)
            except Refusal as refusal:
                draft.refuse(refusal)

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        known = await known_for_changes(unit, changes)
        for change in changes:
            try:
                settle_change(known, change)
            except Refusal as refusal:
                change.refuse(refusal)

    async def prepare_delete(
        self,
        unit: Writing,  # noqa: ARG002  (the hook's signature)
        changes: Sequence[Change],
    ) -> None:
        for change in changes:
            try:
                check_removable(change.record["status"])
            except Refusal as refusal:
                change.refuse(refusal)

    async def prepare_restore(self, unit: Writing, changes: Sequence[Change]) -> None:
        """Meanwhile the opportunity may have another contract."""
        claiming = [one for one in changes if one.record["opportunity_id"] and one.record["status"] != "void"]
        if not claiming:
            return
        await lock_drafting(unit.session)
        taken = await drafted(unit.session, [one.record["opportunity_id"] for one in claiming])
        for change in claiming:
            if change.record["opportunity_id"] in taken:
                change.refuse(AlreadyDrafted())

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        lines = {row.id: [line_of(state) for state in row.parts["lines"]] for row in rows if "lines" in row.parts}
        if lines:
            new = [row.id for row in rows if isinstance(row, Draft)]
            await replace_lines(unit.session, contract_line, lines, new=new)

    async def read_parts(self, session: ReadSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, dict[str, Any]]:
        lines = await lines_of(session, contract_line, ids)
        plans = await instalments_of(session, ids)
        return {key: {**parts_of(lines[key]), "instalments": [one.json() for one in plans[key]]} for key in lines}


CONTRACT = RecordType(
    service="billing",
    name="contract",
    plural="contracts",
    title="Contract",
    titles={"ko": "계약", "zh": "合同", "ru": "Договор"},
    table=contract,
    events=CONTRACT_EVENTS,
    state=ContractState,
    fields=CONTRACT_FIELDS,
    number="CTR-{yy}{mm}-{n:04}",
    hooks=ContractHooks(),
    open=open_while("status", "draft", "in_approval", "active"),
    parts={"lines": list[LineState], "totals": TotalsState | None, "instalments": list[InstalmentState]},
    inputs={"lines": Lines},
)
