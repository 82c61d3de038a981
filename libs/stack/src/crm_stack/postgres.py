"""The embedded PostgreSQL: a real server from a wheel, one data folder, loopback TCP only, a password for everybody.

`PostgresServer` serves two callers. Tests and tools use `start` / `create_database` / `stop` (or `with`); the
supervisor uses the same pieces one by one: `prepare`, `command`, `is_ready`, `STOP_STEPS`.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from crm_stack.child_server import ChildServer
from crm_stack.ports import LOOPBACK, free_port
from crm_stack.postgres_files import (
    SUPERUSER,
    PostgresDidNotStart,
    account,
    binaries,
    environment,
    initialise,
    leftovers,
    write_settings,
)
from crm_stack.probes import POSTGRES
from crm_stack.process import wait_until

__all__ = ["EXTENSIONS", "STOP_STEPS", "SUPERUSER", "PostgresDidNotStart", "PostgresServer", "SqlFailed"]

EXTENSIONS = ("pg_trgm", "btree_gin")
# SIGINT is PostgreSQL's fast shutdown: it ends sessions, writes a checkpoint, loses nothing. After the later steps it
# recovers on the next start.
STOP_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))


class SqlFailed(Exception):
    """A statement sent with `PostgresServer.execute` was refused; the text is PostgreSQL's."""


class PostgresServer(ChildServer):
    """One server over one folder: `<folder>/data`, `<folder>/password` and, unless told otherwise, `postgres.log`."""

    title = "PostgreSQL"
    steps = STOP_STEPS
    did_not_start = PostgresDidNotStart
    death_signal = signal.SIGINT

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        password: str | None = None,
        log: Path | None = None,
        volatile: bool = False,
    ) -> None:
        """Describe the server; nothing is started or written yet.

        Args:
            folder: where everything goes; made on `prepare`.
            port: None takes a free one on every `prepare`.
            password: the superuser's; None keeps one in `<folder>/password` (mode 0600).
            volatile: True gives up durability for speed; tests only.
        """
        super().__init__(folder, port or 0, log or folder.absolute() / "postgres.log")
        self._fixed_port = port is not None
        self._password = password
        self._volatile = volatile

    @property
    def data(self) -> Path:
        """The data folder, which belongs to the account that runs the server."""
        return self.folder / "data"

    @property
    def dsn(self) -> str:
        """The superuser's connection URL."""
        return self.dsn_for(SUPERUSER, self.password, "postgres")

    @property
    def password(self) -> str:
        """The superuser's password, made on first use."""
        if self._password is None:
            kept = self.folder / "password"
            if not kept.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
                    target.write(secrets.token_urlsafe(24))
            self._password = kept.read_text()
        return self._password

    def dsn_for(self, role: str, password: str, database: str) -> str:
        """The connection URL of `role` to `database` on this server."""
        return f"postgresql://{quote(role)}:{quote(password, safe='')}@{LOOPBACK}:{self.port}/{quote(database)}"

    def prepare(self) -> None:
        """Make the data folder if there is none, write the settings, end what an earlier server left running here.

        Raises:
            PostgresDidNotStart: initdb failed.
            NoAccountForPostgres: we are root and nobody else can run it.
        """
        super().prepare()
        self.end_leftovers()
        if not self._fixed_port:
            self.port = free_port()
        if not self.data.exists():
            initialise(self.folder, self.password, volatile=self._volatile)
        write_settings(self.folder, self.port, volatile=self._volatile)

    def command(self, death_signal: int | None = signal.SIGINT) -> list[str]:
        """The server's command line.

        `death_signal` is what it gets when its parent ends: by default a fast, clean shutdown.
        """
        return [*account(self.folder, death_signal).prefix, str(binaries() / "postgres"), "-D", str(self.data)]

    def is_ready(self) -> bool:
        """Whether the server takes connections now."""
        return POSTGRES.ask(self.port)

    def end_leftovers(self) -> None:
        """End server processes over this data folder that outlived an earlier owner (the supervisor or the postmaster
        was killed): cleanly where they listen.
        """
        for number, seconds in STOP_STEPS:
            found = leftovers(self.data)
            for process in found:
                process.signal(number)
            if wait_until(lambda: not leftovers(self.data), seconds if found else 0.0):
                return

    def environment(self) -> Mapping[str, str]:
        """See `postgres_files.environment`."""
        return environment()

    def start(self, seconds: float = 60.0) -> str:
        """Start the server as our child and wait until it takes connections; returns the superuser's URL.

        Raises:
            PostgresDidNotStart: its port is taken, it ended, or was not ready within `seconds`.
        """
        self._run(seconds)
        return self.dsn

    def create_database(
        self, name: str, owner: str, password: str | None = None, *, template: str | None = None
    ) -> str:
        """Make the role `owner` and its database `name`, as far as they are missing; returns the owner's URL.

        Nobody but the owner (and the superuser) can connect to the database. The `EXTENSIONS` are in it.

        Args:
            password: the owner's from now on; None makes one up for this call, so that the URLs of earlier calls for
                that role become void.
            template: a database that nobody is connected to; the new one is a copy of it, owner's objects included.

        Raises:
            SqlFailed: for example when the template is in use.
        """
        password = password if password is not None else secrets.token_urlsafe(18)
        self.execute(
            """
            SELECT format('CREATE ROLE %I', :'owner')
             WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner') \\gexec
            ALTER ROLE :"owner" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
                  PASSWORD :'password';
            REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
            SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE %I', :'name', :'owner', :'template')
             WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec
            REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
            """,
            variables={"owner": owner, "password": password, "name": name, "template": template or "template1"},
        )
        if template is None:
            self.execute("".join(f"CREATE EXTENSION IF NOT EXISTS {e};" for e in EXTENSIONS), database=name)
        return self.dsn_for(owner, password, name)

    def drop_database(self, name: str) -> None:
        """Remove a database, ending the sessions on it; nothing happens when there is none."""
        self.execute('DROP DATABASE IF EXISTS :"name" WITH (FORCE);', variables={"name": name})

    def execute(self, sql: str, *, database: str = "postgres", variables: Mapping[str, str] | None = None) -> str:
        """Run statements as superuser with psql; returns what they print: columns separated by `|`, no headings.

        `variables` are psql's: `:"name"` quotes as an identifier, `:'name'` as a text. It is synchronous and needs no
        driver, so that it works inside and outside of event loops.

        Raises:
            SqlFailed: a statement was refused; those before it stand.
        """
        # Given in the input: arguments of a command (a password!) can be read by everybody on this machine.
        given = "".join(f"\\set {name} {_psql_text(value)}\n" for name, value in (variables or {}).items())
        command = [str(binaries() / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", LOOPBACK, "-p", str(self.port), "-U", SUPERUSER, "-d", database]
        answer = subprocess.run(  # noqa: S603
            command,
            input=given + sql,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**environment(), "PGPASSWORD": self.password, "PGCLIENTENCODING": "UTF8"},
            check=False,
        )
        if answer.returncode != 0:
            raise SqlFailed(answer.stderr.strip())
        return answer.stdout.strip()


def _psql_text(value: str) -> str:
    """A value as psql's `\\set` reads it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
