"""Kinds of fields: what they take, and that what they show is what they take again."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel import Money
from crm_records import (
    Date,
    DateTime,
    DecimalNumber,
    Field,
    FieldProblem,
    IdList,
    Integer,
    LongText,
    MoneyField,
    Phone,
    Settings,
    Text,
    Url,
)
from crm_records.fields.region import region_of
from crm_records.numbers import format_number

KOREA = Settings(region="KR")


@pytest.mark.parametrize(
    ("written", "region", "stored"),
    [
        ("02-123-4567", "KR", "+8221234567"),
        ("010 1234 5678", "KR", "+821012345678"),
        ("+49 (0)30 123456", "KR", "+4930123456"),
        ("8 495 123-45-67", "RU", "+74951234567"),
        ("010-1234-5678", None, None),
        ("12", "KR", None),
        ("call me", "KR", None),
    ],
)
def test_telephone_numbers_are_stored_as_e164(written: str, region: str | None, stored: str | None) -> None:
    field = Phone("phone")
    value = field.parse(written)
    if stored is None:
        with pytest.raises(FieldProblem):
            field.settle(value, Settings(region))
    else:
        assert field.settle(value, Settings(region)) == stored
        assert field.settle(stored, Settings(region)) == stored


def test_the_region_is_the_time_zones_country() -> None:
    assert [region_of(zone) for zone in ("Asia/Seoul", "Europe/Moscow", "Asia/Shanghai", "UTC")] == [
        "KR",
        "RU",
        "CN",
        None,
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Text("x"), "가나다"),
        (LongText("x"), " a\n b "),
        (Integer("x"), -5),
        (DecimalNumber("x", digits=2), Decimal("12.50")),
        (MoneyField("x"), Money(1250, "USD")),
        (Date("x"), dt.date(2026, 2, 28)),
        (DateTime("x"), dt.datetime(2026, 2, 28, 1, 2, 3, 456789, dt.UTC)),
        (IdList("x", to="a.b"), (uuid.UUID(int=5), uuid.UUID(int=6))),
        (Url("x"), "https://example.com/가?a=b#c"),
    ],
)
def test_what_is_shown_is_taken_again_as_the_same(field: Field, value: Any) -> None:
    assert field.parse(field.json(value)) == value


@given(st.datetimes(dt.datetime(1000, 1, 3), dt.datetime(9000, 12, 29), timezones=st.timezones()))  # noqa: DTZ001
def test_instants_keep_their_moment_whatever_the_zone(instant: dt.datetime) -> None:
    offset = instant.utcoffset() or dt.timedelta()
    if offset.total_seconds() % 60:
        return  # Zones of old had seconds; RFC 3339 can't write them.
    field = DateTime("x")
    # In one zone: Python finds two instants in the hour that comes twice unequal when their zones differ.
    moment = instant.astimezone(dt.UTC)
    assert field.parse(instant.isoformat()) == moment
    assert field.parse(field.json(instant)) == moment


def test_ids_are_kept_once_and_in_order() -> None:
    a, b = uuid.uuid4(), uuid.uuid4()
    assert IdList("x", to="a.b").parse([str(b), str(a), str(b).upper()]) == (b, a)


def test_numbers_follow_the_pattern() -> None:
    assert format_number("AACC-{yy}{mm}-{n:04}", 7, dt.date(2012, 11, 5)) == "AACC-1211-0007"
    assert format_number("{yyyy}/{dd}/{n}", 123456, dt.date(2012, 11, 5)) == "2012/05/123456"
