"""Fields that hold a day or an instant."""

import datetime as dt
import re
from typing import Any, ClassVar

import sqlalchemy as sa

from crm_kernel.periods import FIRST_DAY, LAST_DAY
from crm_records.fields.field import Field, FieldProblem, JsonSchema, Part
from crm_records.fields.numbers import ORDERED

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class Date(Field):
    """A day in the company's time zone: `2026-03-01`."""

    kind = "date"
    parts = (Part("", sa.Date()),)
    operators: ClassVar[frozenset[str]] = ORDERED | {"within_last", "before_next"}

    def parse(self, raw: Any) -> dt.date:
        return day_of(raw)

    def json(self, value: Any) -> Any:
        return None if value is None else value.isoformat()

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "date"}


class DateTime(Field):
    """An instant, RFC 3339 with a time zone; stored and shown in UTC."""

    kind = "date_time"
    parts = (Part("", sa.TIMESTAMP(timezone=True)),)
    operators: ClassVar[frozenset[str]] = ORDERED | {"within_last", "before_next"}

    def parse(self, raw: Any) -> dt.datetime:
        return instant_of(raw)

    def json(self, value: Any) -> Any:
        return None if value is None else instant_text(value)

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "date-time"}


def day_of(raw: Any) -> dt.date:
    """A day from JSON; FieldProblem."""
    if not isinstance(raw, str) or not _DAY.fullmatch(raw):
        raise FieldProblem("field.type", 'Must be a date like "2026-03-01"')
    try:
        day = dt.date.fromisoformat(raw)
    except ValueError:
        raise FieldProblem("field.format", "There is no such day") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise FieldProblem("calendar.day_out_of_range", "The date is outside the years 1000 to 9000")
    return day


def instant_of(raw: Any) -> dt.datetime:
    """An instant from JSON, in UTC, exact to the microsecond; FieldProblem."""
    match = _INSTANT.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise FieldProblem("field.type", 'Must be an instant with a time zone, like "2026-03-01T09:00:00Z"')
    day, time, zone = match.groups()
    try:
        if not FIRST_DAY <= dt.date.fromisoformat(day) <= LAST_DAY:
            raise FieldProblem("calendar.day_out_of_range", "The date is outside the years 1000 to 9000")
        seconds, _, fraction = time.partition(".")
        micros = (fraction + "000000")[:6]
        offset = "+00:00" if zone in "Zz" else zone
        return dt.datetime.fromisoformat(f"{day}T{seconds}.{micros}{offset}").astimezone(dt.UTC)
    except FieldProblem:
        raise
    except ValueError:
        raise FieldProblem("field.format", "There is no such instant") from None


def instant_text(value: dt.datetime) -> str:
    """An instant as the API shows it: RFC 3339 in UTC with `Z`."""
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
