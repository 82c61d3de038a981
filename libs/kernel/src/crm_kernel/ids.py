"""Identifiers: UUIDv7 (RFC 9562), ordered by the millisecond in which they were made (PL-2)."""

import datetime as dt
import uuid
from typing import Final

import uuid_utils.compat

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def new_id() -> uuid.UUID:
    """A fresh UUIDv7: unique, and ascending within one process."""
    return uuid_utils.compat.uuid7()


def id_time(value: uuid.UUID) -> dt.datetime:
    """The instant (UTC, millisecond precision) that a UUIDv7 carries.

    Raises ValueError for an id of another version (it carries no time) and for a time after the year 9999.
    """
    if value.version != 7:
        raise ValueError(f"{value} is not a UUIDv7")
    try:
        return _EPOCH + dt.timedelta(milliseconds=value.int >> 80)
    except OverflowError as error:  # 48 bits of milliseconds reach the year 10889.
        raise ValueError(f"{value} is from after the year 9999") from error


def first_id_at(instant: dt.datetime) -> uuid.UUID:
    """The smallest UUIDv7 of an instant's millisecond: the bound for "made at or after" in an index of ids.

    Raises ValueError for an instant without a time zone or outside the years 1970 to 9999.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    # Whole numbers all the way: timestamp() is a float.
    millis = (instant - _EPOCH) // dt.timedelta(milliseconds=1)
    if millis < 0:
        raise ValueError(f"{instant} is before 1970: no UUIDv7 is from then")
    return uuid.UUID(int=(millis << 80) | (0x7 << 76) | (0b10 << 62))
