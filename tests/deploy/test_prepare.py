"""The jobs before a service starts: role, database, migrations, the first administrator."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crm_database.provision import EXTENSIONS, provision
from crm_stack.ports import free_port
from crm_stack.postgres import EXTENSIONS as LOCAL_EXTENSIONS
from crm_stack.postgres import PostgresServer
from crm_stack.process import wait_until

pytestmark = pytest.mark.requirement("PL-50")
#: Everything about a role and its database that rights depend on.
_RIGHTS = """
SELECT r.rolcanlogin, r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolreplication, r.rolbypassrls,
       replace(d.datacl::text, d.datname, '<owner>'), pg_encoding_to_char(d.encoding), d.datlocale, d.datcollate, d.datctype
  FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = :'name'
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of its own: what is tested changes rights of the whole cluster."""
    with PostgresServer(tmp_path_factory.mktemp("postgres"), volatile=True) as running:
        yield running


def url(server: PostgresServer, name: str, password: str = "pass-%40-word") -> str:
    """A service's URL there; the password holds an encoded character."""
    return f"postgresql://{name}:{password}@127.0.0.1:{server.port}/{name}"


def run(module: str, given: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A job as in a container: its own process, only these settings."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    command = [sys.executable, "-P", "-m", module]
    return subprocess.run(command, env=rest | given, capture_output=True, text=True, timeout=180, check=False)


def ask(dsn: str, sql: str) -> Any:
    """One value."""

    async def asked() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(asked())


def test_it_makes_the_same_rights_as_the_local_stack(server: PostgresServer) -> None:
    server.create_database("localone", "localone", "secret")
    asyncio.run(provision(server.dsn, url(server, "deployed")))
    found = [server.execute(_RIGHTS, variables={"name": name}) for name in ("localone", "deployed")]
    assert found[0] == found[1]
    assert "<owner>" in found[0]
    assert EXTENSIONS == LOCAL_EXTENSIONS
    assert ask(url(server, "deployed"), "SELECT array_agg(extname ORDER BY extname) FROM pg_extension") == [
        *sorted(EXTENSIONS),
        "plpgsql",
    ]


def test_nobody_but_the_owner_connects_and_a_new_password_counts(server: PostgresServer) -> None:
    asyncio.run(provision(server.dsn, url(server, "one")))
    asyncio.run(provision(server.dsn, url(server, "two")))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        ask(url(server, "one").removesuffix("one") + "two", "SELECT 1")
    assert ask(url(server, "one"), "SELECT current_user") == "one"
    asyncio.run(provision(server.dsn, url(server, "one", "another")))
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(url(server, "one"), "SELECT 1")
    assert ask(url(server, "one", "another"), "SELECT 1") == 1


def test_names_and_passwords_are_never_read_as_sql(server: PostgresServer) -> None:
    odd = "a%22b%27c"  # a"b'c
    asyncio.run(provision(server.dsn, url(server, odd, "x%27%3B%20DROP%20ROLE%20postgres%3B--")))
    assert ask(url(server, odd, "x%27%3B%20DROP%20ROLE%20postgres%3B--"), "SELECT current_user") == "a\"b'c"


@pytest.fixture
def talkative(server: PostgresServer) -> Iterator[PostgresServer]:
    """The server while it writes every statement into its log."""
    everything = {
        "log_statement": "'all'",
        "log_min_duration_statement": "0",
        "log_parameter_max_length_on_error": "-1",
    }
    server.execute("".join(f"ALTER SYSTEM SET {name} = {value};" for name, value in everything.items()))
    server.execute("SELECT pg_reload_conf()")
    assert wait_until(lambda: server.execute("SHOW log_statement") == "all", 30.0)
    yield server
    server.execute("".join(f"ALTER SYSTEM RESET {name};" for name in everything))
    server.execute("SELECT pg_reload_conf()")


def test_no_password_gets_into_the_servers_log(talkative: PostgresServer) -> None:
    asyncio.run(provision(talkative.dsn, url(talkative, "discreet", "never-to-be-logged")))
    # A statement that fails is logged whole, unless that was switched off: roles `pg_…` are the server's own.
    with pytest.raises(asyncpg.ReservedNameError):
        asyncio.run(provision(talkative.dsn, url(talkative, "pg_reserved", "never-to-be-logged")))
    said = talkative.log.read_text(encoding="utf-8", errors="replace")
    assert "statement: CREATE EXTENSION IF NOT EXISTS pg_trgm" in said, "nothing was logged: this test shows nothing"
    assert 'role name "pg_reserved" is reserved' in said
    assert "never-to-be-logged" not in said


def test_many_jobs_at_once_are_one_after_the_other(server: PostgresServer) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*(provision(server.dsn, url(server, f"many{n % 3}")) for n in range(9)))

    asyncio.run(all_at_once())
    assert [ask(url(server, f"many{n}"), "SELECT 1") for n in range(3)] == [1, 1, 1]


