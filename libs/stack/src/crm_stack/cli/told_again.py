"""`crm events resync | rebuild | replay | resyncs`: having a service told again what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crm_stack.cli.deployment import AsJson, Databases, carry_out, show_table, urls_of
from crm_stack.cli.failure import FAILED, USAGE, Failure

_Service = Annotated[str, typer.Argument(help="Which service: sales, say.")]


def register(events: typer.Typer) -> None:
    """Add the commands to `crm events`."""

    @events.command()
    def resync(
        service: _Service,
        topics: Annotated[
            list[str] | None, typer.Option("--topic", help="Only this topic; several may be given.")
        ] = None,
        wait: Annotated[bool, typer.Option("--wait", help="Show how far it is, until it is done.")] = False,
        databases: Databases = None,
    ) -> None:
        """Have the owners tell a service again what it keeps of their records, over the bus; nothing stops meanwhile.

        Example: ./crm events resync sales --topic crm.customers.customer --wait
        """
        _told_again(_database(service, databases), service, wait, topics=topics)

    @events.command()
    def rebuild(service: _Service, databases: Databases = None) -> None:
        """Make anew what a service derives from events: analytics' figures from its log, others' replicas by a resync.

        Reports answer meanwhile, from what is there. Rows of replicas that their owner doesn't know are removed. Example: ./crm events
        rebuild analytics
        """
        if service == "analytics":
            carry_out(_rebuild_figures(_database(service, databases)))
        else:
            _told_again(_database(service, databases), service, True, prune=True)

    @events.command()
    def replay(
        service: Annotated[str, typer.Option("--service", help="Whose group it is.")],
        group: Annotated[str, typer.Option("--group", help="sales.customers, say; projections only.")],
        since: Annotated[
            str | None, typer.Option(help="Only facts recorded from then on: 2026-11-01, or with a time.")
        ] = None,
        types: Annotated[
            list[str] | None, typer.Option("--type", help="Only this event type; several may be given.")
        ] = None,
        topics: Annotated[
            list[str] | None, typer.Option("--topic", help="Only this topic; several may be given.")
        ] = None,
        wait: Annotated[bool, typer.Option("--wait", help="Show how far it is, until it is done.")] = False,
        databases: Databases = None,
    ) -> None:
        """Have the facts told again to one group, in order, with their original ids and times.

        Example: ./crm events replay --service analytics --group analytics.log --since 2026-11-01 --wait
        """
        _told_again(
            _database(service, databases),
            service,
            wait,
            groups=(group,),
            topics=topics,
            kind="journal",
            since=_instant(since),
            types=types,
        )

    @events.command()
    def resyncs(service: _Service, databases: Databases = None, as_json: AsJson = False) -> None:
        """List what a service asked to be told again, the newest first."""
        carry_out(_list_resyncs(_database(service, databases), as_json))


def _database(service: str, folder: Path | None) -> str:
    """The URL of a service's database."""
    urls = urls_of(folder)
    if service not in urls:
        raise Failure(f"There is no service {service!r} here.", f"There are: {', '.join(sorted(urls))}.", USAGE)
    return urls[service]


def _told_again(
    url: str,
    service: str,
    wait: bool,
    *,
    groups: tuple[str, ...] | None = None,
    topics: list[str] | None = None,
    kind: Any = None,
    since: Any = None,
    types: list[str] | None = None,
    prune: bool = False,
) -> None:
    from crm_events.resync.box import NothingToAsk, Wish

    wish = Wish(
        groups=groups,
        topics=None if not topics else tuple(topics),
        kind=kind,
        since=since,
        types=None if not types else tuple(types),
        prune=prune,
    )
    try:
        failed = carry_out(_resync({service: url}, service, wish, wait))
    except NothingToAsk as nothing:
        raise Failure(
            str(nothing), "Replicas, the log and the figures take one; side effects don't.", USAGE
        ) from nothing
    if failed:
        raise typer.Exit(FAILED)


async def _resync(urls: Mapping[str, str], service: str, wish: Any, wait: bool) -> bool:
    import datetime as dt

    from crm_events import groups_of
    from crm_events.resync import box
    from crm_stack.bus.databases import opened_at
    from crm_web.service import load_service
    from crm_web.working import all_reactions

    groups = groups_of(all_reactions(load_service(service)))
    async with opened_at(urls) as databases:
        database = databases[service]
        made = await box.ask(database, groups, wish, dt.datetime.now(dt.UTC))
        if not wait:
            typer.echo(f"{len(made)} asked for; ./crm events resyncs {service} shows how far they are.")
            return False
        standing: list[Any] = []
        shown = ""
        async for standing in box.watched(database, made):
            done = sum(not one.is_open for one in standing)
            line = f"{done} of {len(standing)} topics, {sum(one.applied for one in standing)} events"
            if line != shown:
                typer.echo(line)
            shown = line
    show_table(_RESYNC_COLUMNS, [_resync_row(one) for one in standing])
    _tell_problems(standing)
    return any(one.state == "failed" for one in standing)


_RESYNC_COLUMNS = ("group", "topic", "kind", "state", "events", "refused", "unknown")


def _resync_row(one: Any) -> tuple[Any, ...]:
    return (one.group, one.topic, one.kind, one.state, one.applied, one.refused, one.unknown)


def _tell_problems(requests: list[Any]) -> None:
    for one in requests:
        if one.problem:
            typer.echo(f"{one.group} {one.topic}: {one.problem}")


async def _list_resyncs(url: str, as_json: bool) -> None:
    import dataclasses
    import json

    from crm_events.resync import box
    from crm_stack.bus.databases import opened_at

    async with opened_at({"asking": url}) as databases:
        found = await box.requests(databases["asking"])
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], default=str, indent=1))
        return
    show_table(
        ("asked at", "why", *_RESYNC_COLUMNS),
        [(f"{one.asked_at:%m-%d %H:%M:%S}", one.reason, *_resync_row(one)) for one in found],
    )
    _tell_problems(found)


async def _rebuild_figures(url: str) -> None:
    import time

    from crm_analytics.rebuild import LogBehind, RebuildRunning, TablesBusy, rebuild

    shown = 0.0

    def told(events: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - shown >= 1:
            shown = time.monotonic()
            typer.echo(f"{events} of {total} events")

    try:
        done = await rebuild(url, told)
    except (RebuildRunning, LogBehind, TablesBusy) as error:
        raise Failure(f"Not rebuilt: {error}.", "Everything is as it was; try again.") from error
    typer.echo(f"Rebuilt from {done.events} events; {len(done.refused)} don't fit their contract.")
    for event_id in done.refused:
        typer.echo(f"  {event_id}")


def _instant(text: str | None) -> Any:
    import datetime as dt

    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise Failure(f"{text!r} is no time.", "Write 2026-11-01, or 2026-11-01T08:00:00+09:00.", USAGE) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)
