"""What `crm up --demo` does once the stack is ready: load the sample company, or what is missing of it, and say what to look at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from crm_stack.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from crm_stack.demo.company.facts import Company, Size
    from crm_stack.demo.company.kept import Kept
    from crm_stack.layout import Layout


def load_sample_company(
    address: str, layout: Layout, console: Console, *, seed: int | None, password: str | None, size: Size | None = None
) -> None:
    """Load what is missing, and show logins and lines to try.

    seed, password: of a company that begins now; None: the usual seed, a made-up password. size: None: the whole company.

    Raises:
        Failure: the API refused something, or another company was begun here.
    """
    from crm_stack.demo.api import LoadRefused
    from crm_stack.demo.company.facts import WHOLE
    from crm_stack.demo.company.kept import begin, recall
    from crm_stack.demo.company.plan import DEFAULT_SEED, plan_company

    kept = recall(layout)
    if kept is None:
        kept = begin(DEFAULT_SEED if seed is None else seed, password)
    elif seed not in (None, kept.seed):
        raise Failure(
            f"The sample company with seed {kept.seed} was begun here.",
            f"Go on with it by ./crm up --demo; for another one, begin with an empty {layout.folder}.",
        )
    elif password not in (None, kept.password):
        raise Failure(
            "The people of the sample company have another password already.", "./crm up --demo without one shows it."
        )
    plan = plan_company(kept.seed, kept.day, size or WHOLE)
    try:
        ids = _loaded(plan, kept, address, layout, console)
        _show(plan, kept, ids, address, console)
    except LoadRefused as refused:
        raise Failure(str(refused), "Try again: what is there already stays as it is.") from refused


def _loaded(plan: Company, kept: Kept, address: str, layout: Layout, console: Console) -> Mapping[str, str]:
    """Ids of everything that is there, after loading what is missing."""
    from crm_stack.demo.company.kept import recall, remember
    from crm_stack.demo.company.load import find_company, load_company
    from crm_stack.demo.operator import operator_token
    from crm_stack.demo.progress import shown

    token = operator_token(layout)
    begun = recall(layout) is not None
    if kept.complete or not begun:
        found = find_company(plan, address, token)
        if found is not None and not begun:
            raise Failure(
                "A sample company is here whose seed and password are not known.",
                f"Begin with an empty {layout.folder}.",
            )
        if found is not None:
            console.print("The sample company is there already; nothing was loaded.")
            return found
    # Before anything is loaded: a load that is interrupted is completed as what it was begun.
    remember(layout, kept)
    started = time.monotonic()
    with shown(console) as progress:
        done = load_company(plan, address, token, password=kept.password, progress=progress)
    remember(layout, kept.done())
    console.print(f"The sample company is loaded: {done.writes} writes in {time.monotonic() - started:.0f} s.")
    return done.ids


def _show(plan: Company, kept: Kept, ids: Mapping[str, str], address: str, console: Console) -> None:
    import httpx

    from crm_stack.demo.company.show import counts, curl_lines, faces, logins

    told = ", ".join(f"{count:,} {what}" for what, count in counts(plan))
    console.print(f"\n[bold]Sample company[/bold]  {told}", soft_wrap=True)
    found = faces(plan)
    rows = [("role", "log in as", "position", "name"), *logins(plan, found)]
    wide = [max(len(row[place]) for row in rows) for place in range(3)]
    for row in rows:
        # Names last: letters of some of them are two columns wide.
        line = "  ".join([*(text.ljust(width) for text, width in zip(row, wide, strict=False)), row[3]])
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"\npassword of all of them  [bold]{kept.password}[/bold]\n", soft_wrap=True)
    operations = httpx.get(f"{address}/api/openapi.json", timeout=60.0).raise_for_status().json()["paths"]
    console.print("To try in a shell (curl and sed):", style="dim")
    for line in curl_lines(plan, found, ids, address, kept.password, operations):
        # As it is: neither wrapped nor read as markup, so that it can be copied.
        console.print(line, markup=False, soft_wrap=True)
