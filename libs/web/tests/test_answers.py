"""Answers: every kind of value has one JSON form."""

import datetime as dt
import uuid
from typing import Any

import asyncpg
import pytest
from asyncpg.pgproto.pgproto import UUID as DriverUuid  # noqa: N811  (a class like the standard one)
from pydantic import BaseModel

from crm_kernel import Money
from crm_web import Json
from crm_web.answers import answer_of, to_json
from crm_web.problems import refusal_for
from crm_web.validation import code_of, pointer

ID = "01900000-0000-7000-8000-000000000001"


class View(BaseModel):
    id: uuid.UUID
    at: dt.datetime


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": uuid.UUID(ID)}, f'{{"a":"{ID}"}}'),
        ({"a": DriverUuid(ID)}, f'{{"a":"{ID}"}}'),
        ({"a": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)}, '{"a":"2026-01-02T03:04:05Z"}'),
        ({"a": dt.date(2026, 1, 2)}, '{"a":"2026-01-02"}'),
        ({"a": Money.parse("1234.50", "USD")}, '{"a":{"amount":"1234.50","currency":"USD"}}'),
        (
            [View(id=uuid.UUID(ID), at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))],
            f'[{{"id":"{ID}","at":"2026-01-01T00:00:00Z"}}]',
        ),
        (
            View(id=uuid.UUID(ID), at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
            f'{{"id":"{ID}","at":"2026-01-01T00:00:00Z"}}',
        ),
        ({"a": frozenset({"b", "a"})}, '{"a":["a","b"]}'),
        ({"김": None}, '{"김":null}'),
        (b'{"made":1}', '{"made":1}'),
    ],
)
def test_a_value_has_one_json_form(value: Any, said: str) -> None:
    assert to_json(value).decode() == said


def test_what_has_no_json_form_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        to_json({"a": object()})


def test_nothing_is_204_and_a_json_answer_keeps_what_it_says() -> None:
    assert (answer_of(None, 200).status, answer_of(None, 202).status) == (204, 202)
    made = Json({}, status=201, headers={"X-A": "b"}, etag=3, location="/x")
    assert answer_of(made, 200) is made
    assert made.headers == {"x-a": "b", "etag": '"3"', "location": "/x"}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("missing", "field.required"),
        ("extra_forbidden", "field.unknown"),
        ("string_type", "field.type"),
        ("string_too_long", "field.too_long"),
        ("too_short", "field.too_short"),
        ("uuid_parsing", "field.format"),
        ("datetime_from_date_parsing", "field.format"),
        ("timezone_aware", "field.format"),
        ("string_pattern_mismatch", "field.format"),
        ("literal_error", "field.choice"),
        ("decimal_max_places", "field.too_precise"),
        ("greater_than_equal", "field.too_small"),
        ("less_than", "field.too_large"),
        ("value_error", "field.invalid"),
        ("money.over_precise", "money.over_precise"),
        ("something_pydantic_adds_one_day", "field.invalid"),
    ],
)
def test_field_codes_are_ours_and_stay(kind: str, code: str) -> None:
    assert code_of(kind) == code


def test_a_pointer_leaves_out_what_the_document_does_not_have() -> None:
    document = {"filter": {"and": [{"value": 1}]}, "a/b": {"~": 1}}
    assert pointer(("filter", "group", "and", 0, "function-after[x]", "value"), document) == "/filter/and/0/value"
    assert pointer(("filter", "condition", "field"), document, "missing") == "/filter/field"
    assert pointer(("a/b", "~"), document) == "/a~1b/~0"
    assert pointer((), document) == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncpg.DiskFullError(), "service.storage_full"),
        (asyncpg.OutOfMemoryError(), "service.busy"),
        (asyncpg.TooManyConnectionsError(), "service.busy"),
    ],
)
def test_a_server_that_lacks_something_is_not_our_mistake(error: Exception, code: str) -> None:
    refusal = refusal_for(error)
    assert (refusal.status, refusal.code) == (503, code)
    assert refusal.headers["Retry-After"]
