"""Cursors are good for the caller, operation and query that they were made for, and for nothing else (PL-4)."""

import base64
import datetime as dt
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_web import CursorInvalid
from crm_web.cursors import Cursors

from .conftest import Notes
from .test_bad_input import problem

NOTES = "/api/notes/v1/notes"
pytestmark = pytest.mark.requirement("PL-4")

SIGNER = Cursors(b"k" * 32)
QUERY = ("subject", "list_notes", {"filter": {"field": "a"}, "sort": "-b"})


def test_a_cursor_gives_its_position_back() -> None:
    instant, row = dt.datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=dt.UTC), uuid.UUID(int=7)
    cursor = SIGNER.sign([instant, row, None, 3, "김"], QUERY)
    assert SIGNER.open(cursor, QUERY) == ["2026-11-23T10:00:00.123456Z", str(row), None, 3, "김"]
    assert len(cursor) <= 130
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), "safe in an address"


def test_the_order_of_a_querys_members_does_not_matter() -> None:
    cursor = SIGNER.sign([1], ("s", "o", {"a": 1, "b": 2}))
    assert SIGNER.open(cursor, ("s", "o", {"b": 2, "a": 1})) == [1]


@pytest.mark.parametrize(
    "binding",
    [
        ("other", *QUERY[1:]),
        ("subject", "other_list", QUERY[2]),
        ("subject", "list_notes", {"filter": {"field": "b"}, "sort": "-b"}),
        ("subject", "list_notes", {"filter": {"field": "a"}, "sort": "b"}),
        ("subject", "list_notes", {"filter": {"field": "a"}}),
    ],
)
def test_a_cursor_of_another_caller_list_filter_or_sort_is_refused(binding: object) -> None:
    cursor = SIGNER.sign([1], QUERY)
    with pytest.raises(CursorInvalid):
        SIGNER.open(cursor, binding)


def test_a_cursor_of_another_key_is_refused() -> None:
    with pytest.raises(CursorInvalid):
        SIGNER.open(Cursors(b"x" * 32).sign([1], QUERY), QUERY)


@settings(max_examples=300)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_of_a_cursor_can_be_changed(where: int, change: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(SIGNER.sign(["a", 1], QUERY) + "=="))
    raw[where % len(raw)] ^= change
    with pytest.raises(CursorInvalid):
        SIGNER.open(base64.urlsafe_b64encode(raw).decode().rstrip("="), QUERY)


@settings(max_examples=300)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_whatever_is_given_for_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid):
        SIGNER.open(text, QUERY)


def test_an_endless_cursor_is_refused_unread() -> None:
    with pytest.raises(CursorInvalid):
        SIGNER.open("A" * 1_000_000, QUERY)


async def test_over_http_a_cursor_serves_its_caller_and_sort_only(notes: Notes) -> None:
    await notes.client.post(NOTES, json={"title": "a"}, headers=notes.auth())
    first = (await notes.client.get(f"{NOTES}?limit=1", headers=notes.auth())).json()
    cursor = first["next"]
    assert [item["title"] for item in first["items"]] == ["a"]
    # A new token of the same caller is fine: cursors are bound to the subject.
    again = await notes.client.get(f"{NOTES}?cursor={cursor}", headers=notes.auth(client="other"))
    assert again.json()["after"] == [1]
    for query, headers in (
        (f"cursor={cursor}", notes.auth(user=notes.other)),
        (f"cursor={cursor}&sort=title", notes.auth()),
        (f"cursor={cursor[:-1]}", notes.auth()),
        ("cursor=nonsense", notes.auth()),
        ("cursor=%EA%B9%80", notes.auth()),
    ):
        answer = await notes.client.get(f"{NOTES}?{query}", headers=headers)
        problem(answer, 422, "cursor.invalid", ("query:cursor", "cursor.invalid"))
