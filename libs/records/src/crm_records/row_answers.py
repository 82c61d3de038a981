"""What became of the rows of a bulk request, as the API answers it (PL-9)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crm_jobs import JobRow
from crm_kernel import Refusal
from crm_records.drafts import Change, Draft
from crm_records.inputs import placed

Done = Literal["created", "changed", "unchanged", "transferred"]


@dataclass
class Outcome:
    """One row's. refusal: why it was left out (or the refusal of its draft or change)."""

    index: int
    draft: Draft | None = None
    change: Change | None = None
    done: Done = "changed"
    refusal: Refusal | None = None
    #: For rows that were refused after their record was known.
    record_id: uuid.UUID | None = None

    @property
    def refused(self) -> Refusal | None:
        """The refusal, wherever it was noted."""
        if self.refusal is not None:
            return self.refusal
        row = self.draft or self.change
        return None if row is None else row.refusal

    def answer(self, prefix: str) -> dict[str, Any]:
        """The row's answer. prefix: pointer to the row in the body (`/rows/3`)."""
        refusal = self.refused
        if refusal is not None:
            return _error(self.index, refusal, prefix, self.record_id)
        if self.draft is not None:
            return {"index": self.index, "status": "ok", "done": "created", "id": str(self.draft.id), "version": 1}
        assert self.change is not None  # noqa: S101  (an outcome without a refusal has one of both)
        after = self.change.after or self.change.record
        unchanged = after.version == self.change.record.version
        done = "unchanged" if unchanged else self.done
        return {"index": self.index, "status": "ok", "done": done, "id": str(after.id), "version": after.version}

    def row(self, index: int, prefix: str) -> JobRow:
        """The row of a job. index: its place there. prefix: as in `answer`."""
        self.index = index
        shown = self.answer(prefix)
        record_id = shown.get("id")
        return JobRow(
            index=index,
            status=shown["status"],
            done=shown.get("done"),
            record_id=None if record_id is None else uuid.UUID(record_id),
            record_version=shown.get("version"),
            code=shown.get("code"),
            detail=shown.get("detail"),
            errors=shown.get("errors"),
        )


def _error(index: int, refusal: Refusal, prefix: str, record_id: uuid.UUID | None) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "index": index,
        "status": "error",
        "code": refusal.code,
        "detail": refusal.detail,
        "errors": [
            {"pointer": error.pointer, "code": error.code, "detail": error.detail} for error in placed(refusal, prefix)
        ],
    }
    if record_id is not None:
        answer["id"] = str(record_id)
    return answer


def rows_answer(outcomes: Sequence[Outcome], member: str, *, ids: Sequence[uuid.UUID] | None = None) -> dict[str, Any]:
    """The whole answer. member: of the body, in which the rows stand (`rows`, `ids`), or what is the same for all (`values`).

    ids: of the records that the rows are about, for those that were refused too.
    """
    rows = [outcome.answer("/values" if member == "values" else f"/{member}/{outcome.index}") for outcome in outcomes]
    for row, record_id in zip(rows, ids or (), strict=ids is not None):
        row.setdefault("id", str(record_id))
    failed = sum(1 for row in rows if row["status"] == "error")
    return {"ok": len(rows) - failed, "failed": failed, "rows": rows}
