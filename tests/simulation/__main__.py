"""`python -m tests.simulation --seeds 1000000`: run many histories; ends with 1 and the shrunk history when one fails."""

import argparse
import multiprocessing
import sys
import time

from .history import Failure, first_failure

CHUNK = 250


def _chunk(first: int) -> Failure | None:
    return first_failure(range(first, first + CHUNK))


def main() -> int:
    """Run the seeds that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many (default 2,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--processes", type=int, default=1, help="how many at a time (default 1)")
    chosen = parser.parse_args()
    started = time.monotonic()
    with multiprocessing.Pool(chosen.processes) as pool:
        firsts = range(chosen.first, chosen.first + chosen.seeds, CHUNK)
        for n, failure in enumerate(pool.imap(_chunk, firsts), start=1):
            if failure is not None:
                print(failure)
                return 1
            if n % 40 == 0:
                print(f"{n * CHUNK} histories, {time.monotonic() - started:.0f} s", flush=True)
    print(f"{len(firsts) * CHUNK} histories held, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
