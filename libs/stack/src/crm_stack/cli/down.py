"""`crm down`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crm_stack.cli.failure import Failure

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def down() -> None:
        """Stop everything, cleanly. The data stays in .crm/.

        It is no error when nothing runs.
        """
        from rich.console import Console

        from crm_stack.options import StackOptions

        stop(StackOptions.of_workspace().layout.folder, Console(highlight=False))


def stop(folder: Path, console: Console) -> None:
    """Stop the stack in `folder`.

    Raises:
        Failure: it is still there after its deadline.
    """
    from crm_stack.local import StackDidNotStop, end_supervisor
    from crm_stack.status_file import running

    present = running(folder)
    if present is None:
        console.print("Nothing runs here.")
        return
    try:
        with console.status("stopping"):
            end_supervisor(present.supervisor)
    except StackDidNotStop as failed:
        raise Failure(str(failed), f"Its log: {folder / 'logs' / 'supervisor.log'}") from failed
    console.print("Stopped.")
