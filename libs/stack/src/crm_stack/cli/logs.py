"""`crm logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crm_stack.cli.failure import NOT_RUNNING, USAGE, Failure


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def logs(
        part: Annotated[str | None, typer.Argument(help="A service, postgres, broker, gateway, supervisor …")] = None,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written.")] = False,
        lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 40,
    ) -> None:
        """Show the logs: the last lines of all parts, or of one.

        Examples:

            ./crm logs identity -n 200

            ./crm logs -f
        """
        from crm_stack.options import StackOptions

        show(StackOptions.of_workspace().layout.logs, part, follow=follow, lines=lines)


def show(folder: Path, part: str | None, *, follow: bool, lines: int) -> None:
    """Print the end of the logs in `folder`, and what comes after if `follow`.

    Raises:
        Failure: there is no such log.
    """
    import time

    from crm_stack.log_files import Follower, last_lines

    known = {log.stem: log for log in sorted(folder.glob("*.log")) if log.stem != "install"}
    if not known:
        raise Failure("There are no logs yet.", "./crm up starts the stack.", NOT_RUNNING)
    if part is not None and part not in known:
        raise Failure(f"There is no log of '{part}'.", f"There are: {', '.join(known)}.", USAGE)
    chosen = known if part is None else {part: known[part]}
    width = max(len(name) for name in chosen)

    def write(name: str, line: str) -> None:
        typer.echo(line if part is not None else f"{name:<{width}} | {line}")

    follower = Follower(chosen)
    for name, log in chosen.items():
        for line in last_lines(log, lines):
            write(name, line)
    while follow:
        for name, line in follower.new_lines():
            write(name, line)
        time.sleep(0.2)
