"""`python -m tests.simulation --seeds 1000000`: run many histories; ends with 1 and the (shrunk) history when one fails.

Of five kinds: everything fails (`histories`), the same with producers that go back to a backup (`restores`, rule 12), an empty broker
with groups that are behind (`warm-starts`, rule 9), a leader that another one follows (`take-overs`, rule 9), and groups that ask to be
told again (`resyncs`). `all` gives each kind its share.
"""

import argparse
import multiprocessing
import multiprocessing.pool
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

from tests.faults.gate import held

from .history import first_failure
from .producer import Broken
from .resync import histories
from .take_over import take_overs
from .warm_start import warm_starts

CHUNK = 250


def _history(first: int, *, restores: bool) -> str | None:
    failure = first_failure(range(first, first + CHUNK), producer_restores=restores)
    return None if failure is None else str(failure)


def _unshrunk(run: Callable[[range], None], first: int) -> str | None:
    try:
        run(range(first, first + CHUNK))
    except Broken as broken:
        return str(broken)
    return None


#: Kind → (its share of `all`, what runs CHUNK seeds from one on; the answer is the failure).
KINDS: Mapping[str, tuple[float, Callable[[int], str | None]]] = {
    "histories": (0.4, partial(_history, restores=False)),
    "restores": (0.2, partial(_history, restores=True)),
    "warm-starts": (0.1, partial(_unshrunk, warm_starts)),
    "take-overs": (0.1, partial(_unshrunk, take_overs)),
    "resyncs": (0.2, partial(_unshrunk, histories)),
}


def _run(pool: multiprocessing.pool.Pool, kind: str, first: int, seeds: int) -> str | None:
    """So many seeds of one kind: why one fails; None when none does."""
    started = time.monotonic()
    firsts = range(first, first + seeds, CHUNK)
    for n, failure in enumerate(pool.imap(KINDS[kind][1], firsts), start=1):
        if failure is not None:
            return failure
        if n % 40 == 0:
            print(f"{kind}: {n * CHUNK} of {seeds}, {time.monotonic() - started:.0f} s", flush=True)
    seconds = round(time.monotonic() - started)
    held(f"simulation: {kind}", seeds=len(firsts) * CHUNK, first=first, seconds=seconds)
    return None


def main() -> int:
    """Run the seeds that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many (default 2,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--processes", type=int, default=1, help="how many at a time (default 1)")
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    chosen = parser.parse_args()
    kinds = {name: share for name, (share, _) in KINDS.items()} if chosen.kind == "all" else {chosen.kind: 1.0}
    with multiprocessing.Pool(chosen.processes) as pool:
        for kind, share in kinds.items():
            failure = _run(pool, kind, chosen.first, max(CHUNK, round(chosen.seeds * share)))
            if failure is not None:
                print(f"{kind}: {failure}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
