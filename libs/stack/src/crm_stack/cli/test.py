"""`crm test`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from crm_stack.cli.failure import USAGE, Failure

# What one runs while working: every pure rule, and one service's slices on a real database.
_QUICK = (
    "libs/kernel/tests",
    "libs/contracts/tests",
    "libs/authz/tests",
    "services/*/tests/**/test_rules.py",
    "services/customers/tests",
)

# Options that only make sense in one process, or that say themselves how many there shall be.
_ALONE = frozenset(
    {"-n", "--numprocesses", "--pdb", "-s", "--capture", "--collect-only", "--co", "--version", "--dist"}
)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def test(
        context: typer.Context,
        quick: Annotated[
            bool, typer.Option("--quick", help="Rules and one service's slices; a minute at most.")
        ] = False,
        full: Annotated[bool, typer.Option("--full", help="Everything, at full size. Takes long.")] = False,
    ) -> None:
        """Run the tests on real servers; no Docker is needed. Everything else goes to pytest.

        Examples:

            ./crm test --quick

            ./crm test libs/events -k relay -x

            CRM_TEST_KAFKA=embedded-broker ./crm test tests/journeys
        """
        if quick and full:
            raise Failure("--quick and --full exclude each other.", code=USAGE)
        from crm_stack.layout import workspace

        root = workspace()
        arguments = pytest_arguments(root, context.args, quick=quick, full=full)
        environment = dict(os.environ)
        if full:
            environment["CRM_TEST_FULL"] = "1"
        os.chdir(root)
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, "-m", "pytest", *arguments], environment)  # noqa: S606


def pytest_arguments(root: Path, given: list[str], *, quick: bool, full: bool) -> list[str]:
    """What pytest is called with; options and paths that were given come last, so they win.

    Raises:
        Failure: there is nothing to run.
    """
    chosen = [] if full else ["-m", "not slow"]
    named = any((root / argument.partition("::")[0]).exists() for argument in given if not argument.startswith("-"))
    if not named and not _ALONE.intersection(argument.partition("=")[0] for argument in given):
        # Two processes, however many processors there are: the suites start servers of their own.
        chosen += ["-n", "2", "--dist", "loadgroup"]
    if quick and not named:
        found = [str(path.relative_to(root)) for pattern in _QUICK for path in sorted(root.glob(pattern))]
        # A file below a folder that is run anyway is not named a second time.
        folders = [path for path in found if not path.endswith(".py")]
        paths = [path for path in found if not any(path.startswith(f"{folder}/") for folder in folders)]
        paths = [path for path in paths if any((root / path).rglob("test_*.py")) or path.endswith(".py")]
        if not paths:
            raise Failure("There are no quick tests in this workspace.")
        chosen += paths
    return [*chosen, *given]
