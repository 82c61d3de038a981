"""`crm events`: the bus as operators see it: of the stack on this machine, or of a deployment elsewhere, by addresses."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from crm_stack.cli.failure import FAILED, NOT_RUNNING, USAGE, Failure

T = TypeVar("T")
_Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
_Databases = Annotated[
    Path | None,
    typer.Option(
        "--databases",
        metavar="FOLDER",
        envvar="CRM_DATABASES",
        help="Of a deployment elsewhere: files NAME-database-url, if PostgreSQL is reached from here.",
    ),
]
_Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="HOST:PORT",
        envvar="CRM_KAFKA",
        help="Of a deployment elsewhere: the bus, if it is reached from here.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    events = typer.Typer(
        help="The bus: what passes, how far each group is, and that nothing is lost.", no_args_is_help=True
    )
    letters = typer.Typer(help="Events that a group could not apply.", no_args_is_help=True)
    app.add_typer(events, name="events")
    events.add_typer(letters, name="dead-letters")

    @events.command()
    def tail(
        topics: Annotated[list[str] | None, typer.Argument(help="Topics; all facts when none is named.")] = None,
        from_start: Annotated[bool, typer.Option("--from-start", help="Begin with what the broker still has.")] = False,
        limit: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
        kafka: _Kafka = None,
        as_json: _Json = False,
    ) -> None:
        """Show events as they pass; Ctrl-C ends it.

        Example: ./crm events tail crm.sales.opportunity --json
        """
        _run(_tail(_bus(kafka), topics or [], from_start, limit, as_json))

    @events.command()
    def lag(databases: _Databases = None, as_json: _Json = False) -> None:
        """Show how far each group is on each partition, read from the databases.

        Example: ./crm events lag --databases deploy/docker/secrets
        """
        _run(_lag(_urls(databases), as_json))

    @events.command()
    def reconcile(databases: _Databases = None, as_json: _Json = False) -> None:
        """Prove that nothing is lost: every event is in the inbox of each group that wants it, or the reason is told.

        Exit code 1 when an event is missing without a reason.
        """
        raise typer.Exit(FAILED if _run(_reconcile(_urls(databases), as_json)) else 0)

    @letters.command(name="list")
    def list_letters(databases: _Databases = None, as_json: _Json = False) -> None:
        """List what waits in the dead letters of all services."""
        _run(_letters(_urls(databases), as_json))

    @letters.command()
    def show(event_id: str, databases: _Databases = None) -> None:
        """Show one event's dead letters whole: reason, trace, headers, data."""
        _run(_show(_urls(databases), event_id))

    @letters.command()
    def retry(
        event_id: Annotated[str | None, typer.Argument(help="One event; all that wait when none is named.")] = None,
        databases: _Databases = None,
    ) -> None:
        """Have dead letters applied again, with what is parked behind them."""
        typer.echo(f"{_run(_ask(_urls(databases), 'retry', event_id))} asked for.")

    @letters.command()
    def discard(event_id: str, databases: _Databases = None) -> None:
        """Give one event up: it is never applied; what is parked behind it is."""
        typer.echo(f"{_run(_ask(_urls(databases), 'discard', event_id))} asked for.")


def _bus(kafka: str | None) -> str:
    """The address of the bus: the one named, or that of the stack that runs here."""
    from crm_stack.options import StackOptions
    from crm_stack.status_file import running

    if kafka is not None:
        return kafka
    status = running(StackOptions.of_workspace().layout.folder)
    if status is None:
        raise Failure("Nothing runs here.", "Start it first: ./crm up. Elsewhere: --kafka", NOT_RUNNING)
    return status.kafka


def _urls(folder: Path | None) -> Mapping[str, str]:
    """Service → its database's URL: those of the folder, or of the stack that runs here."""
    from crm_stack.bus.databases import urls_of
    from crm_stack.layout import services_of, workspace
    from crm_stack.options import StackOptions
    from crm_stack.status_file import running

    if folder is None:
        options = StackOptions.of_workspace()
        if running(options.layout.folder) is None:
            raise Failure("Nothing runs here.", "Start it first: ./crm up. Elsewhere: --databases", NOT_RUNNING)
        return urls_of(options.layout, options.services)
    from crm_stack.deployed import databases_in

    found = databases_in(folder)
    if not found:
        raise Failure(
            f"{folder} has no file like identity-database-url.", "deploy/docker/make-secrets makes them.", USAGE
        )
    if unknown := sorted(found.keys() - set(services_of(workspace()))):
        raise Failure(f"There is no service {', '.join(unknown)} here.", "Ask with the code that runs there.", USAGE)
    return found


def _run(work: Coroutine[Any, Any, T]) -> T:
    from crm_database import DATABASE_ERRORS

    try:
        return asyncio.run(work)
    except DATABASE_ERRORS as error:
        # What PostgreSQL and the system say names role, database and address, never the password.
        raise Failure(
            f"A part does not answer: {error}", "./crm status shows which; elsewhere, look at the address."
        ) from error


