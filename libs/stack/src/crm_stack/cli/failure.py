"""How a command says that it failed: what, why, what to do; never a traceback for what a person can mend."""

from __future__ import annotations

FAILED = 1
USAGE = 2
NOT_RUNNING = 3


class Failure(Exception):
    """Ends a command. `remedy` tells the next step."""

    def __init__(self, what: str, remedy: str = "", code: int = FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.code = code


def show_failure(failure: Failure) -> int:
    """Write a failure to standard error; returns its exit code."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold red]crm:[/bold red] ", end="")
    console.print(failure.what, markup=False)
    if failure.remedy:
        console.print(failure.remedy, markup=False)
    return failure.code
