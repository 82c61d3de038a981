"""`crm events restored`: a service's database was set back; what it had told others since is taken back, before it is started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_stack.cli.deployment import (
    Archive,
    Databases,
    Kafka,
    bus,
    carry_out,
    login_at,
    show_table,
    storage_at,
    urls_of,
)
from crm_stack.cli.failure import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from crm_events import Login
    from crm_events.archive import Storage


def register(events: typer.Typer) -> None:
    """Add the command to `crm events`."""

    @events.command()
    def restored(
        service: Annotated[str, typer.Argument(help="Whose database it is: sales, say. It is held, the others work.")],
        patience: Annotated[
            float,
            typer.Option(min=0, help="Seconds that the log of all events has to say that it has read everything."),
        ] = 60.0,
        kafka: Kafka = None,
        databases: Databases = None,
        archive: Archive = None,
    ) -> None:
        """Reconcile a service whose database was set back to an earlier instant with what it had told others since: before it is started.

        Facts that its journal lacks are taken back from the log of all events; the restored state of their records is told as the newest.

        Example: ./crm events restored sales
        """
        urls = urls_of(databases)
        if service not in urls:
            raise Failure(f"There is no service {service!r} here.", f"There are: {', '.join(sorted(urls))}.", USAGE)
        if service == "identity":
            raise Failure(
                "Identity is not set back to an instant: rights that were withdrawn since would count again.",
                "Restore it to the end of its archive: docs/runbooks/restore.md",
                USAGE,
            )
        # Who has an archive says so; without one there is nothing to read there.
        elsewhere = databases is not None
        storage = None if archive is None and elsewhere else storage_at(archive, elsewhere=elsewhere)
        carry_out(_restored(service, urls, bus(kafka), login_at(kafka), storage, patience))


async def _restored(
    service: str, urls: Mapping[str, str], kafka: str, login: Login, storage: Storage | None, patience: float
) -> None:
    import datetime as dt

    from aiokafka.errors import KafkaError

    from crm_contracts import registry
    from crm_events import groups_of
    from crm_events.archive import ArchiveDamaged, ArchiveUnreachable, keep_in
    from crm_events.restored import listening
    from crm_events.restored.taking_back import StillAtWork, log_among, take_back
    from crm_stack.bus.databases import opened_at
    from crm_web.service import load_service
    from crm_web.working import all_reactions

    groups = {name: groups_of(all_reactions(load_service(name))) for name in urls}
    async with opened_at(urls) as databases:
        keep_in(databases[service], storage)
        log = log_among(databases, groups)
        # What a service says to itself it has lost with its database.
        if log is not None and not log[0].startswith(f"{service}."):
            try:
                unheard = await listening.unheard(kafka, log[0], registry.produced_by(service), patience, login)
            except KafkaError as error:
                raise Failure(f"The broker does not answer: {error}", "./crm status shows it.") from error
            if unheard:
                raise Failure(
                    f"{log[0]} has not said that it has read {unheard[0][0]} to the end.",
                    "Facts that it has not heard yet would not be taken back: its worker has to run; then ask again.",
                )
        try:
            done = await take_back(service, databases, groups, registry, dt.datetime.now(dt.UTC))
        except StillAtWork as at_work:
            raise Failure(
                f"{service} is still at work: {at_work}.", "Hold its app and its worker first.", FAILED
            ) from at_work
        except (ArchiveDamaged, ArchiveUnreachable) as error:
            raise Failure(f"{error}", "docs/runbooks/events.md, “The archive”; then ask again.") from error
    _tell(service, done)


def _tell(service: str, done: Any) -> None:
    typer.echo(f"{done.facts} facts taken back, {done.numberings} numberings begin anew.")
    lists = {
        "set back": done.set_back,
        "withdrawn": done.withdrawn,
        "told facts stand": done.standing,
        "unknown here and to the log": done.unknown,
    }
    counts = {(what, topic): 0 for what, records in lists.items() for topic, _ in records}
    for what, records in lists.items():
        for topic, _ in records:
            counts[what, topic] += 1
    if counts:
        show_table(("what", "topic", "records"), [(*key, count) for key, count in sorted(counts.items())])
    typer.echo(f"Start {service} now; then ./crm events reconcile")
