"""Health: what makes a process not alive, not ready, or only worth a warning (PL-46)."""

import datetime as dt

import httpx
import orjson
import pytest

from crm_authz import SigningKey
from crm_database import Database, WriteContext
from crm_kernel import new_id
from crm_web import create_app
from crm_web.health import Health

from .conftest import URL, Notes, populate, settings_for
from .notes_service import SERVICE
from .test_requests import until

pytestmark = pytest.mark.requirement("PL-46")


@pytest.mark.parametrize(
    ("present", "ready"),
    [("0003", True), ("0002", False), (None, False), ("0004_of_a_newer_release", True)],
)
async def test_a_database_may_be_newer_than_the_code_but_not_older(
    own_notes: Notes, present: str | None, ready: bool
) -> None:
    context = WriteContext(now=dt.datetime.now(dt.UTC))
    if present is not None:
        async with own_notes.database.write(context) as session:
            await session.connection.execute("CREATE TABLE alembic_version (version_num text)")
            await session.connection.execute("INSERT INTO alembic_version VALUES ($1)", present)
    answer = await Health(own_notes.database, "0003", frozenset({"0001", "0002", "0003"})).readyz()
    assert answer.status == (200 if ready else 503)
    assert bool(orjson.loads(answer.body)["problems"]) is not ready


async def test_a_service_that_knows_nobody_is_not_ready_and_becomes_it_by_events(own_dsn: str) -> None:
    settings = settings_for(own_dsn)
    database = await Database.open(own_dsn, name="test", settings=settings.pool)
    key, user = SigningKey.generate("k1"), new_id()
    app = create_app(SERVICE, settings, database=database)
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=URL) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["problems"]) == (
            503,
            ["directory: identity's users and keys have not arrived yet"],
        )
        await populate(database, key, [user])

        async def ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await until(ready, "ready", seconds=10)
    await database.close()


async def test_a_deaf_service_is_ready_with_a_warning(notes: Notes) -> None:
    assert (await notes.client.get("/readyz")).json() == {"status": "ready", "problems": [], "warnings": []}
    async with notes.database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
        await session.connection.execute("UPDATE directory_version SET heard_at = now() - interval '1 minute'")

    async def warned() -> bool:
        answer = await notes.client.get("/readyz")
        assert answer.status_code == 200
        return "identity was not heard" in str(answer.json()["warnings"])

    await until(warned, "a warning", seconds=10)


async def test_a_probe_that_complains_ends_the_process_a_warning_does_not(notes: Notes) -> None:
    health = Health(
        notes.database, alive=[lambda: None, lambda: "sales.facts is stuck"], warnings=[lambda: "no broker"]
    )
    assert health.livez().status == 503
    assert orjson.loads(health.livez().body)["problems"] == ["sales.facts is stuck"]
    ready = await health.readyz()
    assert (ready.status, orjson.loads(ready.body)["warnings"]) == (200, ["no broker"])
