"""How a record type's operations are called, and how handlers get their types."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from crm_contracts import registry
from crm_records.fields import Select
from crm_records.numbers import format_number
from crm_records.record_type import RecordType


def singular(record: RecordType) -> str:
    """`customer`, in operation ids."""
    return record.name.replace("-", "_")


def plural(record: RecordType) -> str:
    """`customers`, in operation ids."""
    return record.plural.replace("-", "_")


def typed(handler: Callable[..., Any], **annotations: Any) -> Callable[..., Any]:
    """The handler with these annotations in the place of its own: models are made per record type, after the code was read."""
    handler.__annotations__ = {**handler.__annotations__, **annotations}
    return handler


_USER = "01900000-0000-7000-8000-000000000002"
#: A value per kind of field, where neither the field nor the contract has an example. None is empty: the documents drop nulls.
_SAMPLES: dict[str, Any] = {
    "text": "text",
    "long_text": "text",
    "phone": "+8221234567",
    "email": "anna@example.com",
    "url": "https://example.com",
    "integer": 1,
    "decimal": "1",
    "money": {"amount": "1234.50", "currency": "USD"},
    "checkbox": False,
    "date": "2026-03-01",
    "date_time": "2026-03-01T09:00:00Z",
    "reference": "01900000-0000-7000-8000-000000000006",
    "reference_list": [],
    "user": _USER,
}
_STANDARD: dict[str, Any] = {
    "id": "01900000-0000-7000-8000-000000000042",
    "version": 1,
    "owner_id": _USER,
    "external_ref": {"system": "erp", "id": "4711"},
    "custom": {},
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
    "created_by": _USER,
}
#: A cursor looks like this; examples show one, for the same reason.
EXAMPLE_CURSOR = "R0xZbFJ4d0tJb2lbeyJ0IjoiMjAyNi0wMy0wMVQwOTowMDowMFoifV0"


def example_view(record: RecordType) -> dict[str, Any]:
    """A record as an answer shows it: the contract's example, filled up."""
    state = registry.examples.get(record.events.created.type, {}).get("state", {})
    example: dict[str, Any] = {}
    for name in record.models.view.model_fields:
        value = state.get(name, _STANDARD.get(name))
        if value is None and name == "number" and record.number:
            value = format_number(record.number, 1, dt.date(2026, 3, 1))
        field = record.by_name.get(name)
        if value is None and field is not None:
            value = field.example if field.example is not None else field.default
            if value is None:
                value = field.values[0] if isinstance(field, Select) else _SAMPLES[field.kind]
        if value is None and name in record.parts:
            value = []
        if value is None and name in record.beside:
            value = record.beside[name].example
        if value is not None:
            example[name] = value
    return example
