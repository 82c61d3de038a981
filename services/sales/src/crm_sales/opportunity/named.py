"""The opportunities that the rows of a bulk action name, locked: each row gets its record, or the reason why not."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from crm_kernel import FieldError, Invalid, NotFound, Refusal
from crm_records import Change, ExternalRef, Record, Writing, ids_by_reference, lock_records, refuse_out_of_scope
from crm_records.inputs import read_body
from crm_records.refusals import RecordRepeated
from crm_records.row_answers import Outcome as RowOutcome
from crm_sales.opportunity.record import OPPORTUNITY

B = TypeVar("B", bound=BaseModel)


@dataclass
class Row(Generic[B]):
    """One row. body: None when it can't be read. record: None when it is refused."""

    index: int
    body: B | None = None
    record: Record | None = None
    change: Change | None = None
    refusal: Refusal | None = None

    def outcome(self) -> RowOutcome:
        """What became of the row, as bulk answers tell it."""
        if self.refusal is not None:
            return RowOutcome(self.index, refusal=self.refusal)
        if self.change is None and self.record is not None:
            # Nothing to do: as a change without a difference it is answered as unchanged.
            return RowOutcome(self.index, change=Change(index=self.index, record=self.record))
        return RowOutcome(self.index, change=self.change)


async def locked_rows(unit: Writing, model: type[B], raw_rows: Sequence[Any]) -> list[Row[B]]:
    """The rows with their records, locked; each may name a record once, by `id` or `external_ref`. In their order."""
    rows = [_read(model, index, raw) for index, raw in enumerate(raw_rows)]
    references = {row.index: ref for row in rows if (ref := _reference(row)) is not None}
    known = await ids_by_reference(unit.session, OPPORTUNITY, list(dict.fromkeys(references.values())))
    asked: dict[int, uuid.UUID] = {}
    for row in rows:
        if row.body is None:
            continue
        found = getattr(row.body, "id", None) or known.get(references.get(row.index, _NOWHERE))
        if found is None:
            row.refusal = NotFound()
        else:
            asked[row.index] = found
    records = await lock_records(unit, OPPORTUNITY, list(asked.values())) if asked else {}
    seen: set[uuid.UUID] = set()
    for row in rows:
        if row.index not in asked:
            continue
        record = records.get(asked[row.index])
        if record is None:
            row.refusal = NotFound()
        elif record.id in seen:
            row.refusal = RecordRepeated()
        else:
            seen.add(record.id)
            row.refusal = refuse_out_of_scope(unit, OPPORTUNITY, record, "write")
            row.record = None if row.refusal else record
    return rows


_NOWHERE = ExternalRef("", "")


def _reference(row: Row[B]) -> ExternalRef | None:
    return None if row.body is None or getattr(row.body, "id", None) else getattr(row.body, "external_ref", None)


def _read(model: type[B], index: int, raw: Any) -> Row[B]:
    try:
        if not isinstance(raw, dict):
            raise Invalid(errors=[FieldError("", "field.type", "Must be an object")])
        body = read_body(model, raw)
        if not isinstance(body, model):
            raise TypeError(f"{type(body).__name__} was read as {model.__name__}")
        if (getattr(body, "id", None) is None) == (getattr(body, "external_ref", None) is None):
            detail = "The row must name the opportunity by id or by external_ref"
            raise Invalid(errors=[FieldError("/id", "field.required", detail)])
        return Row(index, body)
    except Refusal as refusal:
        return Row(index, refusal=refusal)
