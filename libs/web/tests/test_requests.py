"""One request from token to answer: who may, what is committed, what is sent when."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from crm_authz import SigningKey
from crm_database import WriteContext

from .conftest import URL, Notes

NOTES = "/api/notes/v1/notes"
#: Other workers of a test run have databases on the same server.
HERE = " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"


async def until(condition: Callable[[], Coroutine[Any, Any, bool]], what: str, seconds: float = 60) -> None:
    """Wait for a condition; fails saying what was waited for."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  (the condition is another process's)
            await asyncio.sleep(0.01)
    assert await condition(), what


async def test_a_note_is_created_and_read_again(notes: Notes) -> None:
    made = await notes.client.post(NOTES, json={"title": "하나"}, headers=notes.auth())
    assert made.status_code == 201, made.text
    assert made.headers["content-type"] == "application/json"
    read = await notes.client.get(f"{NOTES}/{made.json()['id']}", headers=notes.auth("read"))
    assert (read.status_code, read.json()) == (200, made.json())
    assert read.json()["title"] == "하나"
    assert read.headers["etag"] == '"1"'
    assert read.headers["cache-control"] == "no-store"


async def test_the_unit_tells_who_when_and_from_where(notes: Notes) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {
        **notes.auth(),
        "x-crm-address": "192.0.2.7",
        "x-forwarded-for": "203.0.113.1",
        "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
    }
    said = (await notes.client.get("/api/notes/v1/whoami", headers=headers)).json()
    assert said["user"] == str(notes.user)
    assert said["address"] == "192.0.2.7", "only the gateway's own header counts"
    assert said["trace"] == trace
    assert said["zone"] == "UTC"
    assert abs(dt.datetime.fromisoformat(said["now"]) - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=10)
    assert said["now"].endswith("Z")


@pytest.mark.parametrize("traceparent", ["", "00-zz-1-01", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "x" * 5000])
async def test_an_unusable_traceparent_begins_a_new_trace(notes: Notes, traceparent: str) -> None:
    said = (await notes.client.get("/api/notes/v1/whoami", headers={**notes.auth(), "traceparent": traceparent})).json()
    assert len(said["trace"]) == 32
    assert set(said["trace"]) != {"0"}


# Who may


