"""The pydantic models of a record type's requests and answers. They refuse what they don't know."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema, create_model
from pydantic import Field as Info
from pydantic_core import PydanticCustomError

from crm_contracts import registry
from crm_records.drafts import ExternalRef
from crm_records.fields.field import FieldProblem, text_of
from crm_records.fields.references import id_of
from crm_records.fields.times import instant_of

if TYPE_CHECKING:
    from crm_records.record_type import RecordType

#: Rows, or ids, that one request deals with (PL-9); what is more becomes a job.
MAX_ROWS = 1000
#: Rows, or ids, that one job takes.
MAX_JOB_ROWS = 50_000

_STRICT = ConfigDict(extra="forbid")
_REF_SCHEMA = {
    "type": "object",
    "properties": {
        "system": {"type": "string", "minLength": 1, "maxLength": 50},
        "id": {"type": "string", "minLength": 1, "maxLength": 200},
    },
    "required": ["system", "id"],
    "additionalProperties": False,
    "description": "Where the record is known under which id in another system; unique per record type.",
}


def _custom(parse: Any) -> PlainValidator:
    def validate(raw: Any) -> Any:
        try:
            return parse(raw)
        except FieldProblem as problem:
            raise PydanticCustomError(problem.code, "{detail}", {"detail": problem.detail}) from None

    return PlainValidator(validate)


def _or_none(parse: Any) -> Any:
    return lambda raw: None if raw is None else parse(raw)


def _external_ref(raw: Any) -> ExternalRef:
    if isinstance(raw, ExternalRef):
        return raw
    if not isinstance(raw, Mapping) or set(raw) != {"system", "id"}:
        raise FieldProblem("field.type", 'Must be {"system": "erp", "id": "4711"}')
    system, given = text_of(raw["system"], 50), text_of(raw["id"], 200)
    if not system.strip() or not given.strip():
        raise FieldProblem("field.required", "Neither system nor id may be empty")
    return ExternalRef(system, given)


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


#: Annotations that records and services share.
Id = Annotated[uuid.UUID, _custom(id_of), WithJsonSchema({"type": "string", "format": "uuid"})]
Instant = Annotated[dt.datetime, _custom(instant_of), WithJsonSchema({"type": "string", "format": "date-time"})]
OptionalId = Annotated[
    uuid.UUID | None, _custom(_or_none(id_of)), WithJsonSchema({"type": ["string", "null"], "format": "uuid"})
]
OptionalInstant = Annotated[
    dt.datetime | None,
    _custom(_or_none(instant_of)),
    WithJsonSchema({"type": ["string", "null"], "format": "date-time"}),
]
OptionalRef = Annotated[ExternalRef | None, _custom(_or_none(_external_ref)), WithJsonSchema(_nullable(_REF_SCHEMA))]
Reason = Annotated[
    str | None,
    _custom(_or_none(lambda raw: text_of(raw, 500).strip() or None)),
    WithJsonSchema({"type": ["string", "null"], "maxLength": 500}),
]


@dataclass(frozen=True)
class Models:
    """create, patch: bodies. view: a whole record. item: a record in a list, perhaps not whole. listed: a list's answer.
    batch, batch_job: the body of a batch, of a large one. change_many: of a change of many records."""

    create: type[BaseModel]
    patch: type[BaseModel]
    view: type[BaseModel]
    item: type[BaseModel]
    listed: type[BaseModel]
    batch: type[BaseModel]
    batch_job: type[BaseModel]
    change_many: type[BaseModel]


class RowError(BaseModel):
    """What is wrong with one member of a row. pointer: JSON pointer into the request's body."""

    pointer: str
    code: str
    detail: str


class RowAnswer(BaseModel):
    """What became of one row. index: its place in the request. done: `created`, `changed`, `unchanged`, `transferred`."""

    index: int
    status: Literal["ok", "error"]
    done: Literal["created", "changed", "unchanged", "transferred"] | None = None
    id: uuid.UUID | None = None
    version: int | None = None
    code: str | None = None
    detail: str | None = None
    errors: list[RowError] | None = None


class RowsAnswer(BaseModel):
    """What became of each row, in the request's order."""

    ok: int
    failed: int
    rows: list[RowAnswer]


def left_out() -> Any:
    """A member that may be missing; a factory, so that the documents don't call null its default."""
    return Info(default_factory=lambda: None)


