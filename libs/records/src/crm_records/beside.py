"""What stands beside the fields in answers: something of the records that a field names, as far as the caller sees them."""

import uuid
from collections.abc import Sequence
from typing import Any

from crm_records.record_type import RecordType
from crm_web import ReadUnit


def needed_for(record: RecordType, beside: Sequence[str]) -> list[str]:
    """The fields that must be read to show these members."""
    return [record.beside[name].field for name in beside]


async def add_beside(
    unit: ReadUnit, record: RecordType, items: Sequence[dict[str, Any]], names: Sequence[str] | None = None
) -> None:
    """Fill the members of records' JSON, which has the fields that they are of. None where the caller sees nothing.

    names: which members; None: all that the record type has. One statement at most for each.
    """
    for name in record.beside if names is None else names:
        field = record.beside[name].field
        asked = list(dict.fromkeys(_id(item[field]) for item in items if item[field] is not None))
        found = await record.hooks.read_beside(unit, name, asked) if asked else {}
        for item in items:
            item[name] = None if item[field] is None else found.get(_id(item[field]))


def _id(value: Any) -> uuid.UUID:
    """A plain UUID, from the driver's or from text."""
    return uuid.UUID(value) if isinstance(value, str) else uuid.UUID(int=value.int)
