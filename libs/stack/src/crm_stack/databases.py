"""Bringing the services' databases up: roles, databases, migrations, and the first administrator (ID-1)."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from crm_stack.layout import write_private
from crm_stack.nursery_part import NurseryPart
from crm_stack.options import StackOptions
from crm_stack.postgres import PostgresServer
from crm_stack.service_settings import database_url_file


class AdministratorRefused(Exception):
    """Identity does not take the first administrator, or the company, as given; the text says why."""


def create_databases(options: StackOptions, server: PostgresServer) -> None:
    """Make what is missing of each service's role and database, and the file with its connection URL.

    The port is in the URL, so the file is written again when the port changed; the password stays.

    Raises:
        SqlFailed: PostgreSQL refused.
    """
    layout = options.layout
    present = server.execute("SELECT datname FROM pg_database").splitlines()
    for service in options.services:
        password = layout.secrets / f"{service}.database-password"
        known = password.exists() and bool(password.read_text())
        if not known:
            write_private(password, secrets.token_urlsafe(24))
        # An interrupted first start may have left the database without what comes after its creation.
        complete = layout.state / f"{service}.database"
        if not known or service not in present or not complete.exists():
            server.create_database(service, service, password.read_text())
            complete.touch()
        layout.secret(database_url_file(layout, service).name, server.dsn_for(service, password.read_text(), service))


async def migrate(options: StackOptions, nursery: NurseryPart) -> None:
    """Run every service's migrations, side by side.

    Raises:
        TaskFailed: one of them failed.
    """
    layout = options.layout

    async def one(service: str) -> None:
        arguments = [service, database_url_file(layout, service).read_text()]
        result = layout.state / f"{service}.migrated"
        await nursery.run(options.migrate, arguments, {}, layout.log(f"{service}-migrate"), result)

    await asyncio.gather(*(one(service) for service in options.services))


async def bootstrap(options: StackOptions, nursery: NurseryPart) -> bool:
    """Have identity create the company and its first administrator if there is none; whether it did.

    Who that shall be stands in the file `first_administrator`, which whoever starts the stack writes.

    Raises:
        AdministratorRefused: identity does not take them, for example because of too short a password.
        TaskFailed: it failed otherwise.
    """
    layout = options.layout
    wanted = _wanted_administrator(options)
    if "identity" not in options.services or wanted is None:
        return False
    arguments = [database_url_file(layout, "identity").read_text()]
    result = layout.state / "identity.bootstrapped"
    answer = await nursery.run(options.bootstrap, arguments, wanted, layout.log("identity-bootstrap"), result)
    if isinstance(answer, str):
        raise AdministratorRefused(f"The first administrator was refused: {answer}")
    return bool(answer)


def _wanted_administrator(options: StackOptions) -> dict[str, Any] | None:
    try:
        wanted: dict[str, Any] = json.loads(options.layout.first_administrator.read_text())
    except FileNotFoundError:
        return None
    return wanted