def test_the_job_makes_and_migrates_and_the_second_changes_nothing(server: PostgresServer, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(url(server, "identity") + "\n")
    given = {"CRM_SERVICE": "identity", "CRM_DATABASE_URL_FILE": str(tmp_path / "url"), "CRM_SUPERUSER_URL": server.dsn}
    done = run("crm_web.prepare", given)
    assert done.returncode == 0, done.stderr
    head = ask(url(server, "identity"), "SELECT version_num FROM alembic_version")
    del given["CRM_SUPERUSER_URL"]
    again = run("crm_web.prepare", given)
    assert again.returncode == 0, again.stderr
    assert ask(url(server, "identity"), "SELECT version_num FROM alembic_version") == head

    # A table that somebody holds: it gives up, and says so in a line.
    async def held() -> subprocess.CompletedProcess[str]:
        connection = await asyncpg.connect(url(server, "identity"))
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
                return await asyncio.to_thread(run, "crm_web.prepare", given)
        finally:
            await connection.close()

    late = asyncio.run(held())
    assert (late.returncode, late.stderr) == (
        1,
        "identity: failed: LockNotAvailableError: canceling statement due to lock timeout\n",
    )

    # The company and its first administrator, once.
    first = {"CRM_DATABASE_URL_FILE": str(tmp_path / "url"), "CRM_ADMIN_EMAIL": "a@crm.example"}
    refused = run("crm_identity.first_start", first | {"CRM_ADMIN_PASSWORD": "short"})
    assert refused.returncode == 1
    assert "refused: password" in refused.stderr
    assert "short" not in refused.stderr.replace("too short", "")
    made = run("crm_identity.first_start", first | {"CRM_ADMIN_PASSWORD": "correct-horse-battery-staple"})
    assert (made.returncode, made.stderr) == (0, "first_start: made\n")
    there = run("crm_identity.first_start", first | {"CRM_ADMIN_PASSWORD": "correct-horse-battery-staple"})
    assert (there.returncode, there.stderr) == (0, "first_start: there is a company already\n")


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"CRM_DATABASE_URL": ""}, 2, "CRM_DATABASE_URL: it must be like"),
        ({"CRM_SERVICE": "nobody"}, 2, "there is no service nobody here"),
        ({}, 1, "failed: "),
    ],
)
def test_what_is_wrong_is_one_line_and_the_status_says_whether_to_try_again(
    changed: dict[str, str], code: int, said: str
) -> None:
    nowhere = f"postgresql://u:hidden@127.0.0.1:{free_port()}/db"
    given = {"CRM_SERVICE": "identity", "CRM_DATABASE_URL": nowhere, "CRM_WAIT_SECONDS": "0.5"}
    done = run("crm_web.prepare", given | changed)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr


def test_it_waits_for_a_server_that_is_still_starting(tmp_path: Path) -> None:
    late = PostgresServer(tmp_path / "late", free_port(), volatile=True)
    command = [sys.executable, "-P", "-m", "crm_web.prepare"]
    rest = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    given = {"CRM_SERVICE": "support", "CRM_DATABASE_URL": url(late, "support"), "CRM_SUPERUSER_URL": late.dsn}
    late.prepare()
    job = subprocess.Popen(command, env=rest | given, stderr=subprocess.PIPE, text=True)
    try:
        assert job.stderr is not None
        assert "waiting for the database" in job.stderr.readline()
        late.start()
        _, said = job.communicate(timeout=120)
        assert job.returncode == 0, said
    finally:
        job.kill()
        job.wait()
        late.stop()