async def test_without_a_token_there_is_a_challenge(notes: Notes) -> None:
    answer = await notes.client.get(NOTES)
    assert (answer.status_code, answer.json()["code"]) == (401, "token.missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_in_the_query_or_of_another_key_opens_nothing(notes: Notes) -> None:
    by_query = await notes.client.get(f"{NOTES}?access_token={notes.token()}")
    assert by_query.json()["code"] == "token.missing"
    notes.key = SigningKey.generate("k1")
    forged = await notes.client.get(NOTES, headers=notes.auth())
    assert (forged.status_code, forged.json()["code"]) == (401, "token.invalid")


@pytest.mark.requirement("ID-22", "PL-46")
async def test_before_the_first_keys_are_known_a_token_is_neither_good_nor_bad(notes: Notes) -> None:
    """Right after the first start: identity has signed it, and its key is still on its way."""
    async with notes.database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
        await session.connection.execute("TRUNCATE directory_key")
    answer = await notes.client.get(NOTES, headers=notes.auth())
    assert (answer.status_code, answer.json()["code"]) == (503, "directory.behind")
    assert answer.headers["retry-after"] == "1"


async def test_two_authorization_headers_are_refused(notes: Notes) -> None:
    pairs = [("authorization", f"Bearer {notes.token('nothing')}"), ("authorization", f"Bearer {notes.token()}")]
    answer = await notes.client.get(NOTES, headers=pairs)
    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")
    assert answer.json()["errors"][0]["pointer"] == "header:authorization"


@pytest.mark.requirement("ID-16")
async def test_a_missing_permission_is_named(notes: Notes) -> None:
    answer = await notes.client.post(NOTES, json={"title": "a"}, headers=notes.auth("read"))
    assert (answer.status_code, answer.json()["code"]) == (403, "permission.missing")
    assert answer.json()["permission"] == "notes.note:create"
    assert await notes.titles() == []


async def test_a_permission_asked_for_in_the_handler_is_named_too(notes: Notes) -> None:
    where = f"{NOTES}/{uuid.uuid4()}/touch"
    refused = await notes.client.post(where, headers=notes.auth("update"))
    assert (refused.status_code, refused.json()["permission"]) == (403, "notes.note:touch")
    allowed = await notes.client.post(where, headers=notes.auth("update", "touch"))
    assert (allowed.status_code, allowed.content) == (204, b"")


async def test_who_may_not_is_told_so_before_the_body_is_looked_at(notes: Notes) -> None:
    answer = await notes.client.post(NOTES, content=b"{", headers=notes.auth("read"))
    assert answer.json()["code"] == "permission.missing"


async def test_a_stale_token_is_refused(notes: Notes) -> None:
    headers = notes.auth()
    assert (await notes.client.get(NOTES, headers=headers)).status_code == 200
    async with notes.database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
        await session.connection.execute("UPDATE directory_user SET epoch = 2, version = 2, changed_at_version = 99")
        await session.connection.execute("UPDATE directory_version SET version = 99")

    async def refused() -> bool:
        answer = await notes.client.get(NOTES, headers=headers)
        return bool(answer.status_code == 401 and answer.json()["code"] == "token.stale")

    await until(refused, "the old token is refused", seconds=10)


# What is committed, and when


async def test_a_refusal_after_a_change_leaves_nothing(notes: Notes) -> None:
    made = (await notes.client.post(NOTES, json={"title": "old"}, headers=notes.auth())).json()
    for title, status in (("full", 409), ("bug", 500), ("answered no", 409)):
        answer = await notes.client.patch(f"{NOTES}/{made['id']}", json={"title": title}, headers=notes.auth())
        assert answer.status_code == status, answer.text
    assert await notes.titles() == ["old"]


async def test_an_unforeseen_failure_says_nothing_but_the_trace(notes: Notes, logged: list[Any]) -> None:
    made = (await notes.client.post(NOTES, json={"title": "old"}, headers=notes.auth())).json()
    answer = await notes.client.patch(f"{NOTES}/{made['id']}", json={"title": "bug"}, headers=notes.auth())
    assert answer.json()["code"] == "service.failed"
    assert "SELECT" not in answer.text
    assert "secret" not in answer.text
    failures = [entry for entry in logged if entry["event"] == "request failed"]
    assert [str(entry["exc_info"]) for entry in failures] == ["secret detail: SELECT * FROM note"]
    assert failures[0]["trace_id"] == answer.json()["trace_id"]


async def test_the_answer_is_sent_after_the_commit(notes: Notes) -> None:
    """When the first byte goes out, another connection already sees the note."""
    seen: list[list[str]] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(await notes.titles())

    body = b'{"title": "first"}'
    scope = _scope("POST", NOTES, notes.token(), (b"content-type", b"application/json"))
    await notes.app(scope, _receiver(body), send)
    assert seen == [["first"]]


async def test_a_failing_commit_is_never_a_2xx(notes: Notes) -> None:
    """The title is unique, checked when the transaction commits: the handler of the second one has succeeded by then."""
    headers = notes.auth()
    assert (await notes.client.post(NOTES, json={"title": "same"}, headers=headers)).status_code == 201
    answer = await notes.client.post(NOTES, json={"title": "same"}, headers={**headers, "idempotency-key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (409, "record.not_unique")
    assert "uq_note_title" not in answer.text
    assert await notes.titles() == ["same"]
    assert await notes.kept() == 0, "what did not happen is not kept either"


async def test_a_connection_lost_in_the_commit_is_an_unknown_outcome(own_notes: Notes) -> None:
    notes = own_notes
    admin = await asyncpg.connect(notes.dsn)
    async with admin.transaction():
        await admin.execute("SELECT pg_advisory_lock(77)")
        # Runs as the commit does: waits for the lock, and so is still in COMMIT when its server process is ended.
        await admin.execute("""
            CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END $$
        """)
        await admin.execute(
            "CREATE CONSTRAINT TRIGGER stall AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stall()"
        )
    asking = asyncio.create_task(notes.client.post(NOTES, json={"title": "lost"}, headers=notes.auth()))
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query = 'COMMIT'"
    waiting += " AND datname = current_database()"

    async def committing() -> bool:
        return await admin.fetchval(waiting) is not None

    await until(committing, "the commit waits for the lock")
    await admin.execute(f"SELECT pg_terminate_backend(({waiting}))")
    answer = await asking
    assert (answer.status_code, answer.json()["code"]) == (503, "service.outcome_unknown")
    assert answer.headers["retry-after"]
    await admin.close()


async def test_a_read_unit_can_not_write(notes: Notes) -> None:
    await notes.client.post(NOTES, json={"title": "stays"}, headers=notes.auth())
    answer = await notes.client.post(f"{NOTES}/search", json={"title": "x"}, headers=notes.auth())
    assert answer.status_code == 500
    assert await notes.titles() == ["stays"]


async def test_the_time_limit_ends_a_request_and_its_transaction(notes: Notes) -> None:
    answer = await notes.client.post("/api/notes/v1/hold", headers=notes.auth())
    assert (answer.status_code, answer.json()["code"]) == (504, "service.timeout")
    assert await notes.titles() == []
    await _nothing_open(notes)


async def test_a_cancelled_request_leaks_no_connection(notes: Notes) -> None:
    """As the server cancels it on shutdown: 30 at once, in the middle of their transactions."""
    holder = await asyncpg.connect(notes.dsn)
    await holder.execute("SELECT pg_advisory_lock(77)")

    async def ignore(_: Any) -> None:
        return None

    def ask(number: int) -> asyncio.Task[None]:
        scope = _scope("POST", "/api/notes/v1/wait", notes.token(), (b"content-type", b"application/json"))
        return asyncio.create_task(notes.app(scope, _receiver(b'{"title": "n%d"}' % number), ignore))

    asked = [ask(number) for number in range(30)]

    async def all_wait() -> bool:
        return (
            await holder.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted" + HERE)
            == 30
        )

    await until(all_wait, "30 requests are in their transaction")
    for task in asked:
        task.cancel()
    assert all(
        isinstance(found, asyncio.CancelledError) for found in await asyncio.gather(*asked, return_exceptions=True)
    )
    await holder.execute("SELECT pg_advisory_unlock(77)")
    await holder.close()
    await _nothing_open(notes)
    assert await notes.titles() == []
    assert (await notes.client.get(NOTES, headers=notes.auth())).status_code == 200


async def _nothing_open(notes: Notes) -> None:
    """No connection is in use, and none is left in a transaction."""
    pool = notes.database.pool

    async def idle() -> bool:
        return pool.get_idle_size() == pool.get_size()

    await until(idle, "all connections are back in the pool")
    async with notes.database.read() as session:
        left = await session.connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
    assert left == 0


# Lost database


async def test_without_its_database_a_service_answers_503(own_notes: Notes, postgres_server: Any) -> None:
    notes = own_notes
    await notes.client.get(NOTES, headers=notes.auth())
    name = notes.dsn.rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    async def unavailable() -> bool:
        answer = await notes.client.get(NOTES, headers=notes.auth())
        assert answer.status_code in (200, 503), answer.text
        return answer.status_code == 503

    await until(unavailable, "the service says that it has no database")
    assert (await notes.client.get("/readyz")).status_code == 503
    assert (await notes.client.get("/livez")).status_code == 200
    postgres_server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    async def back() -> bool:
        return (await notes.client.get(NOTES, headers=notes.auth())).status_code == 200

    await until(back, "the service answers again")


# Streams


async def test_a_stream_reads_through_a_session_of_its_own(notes: Notes) -> None:
    answer = await notes.client.get("/api/notes/v1/rows", headers=notes.auth())
    assert answer.text == "0\n1\n2\n"
    await _nothing_open(notes)


async def test_a_broken_stream_breaks_the_connection(notes: Notes) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = _scope("GET", "/api/notes/v1/rows", notes.token(), query=b"fail=true")
    with pytest.raises(RuntimeError, match="broken in the middle"):
        await notes.app(scope, _receiver(b"", leaves=False), send)
    assert not any(message.get("more_body") is False for message in sent)
    assert sent[-1].get("more_body") is True, "the body was never ended: the client knows that it is not whole"
    await _nothing_open(notes)


async def test_a_stream_ends_when_its_client_leaves_and_when_its_token_expires(notes: Notes) -> None:
    async def send(_: Any) -> None:
        return None

    forever = b"forever=true"
    async with asyncio.timeout(5):
        await notes.app(_scope("GET", "/api/notes/v1/rows", notes.token(), query=forever), _receiver(b""), send)
        token = notes.token(life=1)
        await notes.app(_scope("GET", "/api/notes/v1/rows", token, query=forever), _receiver(b"", leaves=False), send)
    await _nothing_open(notes)


def _scope(method: str, path: str, token: str, *headers: tuple[bytes, bytes], query: bytes = b"") -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(b"authorization", f"Bearer {token}".encode()), (b"host", URL.encode()), *headers],
    }


def _receiver(body: bytes, *, leaves: bool = True) -> Callable[[], Coroutine[Any, Any, dict[str, Any]]]:
    """An ASGI receive: the body, then the client leaves, or stays for good."""
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive
