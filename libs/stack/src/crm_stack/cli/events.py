"""`crm events`: the bus as operators see it: of the stack on this machine, or of a deployment elsewhere, by addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_stack.cli import archive, restored, told_again
from crm_stack.cli.deployment import AsJson, Databases, Kafka, bus, carry_out, login_at, show_table, urls_of
from crm_stack.cli.failure import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from crm_events import Login


def register(app: typer.Typer) -> None:
    """Add the commands."""
    events = typer.Typer(
        help="The bus: what passes, how far each group is, and that nothing is lost.", no_args_is_help=True
    )
    letters = typer.Typer(help="Events that a group could not apply.", no_args_is_help=True)
    app.add_typer(events, name="events")
    events.add_typer(letters, name="dead-letters")
    told_again.register(events)
    archive.register(events)
    restored.register(events)

    @events.command()
    def tail(
        topics: Annotated[list[str] | None, typer.Argument(help="Topics; all facts when none is named.")] = None,
        from_start: Annotated[bool, typer.Option("--from-start", help="Begin with what the broker still has.")] = False,
        limit: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
        kafka: Kafka = None,
        as_json: AsJson = False,
    ) -> None:
        """Show events as they pass; Ctrl-C ends it.

        Example: ./crm events tail crm.sales.opportunity --json
        """
        carry_out(_tail(bus(kafka), login_at(kafka), topics or [], from_start, limit, as_json))

    @events.command()
    def lag(databases: Databases = None, as_json: AsJson = False) -> None:
        """Show how far each group is on each partition, read from the databases.

        Example: ./crm events lag --databases deploy/docker/secrets
        """
        carry_out(_lag(urls_of(databases), as_json))

    @events.command()
    def reconcile(databases: Databases = None, as_json: AsJson = False) -> None:
        """Prove that nothing is lost: every event is in the inbox of each group that wants it, or the reason is told; replicas, figures
        and the log have what the journals tell; the journals are whole.

        Exit code 1 when an event is missing without a reason, or a replica or journal is not as it should be.
        """
        raise typer.Exit(FAILED if carry_out(_reconcile(urls_of(databases), as_json)) else 0)

    @letters.command(name="list")
    def list_letters(databases: Databases = None, as_json: AsJson = False) -> None:
        """List what waits in the dead letters of all services."""
        carry_out(_letters(urls_of(databases), as_json))

    @letters.command()
    def show(event_id: str, databases: Databases = None) -> None:
        """Show one event's dead letters whole: reason, trace, headers, data."""
        carry_out(_show(urls_of(databases), event_id))

    @letters.command()
    def retry(
        event_id: Annotated[str | None, typer.Argument(help="One event; all that wait when none is named.")] = None,
        databases: Databases = None,
    ) -> None:
        """Have dead letters applied again, with what is parked behind them."""
        typer.echo(f"{carry_out(_ask(urls_of(databases), 'retry', event_id))} asked for.")

    @letters.command()
    def discard(event_id: str, databases: Databases = None) -> None:
        """Give one event up: it is never applied; what is parked behind it is."""
        typer.echo(f"{carry_out(_ask(urls_of(databases), 'discard', event_id))} asked for.")


async def _tail(kafka: str, login: Login, names: list[str], from_start: bool, limit: int | None, as_json: bool) -> None:
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
        async for envelope in tail(kafka, chosen, from_start=from_start, login=login):
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
            f"The broker does not answer: {error}",
            "./crm status shows it; elsewhere, look at the address and at CRM_KAFKA_SECURITY.",
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
    show_table(
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
    from crm_events.reconcile import UNKNOWN_HERE, reconcile
    from crm_stack.bus.databases import opened_at
    from crm_web.service import load_service
    from crm_web.working import all_reactions

    groups = {name: groups_of(all_reactions(load_service(name))) for name in urls}
    async with opened_at(urls) as databases:
        found = await reconcile(databases, groups)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), default=str, indent=1))
        return found.is_faulty
    show_table(("group", "applied"), sorted(found.applied.items()))
    if found.findings:
        why = Counter((finding.group, finding.reason, finding.type) for finding in found.findings)
        show_table(("not applied by", "why", "type", "events"), [(*key, count) for key, count in sorted(why.items())])
    for fault in found.faults[:20]:
        typer.echo(f"{fault.reason}: {fault.type} {fault.event_id} for {fault.group}")
    if len(found.faults) > 20:
        typer.echo(f"… and {len(found.faults) - 20} more; --json has them all.")
    if found.holdings:
        what = Counter((fault.group or fault.producer, fault.reason, fault.topic) for fault in found.holdings)
        show_table(("whose", "what", "topic", "records"), [(*key, count) for key, count in sorted(what.items())])
    for holding in found.holdings[:20]:
        typer.echo(
            f"{holding.reason}: {holding.topic} {holding.subject} for {holding.group or holding.producer} "
            f"(owner {holding.owned}, here {holding.held})"
        )
    set_back = {fault.producer for fault in found.faults if fault.reason == UNKNOWN_HERE}
    for producer in sorted(set_back):
        typer.echo(f"Repair: hold {producer}, then ./crm events restored {producer}")
    repairs: dict[str, set[str]] = {}
    for group, topic in {(h.group, h.topic) for h in found.holdings if h.group and h.producer not in set_back} | {
        (f.group, f.topic) for f in found.faults if f.reason != UNKNOWN_HERE
    }:
        repairs.setdefault(group, set()).add(topic)
    for group, topics in sorted(repairs.items()):
        only = f" --topic {min(topics)}" if len(topics) == 1 else ""
        typer.echo(f"Repair: ./crm events replay --service {group.partition('.')[0]} --group {group}{only} --wait")
    typer.echo(
        f"{found.events} events; {len(found.findings)} not applied, {len(found.faults)} of them without a reason."
    )
    return found.is_faulty


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
    show_table(
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