def build_models(record: RecordType) -> Models:
    """The models of a record type, named after it: CreateCustomer, PatchCustomer, Customer, …"""
    camel = "".join(part.capitalize() for part in record.name.split("-"))
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for field in record.writable:
        needed = field.required and field.default is None
        required[field.name] = (field.accepted(), ...) if needed else (field.accepted(), field.default)
        optional[field.name] = (field.accepted(), left_out())
    for name, annotation in record.inputs.items():
        required[name] = optional[name] = (annotation | None, None)
    common: dict[str, Any] = {
        "external_ref": (OptionalRef, None),
        "occurred_at": (
            OptionalInstant,
            Info(
                None, description=f"When it happened, if not now; needs the permission {record.permission('backdate')}."
            ),
        ),
    }
    owner: dict[str, Any] = {"owner_id": (OptionalId, Info(None, description="The caller, unless given."))}
    words = record.title.lower()
    examples = {"examples": [_example_body(record, required)]}
    create = _model(
        f"Create{camel}",
        f"A new {words}.",
        {**required, **(owner if record.scoped else {}), **common},
        ConfigDict(extra="forbid", json_schema_extra=examples),  # type: ignore[typeddict-item]
    )
    patch = _model(
        f"Patch{camel}", f"The fields of a {words} that change; those left out stay.", {**optional, **common}, _STRICT
    )
    view_fields = _view_fields(record)
    view = _model(camel, f"A {words}.", view_fields)
    item = _model(
        f"{camel}Item",
        f"A {words} in a list: all fields, or those asked for.",
        {name: (annotation, left_out()) for name, (annotation, _) in view_fields.items() if name not in record.parts},
    )
    listed = _model(
        f"{camel}List",
        "A page. `next`: the cursor of the next one, null on the last. `count`: when asked for.",
        {"items": (list[item], ...), "next": (str | None, ...), "count": (int | None, left_out())},  # type: ignore[valid-type]
    )
    return Models(
        create,
        patch,
        view,
        item,
        listed,
        _batch_model(f"Batch{camel}", create, patch, MAX_ROWS),
        _batch_model(f"BatchJob{camel}", create, patch, MAX_JOB_ROWS),
        _change_many_model(f"ChangeMany{camel}", patch),
    )


def _model(name: str, doc: str, fields: dict[str, Any], config: ConfigDict | None = None) -> type[BaseModel]:
    made: type[BaseModel] = create_model(name, __config__=config, __doc__=doc, **fields)
    return made


def _example_body(record: RecordType, members: dict[str, Any]) -> dict[str, Any]:
    """A body, from the contract's example."""
    state = registry.examples.get(record.events.created.type, {}).get("state", {})
    return {name: state[name] for name in members if name in state}


def _change_many_model(name: str, patch: type[BaseModel]) -> type[BaseModel]:
    properties = {member: schema for member, schema in _properties(patch).items() if member != "external_ref"}
    values_schema = {"type": "object", "properties": properties, "description": "The fields that change, and to what."}
    return _model(
        name,
        "Which records, by ids or by filter (exactly one of both), and what changes in each of them.",
        {
            "ids": (Annotated[list[Id], Info(min_length=1, max_length=MAX_JOB_ROWS)] | None, left_out()),
            "filter": (dict[str, Any] | None, left_out()),
            "values": (Annotated[Any, WithJsonSchema(values_schema)], ...),
        },
        _STRICT,
    )


def _batch_model(name: str, create: type[BaseModel], patch: type[BaseModel], most: int) -> type[BaseModel]:
    row_schema = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            **_properties(patch),
            **_properties(create),
        },
        "description": "Checked row by row; a row that is wrong is answered, and does not stop the others.",
    }
    row = Annotated[Any, WithJsonSchema(row_schema)]
    return _model(
        name,
        f"Up to {most} rows. mode `create`: each is new. `change`: each names its record by `id` or `external_ref`. "
        "`upsert`: each has an `external_ref`; the record that has it is changed, or created.",
        {
            "mode": (Literal["create", "change", "upsert"], ...),
            "rows": (Annotated[list[row], Info(min_length=1, max_length=most)], ...),
        },
        _STRICT,
    )


def _properties(model: type[BaseModel]) -> dict[str, Any]:
    """The schemas of a model's members, with what they refer to written out in its place."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolved(definitions[part["$ref"].rsplit("/", 1)[-1]])
            return {key: resolved(value) for key, value in part.items()}
        return [resolved(item) for item in part] if isinstance(part, list) else part

    found: dict[str, Any] = resolved(schema.get("properties", {}))
    return found


def _view_fields(record: RecordType) -> dict[str, Any]:
    found: dict[str, Any] = {"id": (Id, ...), "version": (int, ...)}
    if record.number:
        found["number"] = (str | None, ...)
    for field in record.fields:
        found[field.name] = (field.shown(), ...)
    for name, annotation in record.parts.items():
        found[name] = (annotation, ...)
    if record.scoped:
        found["owner_id"] = (OptionalId, ...)
    for name, one in record.beside.items():
        # Answers to changes leave it out.
        found[name] = (one.annotation | None, left_out())
    found["external_ref"] = (OptionalRef, ...)
    found["custom"] = (dict[str, Any], ...)
    found["created_at"] = (Instant, ...)
    found["updated_at"] = (Instant, ...)
    found["created_by"] = (OptionalId, ...)
    found["deleted_at"] = (OptionalInstant, left_out())
    return found
