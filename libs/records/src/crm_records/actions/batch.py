"""Many records in one request (PL-9): checked as a set, written in one statement per table, answered per row."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from crm_kernel import FieldError, Invalid, NotFound, Refusal
from crm_records.actions.change import change_of, change_records
from crm_records.actions.create import draft_of, prepare_drafts
from crm_records.drafts import Change, Draft, ExternalRef, Record
from crm_records.fields import FieldProblem
from crm_records.fields.references import id_of
from crm_records.hooks import Writing
from crm_records.inputs import Given, given_of, read_body, settings_of
from crm_records.locking import lock_records, refuse_out_of_scope
from crm_records.record_type import RecordType
from crm_records.references import ids_by_reference
from crm_records.refusals import ExternalRefRepeated, ExternalRefTaken, RecordRepeated
from crm_records.row_answers import Outcome
from crm_records.writing import write_drafts

Mode = Literal["create", "change", "upsert"]

#: How often rows are sorted out again when somebody else took an external reference at the same time.
_ATTEMPTS = 3


@dataclass
class _Row:
    """One row on its way. record_id: of the existing record that it is about; None: it makes a new one."""

    index: int
    given: Given
    record_id: uuid.UUID | None = None
    refusal: Refusal | None = None


async def write_batch(unit: Writing, record: RecordType, mode: Mode, raw_rows: Sequence[Any]) -> list[Outcome]:
    """Create, change or upsert; one outcome per row, in their order. A row that is refused stops no other.

    Rows are taken in their order; of two rows about the same record or external reference the second is refused.
    Raises Forbidden when the caller may not create, or change, at all.
    """
    require_mode(unit, record, mode)
    rows = [_read(record, mode, index, raw) for index, raw in enumerate(raw_rows)]
    _refuse_repeated(rows)
    await _find_existing(unit, record, mode, rows)
    outcomes = {row.index: Outcome(row.index, refusal=row.refusal) for row in rows if row.refusal is not None}
    open_rows = [row for row in rows if row.refusal is None]
    changing = [row for row in open_rows if row.record_id is not None]
    outcomes.update(await _change(unit, record, changing))
    outcomes.update(await _create(unit, record, [row for row in open_rows if row.record_id is None]))
    return [outcomes[index] for index in range(len(raw_rows))]


def require_mode(unit: Writing, record: RecordType, mode: Mode) -> None:
    """Raise Forbidden unless the caller may create, or change, or both."""
    if mode in ("create", "upsert"):
        unit.require(record.permission("create"))
    if mode in ("change", "upsert"):
        unit.require(record.permission("update"))


def _read(record: RecordType, mode: Mode, index: int, raw: Any) -> _Row:
    """A row checked in form: what it may hold depends on what it is to do."""
    nothing = Given({}, {}, None, None, False, None)
    try:
        if not isinstance(raw, dict):
            raise Invalid(errors=[FieldError("", "field.type", "Must be an object")])
        if mode == "create":
            return _Row(index, given_of(record, read_body(record.models.create, raw)))
        content = dict(raw)
        named = content.pop("id", None) if mode == "change" else None
        given = given_of(record, read_body(record.models.patch if mode == "change" else record.models.create, content))
        if named is not None:
            return _Row(index, given, _id(named))
        if given.external_ref is None:
            needed = "id or external_ref" if mode == "change" else "external_ref"
            raise Invalid(errors=[FieldError("/external_ref", "field.required", f"The row must name {needed}")])
        return _Row(index, given)
    except Refusal as refusal:
        return _Row(index, nothing, refusal=refusal)


def _id(raw: Any) -> uuid.UUID:
    try:
        return id_of(raw)
    except FieldProblem as problem:
        raise Invalid(errors=[FieldError("/id", problem.code, problem.detail)]) from None


def _refuse_repeated(rows: Sequence[_Row]) -> None:
    """Refuse rows whose external reference an earlier row has."""
    seen: set[ExternalRef] = set()
    for row in rows:
        reference = row.given.external_ref
        if row.refusal is not None or reference is None:
            continue
        if reference in seen:
            row.refusal = ExternalRefRepeated()
        seen.add(reference)


async def _find_existing(unit: Writing, record: RecordType, mode: Mode, rows: Sequence[_Row]) -> None:
    """Set the id of the record that each row is about, by external reference; refuse what can't be."""
    wanted = [row for row in rows if row.refusal is None and row.given.external_ref is not None]
    known = await ids_by_reference(unit.session, record, [ref for row in wanted if (ref := row.given.external_ref)])
    for row in wanted:
        found = known.get(row.given.external_ref) if row.given.external_ref else None
        if row.record_id is not None:
            # Named by id: the reference is a value to set, and must be free or its own.
            if found is not None and found != row.record_id:
                row.refusal = ExternalRefTaken()
        elif mode == "create":
            if found is not None:
                row.refusal = ExternalRefTaken()
        elif found is not None:
            row.record_id = found
        elif mode == "change":
            row.refusal = NotFound()


