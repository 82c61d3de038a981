"""`crm demo load`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crm_stack.cli.failure import NOT_RUNNING, USAGE, Failure

_DATA_SETS = ("crm-sales-opportunities",)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    demo = typer.Typer(help="Published data sets, loaded through the public API.", no_args_is_help=True)
    app.add_typer(demo, name="demo")

    @demo.command()
    def load(
        name: Annotated[str, typer.Argument(help=f"The data set: {', '.join(_DATA_SETS)}.")],
        folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder with its CSV files.")],
        password: Annotated[
            str | None,
            typer.Option(envvar="CRM_DEMO_PASSWORD", help="For all its users; made up and shown once if not given."),
        ] = None,
    ) -> None:
        """Load a data set into the running stack; a second load adds nothing, and completes one that was interrupted.

        Its people log in as first.last@demo.example.

        Examples:

            ./crm demo load crm-sales-opportunities ../data/crm_sales_opportunities/iso_dates

            ./crm demo load crm-sales-opportunities DIR --password 'a long enough one'
        """
        if name not in _DATA_SETS:
            raise Failure(f"No data set is called {name}.", f"There are: {', '.join(_DATA_SETS)}.", USAGE)
        _load(folder, password)


def _load(folder: Path, password: str | None) -> None:
    import secrets
    import time

    from rich.console import Console

    from crm_stack.demo.api import Api, LoadRefused
    from crm_stack.demo.load_sales_opportunities import load
    from crm_stack.demo.operator import operator_token
    from crm_stack.demo.progress import shown
    from crm_stack.demo.sales_opportunities import UnreadableData, read
    from crm_stack.options import StackOptions
    from crm_stack.status_file import running

    options = StackOptions.of_workspace()
    stack = running(options.layout.folder)
    if stack is None:
        raise Failure("Nothing runs here.", "Start it first: ./crm up", NOT_RUNNING)
    try:
        history = read(folder)
    except UnreadableData as unreadable:
        raise Failure(str(unreadable), "DIR is the folder with accounts.csv and its neighbours.") from unreadable
    chosen = password or secrets.token_urlsafe(12)
    api = Api(stack.address, operator_token(options.layout))
    console = Console(highlight=False)
    started = time.monotonic()
    try:
        with shown(console) as progress:
            loaded = load(api, history, password=chosen, progress=progress)
    except LoadRefused as refused:
        raise Failure(str(refused), "Load it again: what is there already stays as it is.") from refused
    finally:
        api.close()
    written = sum(loaded.written.values())
    console.print(f"{sum(loaded.rows.values())} rows in {time.monotonic() - started:.1f} s, {written} new or changed.")
    if loaded.written["users"]:
        console.print(f"Log in at {stack.address} as executive@demo.example or first.last@demo.example.")
        if password is None:
            console.print(f"  password of all of them (shown once)  {chosen}")