async def _tail(kafka: str, names: list[str], from_start: bool, limit: int | None, as_json: bool) -> None:
    from aiokafka.errors import KafkaError

    from crm_contracts import registry
    from crm_events.watching import tail

    known = {topic.name: topic for topic in registry.topics.values() if topic.numbered}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Failure(f"No such topic: {', '.join(unknown)}.", f"There are: {', '.join(sorted(known))}.", USAGE)
    chosen = [known[name] for name in names] or list(known.values())
    seen = 0
    try:
        async for envelope in tail(kafka, chosen, from_start=from_start):
            if as_json:
                typer.echo(envelope.data.decode("utf-8", "replace"))
            else:
                number = f"{envelope.partition}/{envelope.sequence}"
                typer.echo(f"{envelope.time:%H:%M:%S.%f} {envelope.type} {envelope.subject} {number}")
            seen += 1
            if limit is not None and seen >= limit:
                return
    except KafkaError as error:
        raise Failure(
            f"The broker does not answer: {error}", "./crm status shows it; elsewhere, look at the address."
        ) from error


async def _lag(urls: Mapping[str, str], as_json: bool) -> None:
    import dataclasses
    import json

    from crm_events.watching import lag
    from crm_stack.bus.databases import opened_at

    async with opened_at(urls) as databases:
        rows = await lag(databases)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(row) for row in rows], default=str, indent=1))
        return
    _table(
        ("group", "topic", "partition", "head", "not sent", "applied", "behind"),
        [
            (r.group, r.topic, r.partition, r.head, r.waiting, r.applied, "?" if r.behind is None else r.behind)
            for r in rows
        ],
    )


async def _reconcile(urls: Mapping[str, str], as_json: bool) -> bool:
    import dataclasses
    import json

    from crm_events import groups_of
    from crm_events.reconcile import reconcile
    from crm_stack.bus.databases import opened_at
    from crm_web.service import load_service
    from crm_web.working import all_reactions

    groups = {name: groups_of(all_reactions(load_service(name))) for name in urls}
    async with opened_at(urls) as databases:
        found = await reconcile(databases, groups)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), default=str, indent=1))
        return bool(found.faults)
    _table(("group", "applied"), sorted(found.applied.items()))
    if found.findings:
        why = Counter((finding.group, finding.reason, finding.type) for finding in found.findings)
        _table(("not applied by", "why", "type", "events"), [(*key, count) for key, count in sorted(why.items())])
    for fault in found.faults[:20]:
        typer.echo(f"{fault.reason}: {fault.type} {fault.event_id} for {fault.group}")
    if len(found.faults) > 20:
        typer.echo(f"… and {len(found.faults) - 20} more; --json has them all.")
    typer.echo(
        f"{found.events} events; {len(found.findings)} not applied, {len(found.faults)} of them without a reason."
    )
    return bool(found.faults)


async def _letters(urls: Mapping[str, str], as_json: bool) -> None:
    import dataclasses
    import json

    from crm_events import letter_box
    from crm_stack.bus.databases import opened_at

    async with opened_at(urls) as databases:
        found = [letter for database in databases.values() for letter in await letter_box.letters(database)]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(letter) for letter in found], default=str, indent=1))
        return
    _table(
        ("event", "group", "type", "failed at", "parked behind", "reason"),
        [
            (str(x.event_id), x.group, x.type, f"{x.failed_at:%Y-%m-%d %H:%M:%S}", x.parked, x.reason[:80])
            for x in found
        ],
    )


async def _show(urls: Mapping[str, str], event_id: str) -> None:
    import dataclasses
    import json

    from crm_events import letter_box
    from crm_stack.bus.databases import opened_at

    wanted = _id(event_id)
    async with opened_at(urls) as databases:
        found = [letter for database in databases.values() for letter in await letter_box.show(database, wanted)]
    if not found:
        raise Failure(f"No group has a dead letter of {event_id}.")
    typer.echo(json.dumps([dataclasses.asdict(letter) for letter in found], default=str, indent=1))


async def _ask(urls: Mapping[str, str], what: str, event_id: str | None) -> int:
    import datetime as dt

    from crm_events import letter_box
    from crm_stack.bus.databases import opened_at

    now = dt.datetime.now(dt.UTC)
    asked = 0
    async with opened_at(urls) as databases:
        for database in databases.values():
            if what == "retry":
                asked += await letter_box.retry(database, now, event_id=None if event_id is None else _id(event_id))
            elif event_id is not None:
                asked += await letter_box.discard(database, now, event_id=_id(event_id))
    return asked


def _id(text: str) -> Any:
    import uuid

    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise Failure(
            f"{text!r} is no event id.", "Ids look like 01900000-0000-7000-8000-000000000000.", USAGE
        ) from error


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(highlight=False, soft_wrap=True).print(table)
