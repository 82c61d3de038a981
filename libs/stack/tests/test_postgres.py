"""The embedded PostgreSQL, alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from crm_stack.postgres import PostgresDidNotStart, PostgresServer, SqlFailed
from crm_stack.postgres_files import leftovers
from crm_stack.process import ProcessIdentity, wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path / "it's here" / "postgres", volatile=True) as running:
        yield running


async def _refusal(dsn: str) -> type[Exception]:
    """How a connection is refused."""
    try:
        connection = await asyncpg.connect(dsn)
    except asyncpg.PostgresError as refused:
        return type(refused)
    await connection.close()
    raise AssertionError(f"{dsn} was let in")


async def test_a_role_reaches_its_own_database_and_no_other(server: PostgresServer) -> None:
    own = server.create_database("sales", "sales", "pa'ss\\w:rd")
    server.create_database("identity", "identity", "other")
    connection = await asyncpg.connect(own)
    try:
        assert await connection.fetchval("SELECT current_user || '@' || current_database()") == "sales@sales"
        await connection.execute("CREATE TABLE mine (id int)")
    finally:
        await connection.close()
    for database in ("identity", "postgres", "template1"):
        foreign = server.dsn_for("sales", "pa'ss\\w:rd", database)
        assert await _refusal(foreign) is asyncpg.InsufficientPrivilegeError, database
    wrong = server.dsn_for("sales", "wrong", "sales")
    assert await _refusal(wrong) is asyncpg.InvalidPasswordError


async def test_a_roles_password_and_rights_are_set_again_and_its_data_left_alone(server: PostgresServer) -> None:
    first = server.create_database("sales", "sales", "one")
    connection = await asyncpg.connect(first)
    await connection.execute("CREATE TABLE mine AS SELECT 7 AS n")
    await connection.close()
    second = server.create_database("sales", "sales", "two")
    assert await _refusal(first) is asyncpg.InvalidPasswordError
    connection = await asyncpg.connect(second)
    assert await connection.fetchval("SELECT n FROM mine") == 7
    await connection.close()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cardinality(show_trgm('한국어'))", "4"),
        ("cardinality(show_trgm('客户'))", "3"),
        ("lower('ÄЖΣ')", "äжσ"),
        ("'ÉCOLE' ILIKE 'école'", "t"),
        ("current_setting('fsync')", "off"),
        ("current_setting('synchronous_commit')", "on"),  # What is committed survives a kill, also in tests.
        ("current_setting('TimeZone')", "UTC"),
        ("(SELECT format('%s %s', datlocprovider, datlocale) FROM pg_database WHERE datname = 'd')", "b C.UTF-8"),
    ],
)
def test_its_locale_and_settings_are_ours(expression: str, expected: str, one: PostgresServer) -> None:
    assert one.execute(f"SELECT {expression}", database="d") == expected


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path_factory.mktemp("pg"), volatile=True) as running:
        running.create_database("d", "d")
        yield running


def test_it_listens_on_loopback_only_and_has_no_socket(one: PostgresServer) -> None:
    assert one.execute("SELECT current_setting('listen_addresses')") == "127.0.0.1"
    assert one.execute("SELECT current_setting('unix_socket_directories')") == ""


def test_a_refused_statement_says_what_postgresql_said(one: PostgresServer) -> None:
    with pytest.raises(SqlFailed, match="division by zero"):
        one.execute("SELECT 1/0")


def test_committed_data_survives_a_kill(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)  # durable, as a person's
    with server:
        assert server.execute("SELECT current_setting('fsync')") == "on"
        server.execute("CREATE TABLE kept AS SELECT 42 AS n")
        port = server.port
        server.kill()
        server.start()
        assert server.execute("SELECT n FROM kept") == "42"
    assert port


def test_an_interrupted_creation_is_made_again_and_finished_data_is_never_replaced(tmp_path: Path) -> None:
    half = tmp_path / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")
    server = PostgresServer(tmp_path, volatile=True)
    with server:
        server.execute("CREATE TABLE kept AS SELECT 1 AS n")
    assert not half.exists()
    (server.data / "PG_VERSION").unlink()
    with pytest.raises(PostgresDidNotStart):
        server.start(10)
    assert (server.data / "base").is_dir(), "what is left of the data stays"


def test_a_server_that_somebody_left_behind_is_ended_cleanly(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from crm_stack.postgres import PostgresServer\n"
        "from crm_stack.process import spawn; from crm_stack.postgres_files import environment\n"
        "server = PostgresServer(Path(sys.argv[1]), volatile=True); server.prepare()\n"
        "spawn(server.command(None), log=server.log, cwd=server.folder, env=environment(), death_signal=None)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    server = PostgresServer(tmp_path, volatile=True)
    assert wait_until(lambda: len(leftovers(server.data)) > 1, 10.0)
    before = leftovers(server.data)
    with server:
        assert not any(process.alive() for process in before)
    assert "database system was shut down at" in server.log.read_text()
    assert "interrupted" not in server.log.read_text()


def test_it_shuts_down_cleanly_when_its_owner_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from crm_stack.postgres import PostgresServer\n"
        "server = PostgresServer(Path(sys.argv[1]), volatile=True); server.start(); print(server.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        postmaster = ProcessIdentity.of(int(owner.stdout.readline()))
        assert postmaster is not None
        owner.kill()
    assert wait_until(lambda: not postmaster.alive(), 20.0)
    assert wait_until(lambda: not leftovers(tmp_path / "data"), 5.0)
    assert "database system is shut down" in (tmp_path / "postgres.log").read_text()


def test_a_persons_own_settings_count(tmp_path: Path) -> None:
    (tmp_path / "local.conf").write_text("work_mem = '11MB'\n")
    with PostgresServer(tmp_path, volatile=True) as server:
        assert server.execute("SHOW work_mem") == "11MB"


def test_settings_of_the_persons_shell_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere.example")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with PostgresServer(tmp_path, volatile=True) as server:
        assert server.execute("SHOW work_mem") == "8MB"


def test_root_runs_it_as_somebody_else_and_touches_no_folder_above(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to hand it to another account")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = {folder: folder.stat().st_mode for folder in (closed, *closed.parents)}
    with PostgresServer(closed / "postgres", volatile=True) as server:
        assert server.pid is not None
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        capabilities = dict(
            line.split(":\t")
            for line in Path(f"/proc/{server.pid}/status").read_text().splitlines()
            if line.startswith("Cap")
        )
        assert int(capabilities["CapEff"], 16) == 1 << 2, "CAP_DAC_READ_SEARCH and no more"
    assert {folder: folder.stat().st_mode for folder in (closed, *closed.parents)} == before
    assert (closed / "postgres" / "password").stat().st_mode & 0o777 == 0o600


def test_an_ordinary_user_runs_it_too() -> None:
    if os.geteuid() != 0:
        pytest.skip("we are an ordinary user; every other test shows it")
    program = (
        "import json, os, sys; from pathlib import Path; from crm_stack.postgres import PostgresServer\n"
        "with PostgresServer(Path(sys.argv[1]) / 'pg', volatile=True) as server:\n"
        "    dsn = server.create_database('d', 'd')\n"
        "    print(json.dumps([os.geteuid(), os.stat(f'/proc/{server.pid}').st_uid, server.execute('SELECT 1')]))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        answer = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", program, folder],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.environ["PATH"], "HOME": folder},
        )
        if "Permission denied" in answer.stderr and "python" in answer.stderr:
            pytest.skip("the ordinary user cannot reach this environment's Python")
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout) == [65534, 65534, "1"]


def test_stop_is_a_clean_shutdown(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, volatile=True)
    server.start()
    process = ProcessIdentity.of(server.pid or 0)
    server.stop()
    assert process is not None
    assert not process.alive()
    assert "received fast shutdown request" in server.log.read_text()
