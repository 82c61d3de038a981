"""The shared servers of a test session."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from crm_stack.process import ProcessIdentity, wait_until
from crm_testing.keeper import share
from crm_testing.servers import BrokerUnderTest, MakeDatabase, SharedPostgres


async def _tables(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await connection.close()


async def test_a_fresh_database_is_empty_and_knows_trigrams_of_korean(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        assert await connection.fetchval("SELECT cardinality(show_trgm('한국어'))") == 4
        assert await connection.fetchval("SELECT lower('ÄЖ')") == "äж"
    finally:
        await connection.close()


async def test_a_copy_of_a_template_has_its_tables_and_its_owner_may_change_them(
    postgres_server: SharedPostgres, make_database: MakeDatabase
) -> None:
    built = []

    def build(dsn: str) -> None:
        built.append(dsn)
        name = dsn.rpartition("/")[2]
        postgres_server.execute("CREATE TABLE thing (id int); ALTER TABLE thing OWNER TO crm_test", database=name)

    key = f"copy-{uuid.uuid4().hex}"
    template = postgres_server.template(key, build)
    assert postgres_server.template(key, build) == template
    assert len(built) == 1, "a template is built once"

    first, second = make_database(template), make_database(template)
    connection = await asyncpg.connect(first)
    await connection.execute("ALTER TABLE thing ADD COLUMN name text")
    await connection.execute("CREATE TABLE other (id int)")
    await connection.close()
    assert await _tables(first) == {"thing", "other"}
    assert await _tables(second) == {"thing"}


@pytest.mark.parametrize("fixture", ["embedded_broker", "broker_under_test"])
async def test_a_shared_broker_delivers_what_was_sent(fixture: str, request: pytest.FixtureRequest) -> None:
    given = request.getfixturevalue(fixture)
    bootstrap = given.bootstrap if isinstance(given, BrokerUnderTest) else given
    idempotence = given.idempotence if isinstance(given, BrokerUnderTest) else False
    topic = f"test-{uuid.uuid4().hex}"
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=idempotence) as producer:
        await producer.send_and_wait(topic, b"hello")
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        assert (await consumer.getone()).value == b"hello"


def test_a_server_ends_with_its_last_user_even_when_users_are_killed(tmp_path: Path) -> None:
    use = (
        "import sys; from pathlib import Path; from crm_testing.keeper import share\n"
        "with share('embedded-broker', Path(sys.argv[1])) as told:\n"
        "    print(told['keeper_pid'], flush=True); sys.stdin.read()\n"
    )
    users = [
        subprocess.Popen(
            [sys.executable, "-c", use, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    pids = {user.stdout.readline().strip() for user in users if user.stdout}
    assert len(pids) == 1, "both use the same server"
    keeper = ProcessIdentity.of(int(pids.pop()))
    assert keeper is not None

    users[0].kill()
    users[0].wait()
    with (tmp_path / "embedded-broker.users").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert keeper.alive(), "one user is left"

    users[1].send_signal(signal.SIGKILL)
    users[1].wait()
    assert wait_until(lambda: not keeper.alive(), 20.0), "the keeper ends with its last user"
    assert not (tmp_path / "embedded-broker.json").exists()
    for user in users:
        for pipe in (user.stdin, user.stdout):
            if pipe is not None:
                pipe.close()


def test_a_killed_keeper_is_replaced_and_its_server_gone(tmp_path: Path) -> None:
    with share("embedded-broker", tmp_path) as told:
        first = told
        os.kill(int(told["keeper_pid"]), signal.SIGKILL)
        keeper = ProcessIdentity(int(told["keeper_pid"]), int(told["keeper_started"]))
        assert wait_until(lambda: not keeper.alive(), 10.0)
    with share("embedded-broker", tmp_path) as told:
        assert told["keeper_pid"] != first["keeper_pid"]
        assert json.loads((tmp_path / "embedded-broker.json").read_text()) == told
