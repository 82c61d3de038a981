"""Which deployment a command is about, the stack that runs here or one elsewhere, and how its answers are shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from crm_stack.cli.failure import NOT_RUNNING, USAGE, Failure

if TYPE_CHECKING:
    from crm_events import Login
    from crm_events.archive import Storage

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
Databases = Annotated[
    Path | None,
    typer.Option(
        "--databases",
        metavar="FOLDER",
        envvar="CRM_DATABASES",
        help="Of a deployment elsewhere: files NAME-database-url, if PostgreSQL is reached from here.",
    ),
]
Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="HOST:PORT",
        envvar="CRM_KAFKA",
        help="Of a deployment elsewhere: the bus, if it is reached from here.",
    ),
]

Archive = Annotated[
    str | None,
    typer.Option(
        "--archive",
        metavar="URL",
        envvar="CRM_ARCHIVE_URL",
        help="Of a deployment elsewhere: its archive, as its services have it.",
    ),
]


def bus(kafka: str | None) -> str:
    """The address of the bus: the one named, or that of the stack that runs here."""
    from crm_stack.options import StackOptions
    from crm_stack.status_file import running

    if kafka is not None:
        return kafka
    status = running(StackOptions.of_workspace().layout.folder)
    if status is None:
        raise Failure("Nothing runs here.", "Start it first: ./crm up. Elsewhere: --kafka", NOT_RUNNING)
    return status.kafka


def login_at(kafka: str | None) -> Login:
    """How to log in at that bus: CRM_KAFKA_SECURITY and what belongs to it. The broker of the stack that runs here asks nobody."""
    from crm_events import Login
    from crm_web.settings import KafkaSettings, SettingsInvalid

    if kafka is None:
        return Login()
    try:
        return KafkaSettings.load(kafka_bootstrap=kafka).kafka_login
    except SettingsInvalid as refused:
        raise Failure(str(refused), code=USAGE) from refused


def administrator(kafka: str | None) -> tuple[str, Login]:
    """Address and log-in of whoever administrates the brokers of a deployment elsewhere."""
    if kafka is None:
        raise Failure(
            "Of which brokers? Say it with --kafka.",
            "The broker of ./crm up knows no users: it is this machine's.",
            USAGE,
        )
    login = login_at(kafka)
    if not login.has_user:
        raise Failure(
            "Only an administrator may do that.",
            "Set CRM_KAFKA_SECURITY, CRM_KAFKA_USERNAME, CRM_KAFKA_PASSWORD_FILE.",
            USAGE,
        )
    # It warns of PLAIN without TLS wherever that goes. The settings let it go no further than this machine.
    logging.getLogger("aiokafka.conn").setLevel(logging.ERROR)
    return kafka, login


def urls_of(folder: Path | None) -> Mapping[str, str]:
    """Service → its database's URL: those of the folder, or of the stack that runs here."""
    from crm_stack.bus import databases
    from crm_stack.layout import services_of, workspace
    from crm_stack.options import StackOptions
    from crm_stack.status_file import running

    if folder is None:
        options = StackOptions.of_workspace()
        if running(options.layout.folder) is None:
            raise Failure("Nothing runs here.", "Start it first: ./crm up. Elsewhere: --databases", NOT_RUNNING)
        return databases.urls_of(options.layout, options.services)
    from crm_stack.deployed import databases_in

    found = databases_in(folder)
    if not found:
        raise Failure(
            f"{folder} has no file like identity-database-url.", "deploy/docker/make-secrets makes them.", USAGE
        )
    if unknown := sorted(found.keys() - set(services_of(workspace()))):
        raise Failure(f"There is no service {', '.join(unknown)} here.", "Ask with the code that runs there.", USAGE)
    return found


def storage_at(url: str | None, *, elsewhere: bool) -> Storage:
    """The archive: the one named, or that of the stack that runs here."""
    from crm_events.archive import Storage
    from crm_stack.options import StackOptions

    if url is None and elsewhere:
        raise Failure("Where the archive lies is not said.", "--archive, as the services have CRM_ARCHIVE_URL.", USAGE)
    try:
        return Storage(url or StackOptions.of_workspace().layout.archive.absolute().as_uri())
    except ValueError as error:
        raise Failure(f"{error}", "s3://bucket/folder, gs://…, az://… or file:///folder.", USAGE) from error


def carry_out(work: Coroutine[Any, Any, T]) -> T:
    """What the work answers. Raises Failure when a part does not."""
    from crm_database import DATABASE_ERRORS

    try:
        return asyncio.run(work)
    except DATABASE_ERRORS as error:
        # What PostgreSQL and the system say names role, database and address, never the password.
        raise Failure(
            f"A part does not answer: {error}", "./crm status shows which; elsewhere, look at the address."
        ) from error


def show_table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows below their columns' names."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(highlight=False, soft_wrap=True).print(table)
