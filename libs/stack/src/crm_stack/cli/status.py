"""`crm status`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_stack.cli.failure import NOT_RUNNING

if TYPE_CHECKING:
    from crm_stack.layout import Layout
    from crm_stack.status_file import StackStatus

_COLOURS = {"ready": "green", "starting": "yellow", "waiting": "red", "unready": "red", "held": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
        """Show every part: state, process, restarts, memory (PSS), port, uptime; and how the events stand.

        Exit code 0 when all is ready, 1 when something is not, 3 when nothing runs here.
        """
        from crm_stack.options import StackOptions

        raise typer.Exit(show(StackOptions.of_workspace().layout.folder, as_json=as_json))


def show(folder: Path, *, as_json: bool) -> int:
    """Print the status of the stack in `folder`; returns the exit code."""
    from crm_stack.layout import Layout
    from crm_stack.status_file import read_status

    told = read_status(Layout(folder))
    described = describe(told, now=time.time())
    if told is not None and described["phase"] != "not running":
        described["events"] = _events(Layout(folder), told.services)
    if as_json:
        import json

        typer.echo(json.dumps(described, indent=1))
    else:
        _print(described, folder)
    return {"ready": 0, "not running": NOT_RUNNING}.get(described["phase"], 1)


def _events(layout: Layout, services: tuple[str, ...]) -> dict[str, Any] | None:
    """How the events stand, from the databases; None while these can't be read."""
    import asyncio
    import dataclasses

    from crm_stack.bus.databases import urls_of
    from crm_stack.bus.standing import standing

    try:
        found = asyncio.run(standing(urls_of(layout, services)))
    except FileNotFoundError:
        return None
    return None if found is None else dataclasses.asdict(found)


def describe(told: StackStatus | None, *, now: float) -> dict[str, Any]:
    """The status as plain data: what the supervisor told, checked against the living processes."""
    from crm_stack.memory import pss_mb

    if told is None:
        return {"phase": "not running", "parts": []}
    alive = told.supervisor.alive()
    parts = []
    for part in told.parts:
        identity = part.identity
        lives = identity is not None and identity.alive()
        if not alive and not lives:
            continue
        # The nursery's descendants are the services, which have lines of their own.
        alone = part.name == "nursery"
        share = pss_mb(part.pid, descendants=not alone) if lives and part.pid is not None else None
        parts.append(
            {
                "name": part.name,
                "state": part.state if alive else "left over",
                "pid": part.pid,
                "port": part.port,
                "restarts": part.restarts,
                "wipes": part.wipes,
                "uptime_seconds": None if part.since is None or not lives else round(now - part.since, 1),
                "pss_mb": None if share is None else round(share, 1),
                "note": part.note,
            }
        )
    if not alive:
        return {"phase": "not running", "parts": parts}
    phase = told.phase
    if phase == "ready" and any(part.state != "ready" for part in told.parts):
        phase = "starting"
    own = pss_mb(told.pid)
    described: dict[str, Any] = {"phase": phase, "doing": told.doing, "address": told.address, "kafka": told.kafka}
    # The supervisor's descendants are the parts (services: through the nursery), so its tree is the whole stack.
    described["total_pss_mb"] = None if own is None else round(own, 1)
    described["supervisor_pid"] = told.pid
    described["uptime_seconds"] = round(now - told.since, 1)
    return {**described, "parts": parts}


def _print(described: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    parts = described["parts"]
    if described["phase"] == "not running":
        console.print("Nothing runs here. [dim]./crm up starts it.[/dim]")
        if parts:
            console.print("The supervisor is gone, but these still run; ./crm up ends them and starts anew:")
    else:
        console.print(f"[bold]{described['address']}[/bold]  {described['phase']}  [dim]{described['doing']}[/dim]")
    if not parts:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("part", "state"):
        table.add_column(heading)
    for heading in ("pid", "port", "restarts", "PSS MB", "up"):
        table.add_column(heading, justify="right")
    table.add_column("", style="dim", overflow="fold")
    for part in parts:
        colour = _COLOURS.get(part["state"], "yellow")
        restarts = str(part["restarts"])
        if part["wipes"]:
            restarts += f" ({part['wipes']} planned)"
        table.add_row(
            part["name"],
            f"[{colour}]{part['state']}[/{colour}]",
            _cell(part["pid"]),
            _cell(part["port"]),
            restarts,
            _cell(part["pss_mb"]),
            _duration(part["uptime_seconds"]),
            escape(part["note"].splitlines()[0] if part["note"] and part["restarts"] else ""),
        )
    console.print(table)
    if (events := described.get("events")) is not None:
        since = f", the oldest for {_duration(events['oldest'])}" if events["oldest"] else ""
        line = f"events: {events['backlog']} wait for the bus{since}; {events['behind']} not applied yet; "
        dead = events["dead_letters"]
        letters = f"{dead} dead letters, {events['parked_keys']} records wait behind them"
        console.print(line + (f"[red]{letters}[/red]" if dead else letters.partition(",")[0]))
    if described.get("total_pss_mb") is not None:
        console.print(f"[dim]together {described['total_pss_mb']:.0f} MB; logs in {folder / 'logs'}[/dim]")


def _cell(value: object) -> str:
    return "–" if value is None else str(value)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
