"""The command line `crm`.

Each command is a module of this package with a function `register(app)`; only the module of the command that was
asked
for is imported, so that every command starts fast. Modules import what is heavy inside their functions.

Exit codes: 0 done; 1 failed, or something is wrong; 2 the command was not written as it must be; 3 nothing runs here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import typer

from crm_stack.cli.failure import Failure, show_failure

# In the order of the help text. A command stands here when it works.
COMMANDS: dict[str, str] = {
    "up": "crm_stack.cli.up",
    "down": "crm_stack.cli.down",
    "status": "crm_stack.cli.status",
    "logs": "crm_stack.cli.logs",
    "doctor": "crm_stack.cli.doctor",
    "events": "crm_stack.cli.events",
    "subscribers": "crm_stack.cli.subscribers",
    "bus": "crm_stack.cli.bus",
    "demo": "crm_stack.cli.demo",
    "bench": "crm_stack.cli.bench",
    "test": "crm_stack.cli.test",
}

_HELP = """Pelagic on this machine: start it, look at it, test it.

Start with [bold]./crm up[/bold]; each command explains itself: [bold]./crm up --help[/bold].

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing runs here.
"""


def build(names: Sequence[str]) -> typer.Typer:
    """The application with the commands `names`."""
    app = typer.Typer(
        name="crm",
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def crm() -> None:
        pass

    crm.__doc__ = _HELP
    for name in names:
        importlib.import_module(COMMANDS[name]).register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    names = [given[0]] if given and given[0] in COMMANDS else list(COMMANDS)
    try:
        build(names)(args=given, prog_name="crm", standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Failure as failure:
        return show_failure(failure)
    except KeyboardInterrupt:
        return show_failure(Failure("Interrupted."))
    except PermissionError as refused:
        return show_failure(
            Failure(f"{refused.filename}: not allowed.", "Run crm as the user who started it first, see ./crm doctor.")
        )
    return 0