async def _change(unit: Writing, record: RecordType, rows: Sequence[_Row]) -> dict[int, Outcome]:
    """Change existing records. One that the caller doesn't see, or that is deleted, is not found."""
    if not rows:
        return {}
    found = await lock_records(unit, record, [row.record_id for row in rows if row.record_id is not None])
    settings = settings_of(unit)
    outcomes: dict[int, Outcome] = {}
    changes: list[Change] = []
    seen: set[uuid.UUID] = set()
    for row in rows:
        one = found.get(row.record_id) if row.record_id else None
        refusal = NotFound() if one is None else _why_not(unit, record, row, one, seen)
        if one is None or refusal is not None:
            outcomes[row.index] = Outcome(row.index, refusal=refusal)
            continue
        seen.add(one.id)
        change = change_of(unit, record, one, row.given, index=row.index, settings=settings)
        changes.append(change)
        outcomes[row.index] = Outcome(row.index, change=change)
    await change_records(unit, record, changes)
    return outcomes


def _why_not(unit: Writing, record: RecordType, row: _Row, one: Record, seen: Collection[uuid.UUID]) -> Refusal | None:
    """Why a row about a record that the caller sees changes nothing; None when it may."""
    if one.id in seen:
        return RecordRepeated()
    # An upsert says who would own a new record; it is no way to transfer an existing one.
    if row.given.owner_id is not None and row.given.owner_id != one.owner_id:
        detail = "The record has another owner; transfer it instead"
        return Invalid(errors=[FieldError("/owner_id", "field.read_only", detail)])
    return refuse_out_of_scope(unit, record, one, "write")


async def _create(unit: Writing, record: RecordType, rows: Sequence[_Row]) -> dict[int, Outcome]:
    if not rows:
        return {}
    settings = settings_of(unit)
    drafts = [draft_of(unit, record, row.given, index=row.index, settings=settings) for row in rows]
    kept = await prepare_drafts(unit, record, drafts)
    await _insert(unit, record, kept)
    written = [draft for draft in kept if draft.refusal is None]
    if written:
        await record.hooks.after_write(unit, written)
    return {draft.index: Outcome(draft.index, draft=draft) for draft in drafts}


async def _insert(unit: Writing, record: RecordType, drafts: Sequence[Draft]) -> None:
    """Insert all; when somebody took an external reference meanwhile, refuse those rows and insert the rest.

    A savepoint, because a failed statement would end the transaction and with it the other rows.
    """
    for attempt in range(_ATTEMPTS):
        open_drafts = [draft for draft in drafts if draft.refusal is None]
        if not open_drafts:
            return
        # Raw SQL: savepoints have no form in SQLAlchemy Core.
        await unit.session.connection.execute("SAVEPOINT batch")
        try:
            await write_drafts(unit, record, open_drafts)
        except asyncpg.UniqueViolationError:
            # Raw SQL: the same savepoint.
            await unit.session.connection.execute("ROLLBACK TO SAVEPOINT batch")
            if attempt == _ATTEMPTS - 1:
                raise
            references = [draft.external_ref for draft in open_drafts if draft.external_ref is not None]
            known = await ids_by_reference(unit.session, record, references)
            taken = [draft for draft in open_drafts if draft.external_ref in known]
            if not taken:
                # Some other value that must be unique: no row can be told apart, the whole request is refused.
                raise
            for draft in taken:
                draft.refuse(ExternalRefTaken())
        else:
            # Raw SQL: the same savepoint.
            await unit.session.connection.execute("RELEASE SAVEPOINT batch")
            return
