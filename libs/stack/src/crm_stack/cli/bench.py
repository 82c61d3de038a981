"""`crm bench`."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crm_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from crm_stack.bench.result import Result

#: Each is a module of crm_stack.bench with `run(size, seconds, repeats)`, which yields its results.
BENCHMARKS: dict[str, str] = {
    "gateway": "crm_stack.bench.gateway",
    "gateway-parts": "crm_stack.bench.gateway_parts",
    "read": "crm_stack.bench.read",
    "list": "crm_stack.bench.lists",
    "write": "crm_stack.bench.write",
    "growth": "crm_stack.bench.growth",
    "freshness": "crm_stack.bench.freshness",
    "revoke": "crm_stack.bench.revoke",
    "relay": "crm_stack.bench.relay",
    "project": "crm_stack.bench.project",
    "journal": "crm_stack.bench.journal",
    "start": "crm_stack.bench.start",
}
#: What is attacked instead of measured; not in `all`.
PROOFS = ("faults", "simulation")
#: What `all` leaves out, and why: it says so.
ASIDE = {
    "growth": "it needs two stacks and a size of its own: ./crm bench growth --size 1000000",
    "journal": "it fills a journal of its own size: ./crm bench journal --size 50000000",
}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def bench(
        name: Annotated[
            str, typer.Argument(help=f"{', '.join(BENCHMARKS)}, or all (but {', '.join(ASIDE)}); {', '.join(PROOFS)}.")
        ],
        size: Annotated[
            int, typer.Option(min=1000, help="Customers that are loaded first; events, of relay, project and journal.")
        ] = 20_000,
        seconds: Annotated[float, typer.Option(min=0.2, max=60, help="Length of one run of subject or reference.")] = 1,
        repeats: Annotated[int, typer.Option(min=5, max=50, help="Turns of subject and reference.")] = 5,
        json: Annotated[bool, typer.Option("--json", help="Only the lines of JSON.")] = False,
        gate: Annotated[
            list[str] | None,
            typer.Option(help="Of faults: G1, G2 or G3; all of them unless one, or --network, is given."),
        ] = None,
        network: Annotated[
            bool,
            typer.Option("--network", help="Of faults: networks that delay, cut and fall silent; slow and full disks."),
        ] = False,
        full: Annotated[bool, typer.Option("--full", help="Of faults and simulation: at the gates' size.")] = False,
        only: Annotated[
            str | None, typer.Option(help="Of faults: tests with this in their names (apache-kafka).")
        ] = None,
    ) -> None:
        """Measure against a reference in the same run, on a stack of its own in a temporary folder; or attack what has to hold.

        Each result is one line of JSON; goals and what was found: docs/measurements.md.

        Examples:

            ./crm bench read

            ./crm bench list --size 1000000 --json

            ./crm bench faults --gate G1 --full --only apache-kafka

            ./crm bench faults --network

            ./crm bench simulation --full
        """
        if name in PROOFS:
            _prove(name, gate or [], full=full, only=only, network=network)
            return
        if name != "all" and name not in BENCHMARKS:
            raise Failure(
                f"No measurement is called {name}.", f"There are: {', '.join((*BENCHMARKS, *PROOFS))}, all.", USAGE
            )
        for chosen in BENCHMARKS if name == "all" else (name,):
            if name == "all" and chosen in ASIDE:
                # Beside the lines of JSON, which somebody may be reading.
                typer.echo(f"{chosen} is left out: {ASIDE[chosen]}", err=True)
                continue
            _measure(chosen, size, seconds, repeats, only_json=json)


def _prove(name: str, chosen: list[str], *, full: bool, only: str | None, network: bool) -> None:
    from crm_stack.bench import proofs
    from crm_stack.layout import workspace

    unknown = [one for one in chosen if one not in proofs.GATES]
    if unknown:
        raise Failure(f"No gate is called {unknown[0]}.", f"There are: {', '.join(proofs.GATES)}.", USAGE)
    if name == "faults":
        gates = chosen or ([] if network else list(proofs.GATES))
        held, lines = proofs.gates(workspace(), gates, full=full, only=only, network=network)
    else:
        held, lines = proofs.simulation(workspace(), full=full)
    for line in lines:
        sys.stdout.write(f"{line}\n")
    if not held:
        raise Failure(f"{name}: it did not hold; what failed is told above.")


def _measure(name: str, size: int, seconds: float, repeats: int, *, only_json: bool) -> None:
    from rich.console import Console

    from crm_stack.bench.load import WrongAnswer
    from crm_stack.bench.result import Unfit
    from crm_stack.local import StackDidNotStart

    # Ended from outside, the stack is ended and its folder removed too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(highlight=False)
    try:
        for result in importlib.import_module(BENCHMARKS[name]).run(size, seconds, repeats):
            if not only_json:
                console.print(_in_words(result))
            # Not through rich, which would wrap the line.
            sys.stdout.write(f"{result.line()}\n")
            sys.stdout.flush()
    except WrongAnswer as wrong:
        raise Failure(f"{name}: a wrong answer, so no measurement. {wrong}") from wrong
    except Unfit as unfit:
        raise Failure(str(unfit), code=USAGE) from unfit
    except StackDidNotStart as failed:
        raise Failure(str(failed)) from failed


def _in_words(result: Result) -> str:
    met = {True: "met", False: "[bold]not met[/bold]", None: ""}[result.met]
    against = "" if result.reference is None else f" against {result.reference:,.1f}"
    ratio = ""
    if result.ratio is not None:
        ratio = f", ratio {result.ratio:.2f} ({min(result.ratios):.2f} to {max(result.ratios):.2f})"
    return f"{result.name}: {result.subject:,.1f}{against} {result.unit}{ratio}; goal {result.goal} {met}"
