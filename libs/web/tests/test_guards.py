"""Each guard taken out, by putting something else in its place: what the other tests look at then goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from crm_database import Database, WriteContext, WriteSession, query
from crm_web import idempotency
from crm_web.cursors import Cursors
from crm_web.incoming import Incoming

from .conftest import Notes
from .test_requests import _receiver, _scope

NOTES = "/api/notes/v1/notes"


async def _fifty(notes: Notes, key: str) -> set[tuple[int, str]]:
    headers = {**notes.auth(), "idempotency-key": key}
    asked = [notes.client.post(NOTES, json={"title": key}, headers=headers) for _ in range(50)]
    return {(answer.status_code, answer.json().get("code", "")) for answer in await asyncio.gather(*asked)}


async def test_the_lock_is_what_keeps_parallel_tries_apart(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _fifty(notes, "with") <= {(201, ""), (409, "idempotency.running")}
    always = query(sa.select(sa.or_(sa.true(), sa.bindparam("lock", type_=sa.BigInteger) == 0)))
    monkeypatch.setattr(idempotency, "_LOCK", always)
    # Two do the work: the table's key throws one of them away, or it waits for that until it may no longer.
    assert not await _fifty(notes, "without") <= {(201, ""), (409, "idempotency.running")}


async def test_the_look_for_an_earlier_answer_is_what_repeats_it(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {**notes.auth(), "idempotency-key": "k"}
    first = await notes.client.post(NOTES, json={"title": "one"}, headers=headers)

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(idempotency.Key, "earlier", nothing)
    again = await notes.client.post(NOTES, json={"title": "one"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 409)


async def test_what_is_kept_is_kept_in_the_same_transaction(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept on a connection of its own, an answer outlives the failed commit that it reports."""
    keep = idempotency.Key.keep

    async def elsewhere(self: idempotency.Key, session: WriteSession, answer: Any, now: Any) -> None:
        async with notes.database.write(WriteContext(now=now)) as other:
            await keep(self, other, answer, now)

    headers = notes.auth()
    await notes.client.post(NOTES, json={"title": "same"}, headers=headers)
    monkeypatch.setattr(idempotency.Key, "keep", elsewhere)
    answer = await notes.client.post(NOTES, json={"title": "same"}, headers={**headers, "idempotency-key": "k"})
    assert answer.status_code == 409
    assert await notes.kept() == 1, "test_a_failing_commit_is_never_a_2xx looks for 0"


async def test_committing_after_the_answer_would_be_seen(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Database):
        """Commits a moment after the block is left."""

        @asynccontextmanager
        async def write(self, context: WriteContext) -> AsyncIterator[WriteSession]:
            connection = await self.pool.acquire()
            await connection.execute("BEGIN READ WRITE")
            yield WriteSession(connection, context)
            tasks.append(asyncio.create_task(self._finish(connection)))

        async def _finish(self, connection: Any) -> None:
            await sent.wait()
            await connection.execute("COMMIT")
            await self.pool.release(connection)

    sent = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    seen: list[list[str]] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(await notes.titles())
            sent.set()

    assert notes.app.runtime is not None
    monkeypatch.setattr(notes.app.runtime, "database", Late(notes.database.pool))
    scope = _scope("POST", NOTES, notes.token(), (b"content-type", b"application/json"))
    await notes.app(scope, _receiver(b'{"title": "first"}'), send)
    await asyncio.gather(*tasks)
    assert seen == [[]], "test_the_answer_is_sent_after_the_commit looks for the note"


async def test_the_mac_is_what_binds_a_cursor(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = (await notes.client.get(NOTES, headers=notes.auth())).json()["next"]
    headers = notes.auth(user=notes.other)
    assert (await notes.client.get(f"{NOTES}?cursor={cursor}", headers=headers)).status_code == 422
    monkeypatch.setattr(Cursors, "_mac", lambda *_: b"x" * 12)
    cursor = (await notes.client.get(NOTES, headers=notes.auth())).json()["next"]
    assert (await notes.client.get(f"{NOTES}?cursor={cursor}", headers=headers)).status_code == 200


async def test_read_only_connections_are_what_keeps_a_reading_route_from_writing(notes: Notes) -> None:
    await notes.client.post(NOTES, json={"title": "stays"}, headers=notes.auth())
    assert (await notes.client.post(f"{NOTES}/search", json={"title": "x"}, headers=notes.auth())).status_code == 500
    while notes.database.pool.get_idle_size():
        connection = await notes.database.pool.acquire()
        await connection.execute("SET default_transaction_read_only = off")
        if notes.database.pool.get_idle_size() == 0:
            break
    # Every connection is held now, so the next request gets a new, read-only one; give a writable one back for it.
    await notes.database.pool.release(connection)
    assert (await notes.client.post(f"{NOTES}/search", json={"title": "x"}, headers=notes.auth())).status_code == 200
    assert await notes.titles() == []


async def test_the_refusal_of_repeated_headers_is_what_keeps_the_second_token_out(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [("authorization", "Bearer nonsense"), *notes.auth().items()]
    assert (await notes.client.get(NOTES, headers=pairs)).status_code == 400
    monkeypatch.setattr(Incoming, "refuse_repeated", lambda _: None)
    assert (await notes.client.get(NOTES, headers=pairs)).status_code == 200


async def test_the_end_of_the_time_limit_before_the_commit_is_what_keeps_a_commit_whole(
    own_notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow commit is waited for; with the limit still running it would be a 504 that says nothing was changed."""
    notes = own_notes
    admin = await asyncpg.connect(notes.dsn)
    await admin.execute("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$
    """)
    await admin.execute(
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    await admin.close()
    answer = await notes.client.post("/api/notes/v1/quick", json={"title": "slow"}, headers=notes.auth())
    assert answer.status_code == 201
    reschedule = asyncio.Timeout.reschedule
    unless_off = lambda self, when: None if when is None else reschedule(self, when)  # noqa: E731
    monkeypatch.setattr(asyncio.Timeout, "reschedule", unless_off)
    answer = await notes.client.post("/api/notes/v1/quick", json={"title": "slower"}, headers=notes.auth())
    assert answer.status_code == 504
