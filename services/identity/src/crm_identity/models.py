"""What requests and answers of several slices are made of."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crm_kernel import FieldError, Invalid, Refusal
from crm_web.validation import body_errors

#: Text for people: without blanks around it, not empty.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
MAX_ROWS = 1000


def left_out() -> Any:
    """A member that may be left out of a PATCH; a factory, so that the documents don't call null its default."""
    return Field(default_factory=lambda: None)


class Request(BaseModel):
    """A body; unknown members are refused."""

    model_config = ConfigDict(extra="forbid")

    def given(self) -> dict[str, Any]:
        """The members that stand in the body."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class ExternalRef(Request):
    """Where the record is known under which id in another system; unique per record type."""

    system: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
    id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]

    @property
    def pair(self) -> tuple[str, str]:
        return self.system, self.id


class RowError(BaseModel):
    """What is wrong with one member of a row. pointer: JSON pointer into the request's body."""

    pointer: str
    code: str
    detail: str


class RowAnswer(BaseModel):
    """What became of one row. index: its place in the request."""

    index: int
    status: Literal["ok", "error"]
    done: Literal["created", "changed", "unchanged"] | None = None
    id: uuid.UUID | None = None
    code: str | None = None
    detail: str | None = None
    errors: list[RowError] | None = None


class RowsAnswer(BaseModel):
    """What became of each row, in the request's order."""

    ok: int
    failed: int
    rows: list[RowAnswer]


RowT = TypeVar("RowT", bound=Request)


def read_rows(model: type[RowT], rows: Sequence[Any]) -> tuple[dict[int, RowT], dict[int, RowAnswer]]:
    """Each row by itself: what can be read, and an answer for what can't. Keys are places in the request."""
    good: dict[int, RowT] = {}
    bad: dict[int, RowAnswer] = {}
    for index, row in enumerate(rows):
        try:
            good[index] = model.model_validate(row)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            bad[index] = refused(index, Invalid(errors=body_errors(found, row)))
    return good, bad


def refused(index: int, refusal: Refusal) -> RowAnswer:
    """The answer for a row that was refused; pointers lead into the request's body."""
    return RowAnswer(
        index=index,
        status="error",
        code=refusal.code,
        detail=refusal.detail,
        errors=[_in_row(index, error) for error in refusal.errors] or None,
    )


def rows_answer(rows: Sequence[RowAnswer]) -> RowsAnswer:
    """The whole answer."""
    ordered = sorted(rows, key=lambda row: row.index)
    failed = sum(1 for row in ordered if row.status == "error")
    return RowsAnswer(ok=len(ordered) - failed, failed=failed, rows=ordered)


def _in_row(index: int, error: FieldError) -> RowError:
    return RowError(pointer=f"/rows/{index}{error.pointer}", code=error.code, detail=error.detail)
