"""The same request twice does its work once (PL-8)."""

import asyncio
import datetime as dt

import asyncpg
import pytest

from crm_database import WriteContext
from crm_web.idempotency import purge

from .conftest import Notes
from .test_bad_input import problem
from .test_requests import HERE, until

NOTES = "/api/notes/v1/notes"
pytestmark = pytest.mark.requirement("PL-8")


async def test_the_first_answer_comes_again(notes: Notes) -> None:
    headers = {**notes.auth(), "idempotency-key": "k1"}
    first = await notes.client.post(NOTES, json={"title": "one"}, headers=headers)
    again = await notes.client.post(NOTES, json={"title": "one"}, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["content-type"] == "application/json"
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await notes.titles() == ["one"]


async def test_fifty_at_once_make_one_note_and_get_one_answer(notes: Notes) -> None:
    headers = {**notes.auth(), "idempotency-key": "k"}

    async def ask() -> tuple[int, bytes]:
        while True:
            answer = await notes.client.post(NOTES, json={"title": "one"}, headers=headers)
            if answer.status_code != 409:
                return answer.status_code, answer.content
            problem(answer, 409, "idempotency.running")
            assert answer.headers["retry-after"] == "1"
            await asyncio.sleep(0.01)

    async with asyncio.timeout(120):
        answers = await asyncio.gather(*(ask() for _ in range(50)))
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    assert await notes.titles() == ["one"]


async def test_while_the_first_runs_the_second_is_told_to_wait(notes: Notes) -> None:
    holder = await asyncpg.connect(notes.dsn)
    await holder.execute("SELECT pg_advisory_lock(77)")
    headers = {**notes.auth(), "idempotency-key": "k"}
    where = "/api/notes/v1/wait"
    first = asyncio.create_task(notes.client.post(where, json={"title": "w"}, headers=headers))

    async def waits() -> bool:
        return (
            await holder.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted" + HERE)
            == 1
        )

    await until(waits, "the first is at work")
    problem(await notes.client.post(where, json={"title": "w"}, headers=headers), 409, "idempotency.running")
    # Another key is not held up by it.
    other = await notes.client.post(NOTES, json={"title": "o"}, headers={**headers, "idempotency-key": "k2"})
    assert other.status_code == 201
    await holder.execute("SELECT pg_advisory_unlock(77)")
    assert (await first).json() == {"done": "w"}
    assert (await notes.client.post(where, json={"title": "w"}, headers=headers)).json() == {"done": "w"}
    await holder.close()


async def test_a_key_stands_for_one_request(notes: Notes) -> None:
    headers = {**notes.auth(), "idempotency-key": "k"}
    made = (await notes.client.post(NOTES, json={"title": "one"}, headers=headers)).json()
    others = [
        await notes.client.post(NOTES, json={"title": "two"}, headers=headers),
        await notes.client.post("/api/notes/v1/wait", json={"title": "one"}, headers=headers),
        await notes.client.patch(f"{NOTES}/{made['id']}", json={"title": "one"}, headers=headers),
        # The key decides before the body is judged: this is no second try of the first request.
        await notes.client.post(NOTES, content=b"{", headers={**headers, "content-type": "application/json"}),
    ]
    for answer in others:
        problem(answer, 422, "idempotency.key_reused", ("header:Idempotency-Key", "idempotency.key_reused"))
    assert await notes.titles() == ["one"]


async def test_nobody_gets_anothers_answer(notes: Notes) -> None:
    """Callers are told apart by subject and client."""
    made = set()
    for options in ({}, {"user": notes.other}, {"client": "another"}):
        headers = {**notes.auth(**options), "idempotency-key": "k"}
        title = f"n{len(made)}"
        answer = await notes.client.post(NOTES, json={"title": title}, headers=headers)
        assert answer.status_code == 201
        made.add(answer.json()["id"])
    assert len(made) == 3


async def test_a_refusal_is_not_kept(notes: Notes) -> None:
    made = (await notes.client.post(NOTES, json={"title": "old"}, headers=notes.auth())).json()
    headers = {**notes.auth(), "idempotency-key": "k"}
    where = f"{NOTES}/{made['id']}"
    for _ in range(2):
        assert (await notes.client.patch(where, json={"title": "full"}, headers=headers)).status_code == 409
        answer = await notes.client.post(NOTES, json={}, headers={**headers, "idempotency-key": "bad"})
        problem(answer, 422, "request.invalid", ("/title", "field.required"))
    assert await notes.kept() == 0
    # The same key may then carry a request that succeeds.
    assert (await notes.client.patch(where, json={"title": "new"}, headers=headers)).status_code == 200
    assert await notes.kept() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\tb"])
async def test_an_unusable_key_is_refused(notes: Notes, key: str) -> None:
    headers = [*notes.auth().items(), ("idempotency-key", key.encode("latin-1"))]
    answer = await notes.client.post(NOTES, json={"title": "a"}, headers=headers)
    problem(answer, 422, "idempotency.key_invalid", ("header:Idempotency-Key", "idempotency.key_invalid"))
    assert await notes.titles() == []


async def test_the_longest_key_is_kept(notes: Notes) -> None:
    headers = {**notes.auth(), "idempotency-key": "x" * 255}
    for _ in range(2):
        assert (await notes.client.post(NOTES, json={"title": "a"}, headers=headers)).status_code == 201
    assert await notes.titles() == ["a"]


async def test_an_answer_without_body_is_kept_too(notes: Notes) -> None:
    headers = {**notes.auth(), "idempotency-key": "k"}
    where = f"{NOTES}/01900000-0000-7000-8000-000000000001/touch"
    for _ in range(2):
        answer = await notes.client.post(where, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["idempotency-replayed"] == "true"


async def test_answers_are_kept_for_a_day(notes: Notes) -> None:
    headers = {**notes.auth(), "idempotency-key": "k"}
    await notes.client.post(NOTES, json={"title": "a"}, headers=headers)
    now = dt.datetime.now(dt.UTC)
    for later, forgotten in ((dt.timedelta(hours=23, minutes=59), 0), (dt.timedelta(hours=24, minutes=1), 1)):
        async with notes.database.write(WriteContext(now=now + later)) as session:
            assert await purge(session, now + later) == forgotten
    assert await notes.kept() == 0


async def test_kept_answers_cannot_be_read_from_the_database(notes: Notes) -> None:
    headers = {**notes.auth(), "idempotency-key": "k1"}
    first = await notes.client.post(NOTES, json={"title": "the secret word"}, headers=headers)
    assert first.status_code == 201
    async with notes.database.read() as session:
        kept = await session.connection.fetchval("SELECT body FROM idempotent_answer")
    assert b"secret" not in kept
    assert len(kept) > len(first.content)


async def test_an_answer_that_cannot_be_opened_is_no_reason_to_do_it_again(notes: Notes) -> None:
    """The deployment's signing key was replaced, or somebody was at the table."""
    headers = {**notes.auth(), "idempotency-key": "k1"}
    assert (await notes.client.post(NOTES, json={"title": "one"}, headers=headers)).status_code == 201
    async with notes.database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
        await session.connection.execute(
            r"UPDATE idempotent_answer SET body = set_byte(body, 20, get_byte(body, 20) # 1)"
        )
    again = await notes.client.post(NOTES, json={"title": "one"}, headers=headers)
    problem(again, 409, "idempotency.answer_lost")
    assert await notes.titles() == ["one"]
