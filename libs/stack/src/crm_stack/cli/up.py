"""`crm up`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from crm_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from crm_stack.local import Stack
    from crm_stack.options import StackOptions
    from crm_stack.status_file import StackStatus

_START_SECONDS = 180.0


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def up(
        port: Annotated[
            int | None,
            typer.Option(min=1, max=65535, help="The gateway's port; remembered.", show_default="8080 the first time"),
        ] = None,
        foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and end it all with Ctrl-C.")] = False,
        admin_email: Annotated[str, typer.Option(help="The first administrator, on the first start.")] = "",
        admin_password: Annotated[
            str | None,
            typer.Option(envvar="CRM_ADMIN_PASSWORD", help="Their password; made up and shown once if not given."),
        ] = None,
        company: Annotated[str, typer.Option(help="The company's name, on the first start.")] = "Pelagic",
        time_zone: Annotated[str, typer.Option(help="The company's time zone, on the first start.")] = "UTC",
        currency: Annotated[str, typer.Option(help="The company's currency, on the first start.")] = "USD",
        split: Annotated[bool, typer.Option("--split", help="App and worker of each service as processes.")] = False,
        kafka: Annotated[
            str | None, typer.Option(metavar="HOST:PORT", help="Use this Kafka instead of the embedded broker.")
        ] = None,
        demo: Annotated[
            bool,
            typer.Option("--demo", help="Load a sample company, or what is missing of it, and show what to look at."),
        ] = False,
        seed: Annotated[
            int | None,
            typer.Option(
                min=0,
                help="Of the sample company: the same for the same seed, but for record numbers; dates move with the week.",
                show_default="2026",
            ),
        ] = None,
        demo_password: Annotated[
            str | None,
            typer.Option(envvar="CRM_DEMO_PASSWORD", help="Of all its people; made up if not given."),
        ] = None,
    ) -> None:
        """Start everything: database, broker, gateway and services. Data lives in .crm/.

        A second `up` on a running stack changes nothing.

        Examples:

            ./crm up

            ./crm up --demo

            ./crm up --port 9000

            CRM_ADMIN_PASSWORD=… ./crm up --admin-email me@example.org --time-zone Europe/Berlin --currency EUR
        """
        from rich.console import Console

        from crm_stack.options import DEFAULT_ADMINISTRATOR, StackOptions
        from crm_stack.port_plan import GATEWAY, remembered

        if seed is not None and not demo:
            raise Failure("--seed is of the sample company.", "./crm up --demo --seed N", USAGE)
        options = StackOptions.of_workspace()
        known = remembered(options.layout.state / "ports.json").get(GATEWAY, options.port)
        options = dataclasses.replace(options, port=port or known, split=split, external_kafka=kafka)
        start(
            options,
            Console(highlight=False),
            email=admin_email or DEFAULT_ADMINISTRATOR,
            password=admin_password,
            company={"company": company, "time_zone": time_zone, "currency": currency},
            foreground=foreground,
            afterwards=(lambda address: _sample(options, address, seed, demo_password)) if demo else None,
        )


def _sample(options: StackOptions, address: str, seed: int | None, password: str | None) -> None:
    from rich.console import Console

    from crm_stack.cli.sample_company import load_sample_company

    load_sample_company(address, options.layout, Console(highlight=False), seed=seed, password=password)


def start(
    options: StackOptions,
    console: Console,
    *,
    email: str,
    password: str | None,
    company: dict[str, str],
    foreground: bool = False,
    afterwards: Callable[[str], None] | None = None,
) -> None:
    """Start the stack, or say that it runs. afterwards: what to do with the ready stack at its gateway's address.

    Raises:
        Failure: it did not come up.
    """
    from pathlib import Path

    from crm_stack.local import Stack, StackDidNotStart, ask_for_administrator, forget_administrator
    from crm_stack.process import wait_until
    from crm_stack.status_file import running

    folder = Path(options.folder)
    present = running(folder)
    if present is not None and present.phase in ("stopping", "failed"):
        console.print("The stack that ran here is just ending; waiting for that.")
        supervisor = present.supervisor
        wait_until(lambda: not supervisor.alive(), 60.0)
        present = running(folder)
    if present is not None:
        _already(present, options, console)
        if afterwards is not None:
            _await_ready(folder)
            afterwards(present.address)
        return
    if not options.services:
        raise Failure("This workspace has no services (services/*/src/crm_*/app.py).")
    ask_for_administrator(options.layout, email, password, **company)
    stack = Stack.launch(options, detached=not foreground)
    try:
        status = _wait(stack, console)
    except StackDidNotStart as failed:
        if password is not None:
            forget_administrator(options.layout)  # It may be what was wrong; the next start must not take it again.
        remedy = f"Logs: {options.layout.logs} — ./crm doctor may know more."
        if running(folder) is not None:
            remedy += "\nWhat runs goes on trying; ./crm status shows it, ./crm down ends it."
        raise Failure(f"The stack did not come up.\n{failed}", remedy) from failed
    except KeyboardInterrupt:
        if foreground:
            stack.stop()
            raise
        raise Failure(
            "Interrupted; the stack goes on starting.", "./crm status shows it, ./crm down ends it."
        ) from None
    administrator = forget_administrator(options.layout)
    _summary(status, options, console)
    if status.administrator_created:
        console.print(f"  first administrator  {administrator.get('email', email)}")
        shown = "(as given)" if password else f"[bold]{administrator['password']}[/bold]   shown only this once"
        console.print(f"  password             {shown}")
    elif password:
        console.print("  The first administrator was there already; the password given now was not used.")
    if afterwards is not None:
        try:
            afterwards(status.address)
        except BaseException:
            if foreground:
                stack.stop()
            raise
    if foreground:
        _stay(stack, console)


def _already(present: StackStatus, options: StackOptions, console: Console) -> None:
    console.print(f"Already {'running' if present.phase == 'ready' else present.phase}; nothing was changed.")
    _summary(present, options, console)
    if options.port and not present.address.endswith(f":{options.port}"):
        console.print(f"  For port {options.port}: ./crm down, then ./crm up --port {options.port}")


def _await_ready(folder: Path) -> None:
    """Wait for a stack that somebody else is starting."""
    from crm_stack.process import wait_until
    from crm_stack.status_file import running

    if not wait_until(lambda: (found := running(folder)) is not None and found.phase == "ready", _START_SECONDS):
        raise Failure("The stack that runs here did not get ready.", "./crm status shows what it waits for.")


def _wait(stack: Stack, console: Console) -> StackStatus:
    """Wait until all is ready, showing what it waits for."""
    if console.is_terminal:
        with console.status("starting") as line:
            return stack.wait_ready(_START_SECONDS, lambda status: line.update(_progress(status)))
    return stack.wait_ready(_START_SECONDS, _announcer(console))


def _progress(status: StackStatus) -> str:
    marks = {"ready": "[green]●[/green]", "starting": "[yellow]○[/yellow]", "waiting": "[red]○[/red]"}
    parts = "  ".join(f"{marks.get(part.state, '○')} {part.name}" for part in status.parts)
    return f"{parts}  [dim]{status.doing}[/dim]"


def _announcer(console: Console) -> Callable[[StackStatus], None]:
    """Where no line can be redrawn (a log, a pipe): one line for each part that became ready."""
    told: set[str] = set()

    def announce(status: StackStatus) -> None:
        for part in status.parts:
            if part.state == "ready" and part.name not in told:
                told.add(part.name)
                console.print(f"{part.name} is ready")

    return announce


def _summary(status: StackStatus, options: StackOptions, console: Console) -> None:
    console.print(f"[bold green]Pelagic[/bold green]  [bold]{status.address}[/bold]")
    console.print(f"  API page             {status.address}/api/docs")
    console.print(f"  logs                 {options.layout.logs}", soft_wrap=True)


def _stay(stack: Stack, console: Console) -> None:
    """Be the stack's foreground: wait for its end; SIGINT and SIGTERM end it."""
    import signal

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        console.print("  Ctrl-C ends it.")
        status = stack.wait_end()
    except KeyboardInterrupt:
        console.print("Ending.")
        stack.stop()
        return
    if status != 0:
        raise Failure(f"The supervisor ended with status {status}.", "./crm up brings everything back.")
