import datetime as dt
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel import first_id_at, id_time, new_id

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)
instants = st.integers(0, (LAST - EPOCH) // dt.timedelta(microseconds=1)).map(
    lambda microseconds: EPOCH + dt.timedelta(microseconds=microseconds)
)


@pytest.mark.requirement("PL-2")
def test_new_ids_are_version_7_unique_and_ascending() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert {value.version for value in ids} == {7}
    assert all(type(value) is uuid.UUID for value in ids)
    assert ids == sorted(set(ids))


def test_an_id_carries_the_millisecond_it_was_made_in() -> None:
    before = dt.datetime.now(dt.UTC)
    made = id_time(new_id())
    after = dt.datetime.now(dt.UTC)
    assert before - dt.timedelta(milliseconds=1) < made <= after


@given(instants)
def test_the_first_id_of_an_instant_is_of_its_millisecond(instant: dt.datetime) -> None:
    bound = first_id_at(instant)
    assert bound.version == 7
    assert bound.variant == uuid.RFC_4122
    assert id_time(bound) == instant.replace(microsecond=instant.microsecond // 1000 * 1000)


@given(instants, st.integers(0, 2**12 - 1), st.integers(0, 2**62 - 1))
def test_the_first_id_is_before_all_of_its_millisecond_and_after_all_earlier_ones(
    instant: dt.datetime, a: int, b: int
) -> None:
    bound = first_id_at(instant)
    milliseconds = (instant - EPOCH) // dt.timedelta(milliseconds=1)
    layout = 0x7 << 76 | a << 64 | 0b10 << 62 | b  # RFC 9562: version, 12 random bits, variant, 62 random bits
    assert bound <= uuid.UUID(int=milliseconds << 80 | layout)
    assert milliseconds == 0 or uuid.UUID(int=(milliseconds - 1) << 80 | layout) < bound


@given(instants)
def test_the_first_id_has_no_bit_that_it_need_not_have(instant: dt.datetime) -> None:
    assert first_id_at(instant).int & (2**80 - 1) == 0x7 << 76 | 0b10 << 62


def test_an_id_of_another_version_carries_no_time() -> None:
    with pytest.raises(ValueError, match="not a UUIDv7"):
        id_time(uuid.uuid4())


def test_an_id_from_after_the_year_9999_is_a_value_error_not_an_overflow() -> None:
    with pytest.raises(ValueError, match="after the year 9999"):
        id_time(uuid.UUID("ffffffff-ffff-7fff-bfff-ffffffffffff"))


@pytest.mark.parametrize("instant", [dt.datetime(2017, 3, 5), dt.datetime(1969, 12, 31, tzinfo=dt.UTC)])  # noqa: DTZ001
def test_an_instant_without_a_zone_or_before_1970_has_no_first_id(instant: dt.datetime) -> None:
    with pytest.raises(ValueError, match=r"time zone|before 1970"):
        first_id_at(instant)
