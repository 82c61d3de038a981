"""`crm events archive`: old months of the journals in object storage."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from crm_stack.cli.deployment import Archive, AsJson, Databases, carry_out, show_table, storage_at, urls_of
from crm_stack.cli.failure import USAGE, Failure

_Service = Annotated[str, typer.Option("--service", help="Whose journal: sales, say.")]
_Month = Annotated[str, typer.Option("--month", help="Which month: 2026-01.")]


def register(events: typer.Typer) -> None:
    """Add the commands to `crm events`."""
    archive = typer.Typer(help="Old months of the journals in object storage.", no_args_is_help=True)
    events.add_typer(archive, name="archive")

    @archive.command(name="list")
    def list_months(databases: Databases = None, as_json: AsJson = False) -> None:
        """List the months of all journals: what each takes in the database and in the archive.

        Example: ./crm events archive list --databases deploy/docker/secrets
        """
        carry_out(_list(urls_of(databases), as_json))

    @archive.command()
    def run(service: _Service, month: _Month, archive: Archive = None, databases: Databases = None) -> None:
        """Archive a month, or go on where it was left. Refused while somebody still needs it.

        What the worker does by itself with CRM_JOURNAL_KEEP_MONTHS. Example: ./crm events archive run --service sales --month 2026-01
        """
        month_of = _month(month)
        events = _at_work(service, archive, databases, lambda one, now: one.archive(month_of, now))
        typer.echo(f"{events} events of {month} are archived.")

    @archive.command()
    def restore(service: _Service, month: _Month, archive: Archive = None, databases: Databases = None) -> None:
        """Bring a month back into the database, as it was; its files stay. It is not archived again by itself.

        Example: ./crm events archive restore --service sales --month 2026-01
        """
        month_of = _month(month)
        events = _at_work(service, archive, databases, lambda one, _: one.restore(month_of))
        typer.echo(f"{events} events of {month} are back.")

    @archive.command()
    def verify(service: _Service, month: _Month, archive: Archive = None, databases: Databases = None) -> None:
        """Read all files of an archived month and compare them with what was written; names the first that is not as it was.

        Example: ./crm events archive verify --service sales --month 2026-01
        """
        month_of = _month(month)
        events = _at_work(service, archive, databases, lambda one, _: one.verify(month_of))
        typer.echo(f"{events} events of {month} are as they were written.")


def _at_work(service: str, url: str | None, databases: Any, work: Any) -> int:
    from crm_events.archive.errors import ArchiveDamaged, ArchiveUnreachable, NotArchived

    urls = urls_of(databases)
    if service not in urls:
        raise Failure(f"There is no service {service!r} here.", f"There are: {', '.join(sorted(urls))}.", USAGE)
    try:
        # Who is not there has nothing to wait for; the registry names all services that there could be.
        storage, there = storage_at(url, elsewhere=databases is not None), frozenset(urls)
        return carry_out(_with_archiver(urls[service], service, storage, there, work))
    except NotArchived as reason:
        raise Failure(f"{reason}.", "Nothing was lost by it; docs/runbooks/events.md says what to do.") from reason
    except (ArchiveDamaged, ArchiveUnreachable) as error:
        raise Failure(f"{error}", "docs/runbooks/events.md, “The archive”.") from error


async def _with_archiver(dsn: str, service: str, storage: Any, there: frozenset[str], work: Any) -> int:
    import datetime as dt

    from crm_events.archive.archiver import archiver

    async with archiver(dsn, service, storage, expected=there, told=typer.echo) as one:
        return int(await work(one, dt.datetime.now(dt.UTC)))


def _month(text: str) -> Any:
    import datetime as dt

    try:
        return dt.datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007  (a month has no time zone)
    except ValueError as error:
        raise Failure(f"{text!r} is no month.", "Write 2026-01.", USAGE) from error


async def _list(urls: Any, as_json: bool) -> None:
    import dataclasses
    import json

    from crm_events.archive.archiver import months
    from crm_stack.bus.databases import opened_at

    async with opened_at(urls) as databases:
        found = []
        for service, database in databases.items():
            async with database.read() as session:
                found += [(service, one) for one in await months(session.connection)]
    if as_json:
        told = [{"service": service, **dataclasses.asdict(one)} for service, one in found]
        typer.echo(json.dumps(told, default=str, indent=1))
        return
    show_table(
        ("service", "month", "state", "MB in the database", "MB in the archive", "events there"),
        [
            (
                service,
                f"{one.month:%Y-%m}",
                one.state or "whole",
                f"{one.bytes / 1e6:.1f}",
                f"{one.archived_bytes / 1e6:.1f}",
                one.events,
            )
            for service, one in found
        ],
    )
