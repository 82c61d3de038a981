"""`crm doctor`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crm_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from crm_stack.health import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
        url: Annotated[str | None, typer.Option(help="A deployment elsewhere: its gateway's public address.")] = None,
        token: Annotated[
            str | None,
            typer.Option(
                envvar="CRM_TOKEN", help="An access token: with it, every service is asked through the gateway."
            ),
        ] = None,
        service: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME=URL", help="A process's own address, to ask for readiness; again for each."),
        ] = None,
        kafka: Annotated[
            str | None,
            typer.Option(metavar="HOST:PORT", envvar="CRM_KAFKA", help="The bus, if it is reached from here."),
        ] = None,
        databases: Annotated[
            Path | None,
            typer.Option(
                metavar="FOLDER",
                envvar="CRM_DATABASES",
                help="Files NAME-database-url, if PostgreSQL is reached from here.",
            ),
        ] = None,
    ) -> None:
        """Look for what could be in the way: here, or with --url at a deployment elsewhere.

        Here: Python, packages, ports, disk, locale, rights, leftovers. Elsewhere: gateway, identity, version, and as far as they
        can be reached: services, bus, databases, events.

        Example: CRM_TOKEN=… ./crm doctor --url https://crm.example --service sales=http://127.0.0.1:9001

        Each finding comes with its remedy. Exit code 1 when something must be mended.
        """
        from crm_stack.health import PROBLEM, examine
        from crm_stack.options import StackOptions

        if url is None:
            if service or kafka or databases:
                raise Failure("Of which deployment?", "Say it with --url.", USAGE)
            findings = examine(StackOptions.of_workspace())
        else:
            findings = elsewhere(url, token, service or [], kafka, databases)
        _show(findings, as_json=as_json)
        if any(finding.level == PROBLEM for finding in findings):
            raise typer.Exit(1)


def elsewhere(
    url: str, token: str | None, services: list[str], kafka: str | None, databases: Path | None
) -> list[Finding]:
    """Look at a deployment. Raises Failure when an address is not one."""
    import asyncio

    from crm_stack.cli.deployment import login_at
    from crm_stack.deployed import Deployment, databases_in, examine
    from crm_stack.gateway.routes import load_routes
    from crm_stack.layout import services_of, workspace
    from crm_web.documents import product_version

    named = dict(one.partition("=")[::2] for one in services)
    for address in (url, *named.values()):
        if not address.startswith(("http://", "https://")):
            raise Failure(f"{address or 'nothing'} is no address.", "Write it like http://127.0.0.1:8080.", USAGE)
    known = databases_in(databases) if databases is not None else {}
    if databases is not None and not known:
        raise Failure(
            f"{databases} has no file like identity-database-url.", "deploy/docker/make-secrets makes them.", USAGE
        )
    table = load_routes(workspace() / "deploy" / "gateway" / "routes.json", services_of(workspace()))
    deployment = Deployment(
        url=url.rstrip("/"), token=token, services=named, kafka=kafka, login=login_at(kafka), databases=known
    )
    return asyncio.run(examine(deployment, table, product_version()))


def _show(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    marks = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "problem": "[red]✗[/red]"}
    width = max(12, *(len(finding.subject) for finding in findings))
    for finding in findings:
        console.print(f"{marks[finding.level]} {finding.subject:<{width}} {escape(finding.seen)}")
        if finding.remedy:
            console.print(f"  {'':<{width}} [bold]{escape(finding.remedy)}[/bold]")
