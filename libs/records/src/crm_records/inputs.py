"""What a caller sent for one record, checked in form; and then settled with what only the request knows."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from crm_kernel import FieldError, Invalid, Refusal
from crm_records.drafts import ExternalRef
from crm_records.fields import FieldProblem, Settings
from crm_records.fields.region import region_of
from crm_records.hooks import Writing
from crm_records.record_type import RecordType
from crm_records.refusals import OccurredInFuture
from crm_web.validation import body_errors

#: Clocks of other machines may run ahead of ours by so much before an instant counts as the future.
CLOCK_TOLERANCE = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Given:
    """values: only the fields that were given (a new record's defaults aside). The rest: None when not given."""

    values: dict[str, Any]
    inputs: dict[str, Any]
    owner_id: uuid.UUID | None
    external_ref: ExternalRef | None
    external_ref_given: bool
    occurred_at: dt.datetime | None


def given_of(record: RecordType, body: BaseModel) -> Given:
    """The content of a create, patch or row body."""
    sent = body.model_fields_set
    return Given(
        values={field.name: getattr(body, field.name) for field in record.writable if field.name in sent},
        inputs={name: getattr(body, name) for name in record.inputs if name in sent},
        owner_id=getattr(body, "owner_id", None),
        external_ref=getattr(body, "external_ref", None),
        external_ref_given="external_ref" in sent,
        occurred_at=getattr(body, "occurred_at", None),
    )


def read_body(model: type[BaseModel], raw: Any) -> BaseModel:
    """A row's body. Raises Invalid, with pointers that begin at the row."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise Invalid(errors=body_errors(found[:20], raw)) from None


def settings_of(unit: Writing) -> Settings:
    """The company's settings that values are understood with."""
    return Settings(region=region_of(unit.calendar.time_zone))


def settle_values(record: RecordType, values: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The values as they will be stored. Raises Invalid with all that is wrong."""
    settled: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, value in values.items():
        try:
            settled[name] = record.by_name[name].settle(value, settings)
        except FieldProblem as problem:
            errors.append(FieldError(f"/{name}", problem.code, problem.detail))
    if errors:
        raise Invalid(errors=errors)
    return settled


def check_occurred_at(unit: Writing, record: RecordType, occurred_at: dt.datetime | None) -> None:
    """Raise OccurredInFuture, or Forbidden when the caller may not enter what happened earlier."""
    if occurred_at is None:
        return
    if occurred_at > unit.now + CLOCK_TOLERANCE:
        detail = "What has happened did not happen in the future"
        raise OccurredInFuture(errors=[FieldError("/occurred_at", OccurredInFuture.code, detail)])
    unit.require(record.permission("backdate"))


def placed(refusal: Refusal, prefix: str) -> list[FieldError]:
    """The field errors of a row's refusal, with pointers into the whole body."""
    return [
        FieldError(
            f"{prefix}{error.pointer}" if error.pointer.startswith("/") or not error.pointer else error.pointer,
            error.code,
            error.detail,
        )
        for error in refusal.errors
    ]


def first_refusal(rows: Sequence[Any]) -> Refusal | None:
    """The refusal of the first refused row, for requests about one record."""
    return next((row.refusal for row in rows if row.refusal is not None), None)
