"""Many rows in one statement: every type arrives as it was sent."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_database import Database, WriteContext, insert_rows, query, update_rows
from crm_kernel import MAX_MINOR, new_id

from .conftest import kinds, record

_ALL = query(sa.select(kinds).order_by(kinds.c.id))

ROW: dict[str, Any] = {
    "id": uuid.UUID("01900000-0000-7000-8000-000000000001"),
    "version": 1,
    "text": "김철수 'quoted' \"twice\" \\ back\\u0000slash\n☃ 🙂 {a,b} NULL",
    "small": -32768,
    "minor": MAX_MINOR,
    "exact": Decimal("12345678901234.567890"),
    "yes": True,
    "day": dt.date(2026, 2, 28),
    "at": dt.datetime(2026, 11, 23, 10, 11, 12, 123456, tzinfo=dt.timezone(dt.timedelta(hours=9))),
    "document": {"a": [1, None, {"b": "☃"}], "id": "x", "deep": {"": []}},
    "words": ["a", "", "b,c", "{}", 'q"', "NULL", "김"],
    "ids": [uuid.UUID(int=1), uuid.UUID(int=2)],
    "numbers": [-MAX_MINOR, 0, MAX_MINOR],
    "days": [dt.date(1, 1, 1), dt.date(9999, 12, 31)],
}


async def rows_of(db: Database) -> list[dict[str, Any]]:
    async with db.read() as session:
        return [dict(row) for row in await session.fetch(_ALL)]


async def test_every_type_comes_back_as_it_was(db: Database, context: WriteContext) -> None:
    async with db.write(context) as session:
        await insert_rows(session, kinds, [ROW])
    assert await rows_of(db) == [ROW]


async def test_nulls_and_empty_arrays_stay_apart(db: Database, context: WriteContext) -> None:
    nothing = {**dict.fromkeys(ROW), "id": ROW["id"]}
    empty = {
        **nothing,
        "id": uuid.UUID(int=9),
        "words": [],
        "ids": [],
        "numbers": [],
        "days": [],
        "text": "",
        "document": [],
    }
    async with db.write(context) as session:
        await insert_rows(session, kinds, [empty, nothing])
    found = await rows_of(db)
    assert [row["words"] for row in found] == [[], None]
    assert [row["text"] for row in found] == ["", None]
    assert [row["document"] for row in found] == [[], None]


async def test_rows_are_updated_by_key_and_the_number_is_told(db: Database, context: WriteContext) -> None:
    other = {**ROW, "id": uuid.UUID(int=2)}
    async with db.write(context) as session:
        await insert_rows(session, kinds, [ROW, other])
        changed = await update_rows(
            session,
            kinds,
            [
                {"id": ROW["id"], "text": "new", "minor": -MAX_MINOR, "words": None},
                {"id": uuid.UUID(int=2), "text": None, "minor": 0, "words": ["x"]},
                {"id": uuid.UUID(int=77), "text": "nobody", "minor": 0, "words": []},
            ],
        )
    assert changed == 2
    assert await rows_of(db) == [
        {**other, "text": None, "minor": 0, "words": ["x"]},
        {**ROW, "text": "new", "minor": -MAX_MINOR, "words": None},
    ]


async def test_no_rows_are_no_statement(db: Database, context: WriteContext) -> None:
    async with db.write(context) as session:
        await insert_rows(session, kinds, [])
        assert await update_rows(session, kinds, []) == 0


async def test_a_thousand_rows_are_one_statement(db: Database, context: WriteContext) -> None:
    rows = [{**ROW, "id": new_id(), "text": str(number)} for number in range(1000)]
    sent: list[str] = []
    async with db.write(context) as session:
        with session.connection.query_logger(lambda logged: sent.append(logged.query)):
            await insert_rows(session, kinds, rows)
    assert len(sent) == 1
    assert {row["text"] for row in await rows_of(db)} == {str(number) for number in range(1000)}


@pytest.mark.parametrize("value", ["a\x00b", "\x00", ["\x00"], {"k": "\x00"}])
async def test_nul_is_refused_by_the_database_and_nothing_is_written(
    db: Database, context: WriteContext, value: Any
) -> None:
    column = {str: "text", list: "words", dict: "document"}[type(value)]
    with pytest.raises(asyncpg.UntranslatableCharacterError):
        async with db.write(context) as session:
            await insert_rows(session, kinds, [{"id": new_id(), column: value}])
    assert await rows_of(db) == []


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}])
async def test_lone_surrogates_never_leave_the_process(db: Database, context: WriteContext, value: Any) -> None:
    column = {str: "text", dict: "document"}[type(value)]
    with pytest.raises((TypeError, asyncpg.DataError)):
        async with db.write(context) as session:
            await insert_rows(session, kinds, [{"id": new_id(), column: value}])
    assert await rows_of(db) == []


@pytest.mark.parametrize(
    "row",
    [
        {"minor": MAX_MINOR + 2},
        {"small": 32768},
        {"day": "2026-02-30"},
        {"ids": ["x"]},
        {"yes": "perhaps"},
        {"minor": "1.5"},
    ],
)
async def test_a_value_that_does_not_fit_is_refused_never_bent(
    db: Database, context: WriteContext, row: dict[str, Any]
) -> None:
    with pytest.raises(asyncpg.DataError):
        async with db.write(context) as session:
            await insert_rows(session, kinds, [{"id": new_id(), **row}])
    assert await rows_of(db) == []


async def test_a_column_that_is_not_there_is_a_mistake_at_once(db: Database, context: WriteContext) -> None:
    async with db.write(context) as session:
        with pytest.raises(KeyError):
            await insert_rows(session, kinds, [{"id": new_id(), 'x"; DROP TABLE kinds; --': 1}])
        with pytest.raises(ValueError, match="shape"):
            await insert_rows(session, kinds, [{"id": new_id(), "text": "a"}, {"id": new_id(), "small": 1}])
    assert await rows_of(db) == []


async def test_inserting_a_key_twice_is_an_error_not_a_change(db: Database, context: WriteContext) -> None:
    row = {"id": new_id(), "version": 1, "name": "a"}
    async with db.write(context) as session:
        await insert_rows(session, record, [row])
    with pytest.raises(asyncpg.UniqueViolationError):
        async with db.write(context) as session:
            await insert_rows(session, record, [{**row, "name": "b"}])


storable = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | storable,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.none() | storable,
    words=st.none() | st.lists(storable | st.none(), max_size=4),
    numbers=st.none() | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    document=documents,
    at=st.none() | st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    day=st.none() | st.dates(),
    exact=st.none() | st.decimals(-(10**13), 10**13, places=6),
)
async def test_whatever_fits_comes_back(db: Database, context: WriteContext, **values: Any) -> None:
    row = {"id": new_id(), **values}
    one = query(sa.select(kinds).where(kinds.c.id == sa.bindparam("id")))
    async with db.write(context) as session:
        await insert_rows(session, kinds, [row])
        found = await session.first(one, id=row["id"])
        assert found is not None
        assert {name: found[name] for name in row} == row
        await update_rows(session, kinds, [row])
        assert dict(await session.first(one, id=row["id"]) or {}) == dict(found)
