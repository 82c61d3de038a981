"""`crm doctor`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
        """Look for what could be in the way: Python, packages, ports, disk, locale, rights, leftovers.

        Each finding comes with its remedy. Exit code 1 when something must be mended.
        """
        from crm_stack.health import PROBLEM, examine
        from crm_stack.options import StackOptions

        findings = examine(StackOptions.of_workspace())
        if as_json:
            import json

            typer.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
        else:
            from rich.console import Console
            from rich.markup import escape

            console = Console(highlight=False, soft_wrap=True)
            marks = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", PROBLEM: "[red]✗[/red]"}
            for finding in findings:
                console.print(f"{marks[finding.level]} {finding.subject:<12} {escape(finding.seen)}")
                if finding.remedy:
                    console.print(f"  {'':<12} [bold]{escape(finding.remedy)}[/bold]")
        if any(finding.level == PROBLEM for finding in findings):
            raise typer.Exit(1)
