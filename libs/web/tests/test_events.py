"""What a write tells the bus, and reading one's own writes (PL-13, PL-45)."""

import time
import uuid

import pytest

from crm_kernel import new_id

from .conftest import Notes, started
from .notes_service import MIRRORING
from .test_bad_input import problem

NOTES = "/api/notes/v1/notes"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.requirement("PL-45")
async def test_an_event_says_who_wrote_from_where_and_in_which_trace(notes: Notes) -> None:
    headers = {**notes.auth(), "x-crm-address": "192.0.2.7", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"}
    made = (await notes.client.post(NOTES, json={"title": "a"}, headers=headers)).json()
    async with notes.database.read() as session:
        row = await session.connection.fetchrow("SELECT * FROM journal")
    assert row is not None
    assert (row["subject"], row["actor_id"]) == (uuid.UUID(made["id"]), notes.user)
    assert row["traceparent"].split("-")[1] == TRACE
    assert row["data"]["origin"] == {"channel": "api", "address": "192.0.2.7"}
    assert row["data"]["actor"] == {"kind": "user", "id": str(notes.user)}


@pytest.mark.requirement("PL-13")
async def test_a_write_answers_with_a_token_and_its_repetition_with_the_same(notes: Notes) -> None:
    headers = {**notes.auth(), "idempotency-key": "k"}
    tokens = [
        (await notes.client.post(NOTES, json={"title": "a"}, headers=headers)).headers["consistency-token"]
        for _ in range(2)
    ]
    assert tokens[0] == tokens[1]
    nothing = await notes.client.post(f"{NOTES}/{new_id()}/touch", headers=notes.auth())
    assert "consistency-token" not in nothing.headers, "no event, no token"


@pytest.mark.requirement("PL-13")
async def test_a_read_with_the_token_waits_for_the_projection(shared_dsn: str, notes: Notes) -> None:
    async with started(shared_dsn, MIRRORING) as mirroring:
        made = await mirroring.client.post(NOTES, json={"title": "a"}, headers=mirroring.auth())
        headers = {**mirroring.auth(), "consistency-token": made.headers["consistency-token"]}
        began = time.monotonic()
        late = await mirroring.client.get(NOTES, headers=headers)
        problem(late, 503, "consistency_token.not_applied")
        assert late.headers["retry-after"]
        assert 1.9 < time.monotonic() - began < 5
        async with mirroring.database.pool.acquire() as connection:
            # What the consumer does when the event arrives.
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(
                "INSERT INTO inbox (event_id, group_name, topic, write_id)"
                " SELECT event_id, 'notes.mirror', topic, write_id FROM journal"
            )
            await connection.execute("SET default_transaction_read_only = on")
        assert (await mirroring.client.get(NOTES, headers=headers)).status_code == 200
        forged = await mirroring.client.get(NOTES, headers={**headers, "consistency-token": "a.b"})
        problem(forged, 422, "consistency_token.invalid")


async def test_a_refused_write_records_nothing(notes: Notes) -> None:
    headers = notes.auth()
    for _ in range(2):
        await notes.client.post(NOTES, json={"title": "same"}, headers=headers)
    async with notes.database.read() as session:
        assert await session.connection.fetchval("SELECT count(*) FROM journal") == 1
        assert await session.connection.fetchval("SELECT count(*) FROM outbox") == 1
