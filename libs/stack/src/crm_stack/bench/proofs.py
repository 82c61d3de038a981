"""`crm bench faults` and `crm bench simulation`: what has to hold, attacked; not how fast it is. They are tests, at the size of the gates.

The gates are the tests that `./crm test` runs at a small size; docs/measurements.md has what full sizes found.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

#: Gate → what attacks it.
GATES: dict[str, str] = {
    "G1": "tests/faults/test_kills.py",
    "G2": "libs/events/tests/test_gate_outbox.py",
    "G3": "tests/faults/test_idempotency.py",
}
#: What else attacks it: the ways between the parts, and what they stand on.
NETWORK = ("tests/faults/test_network.py", "tests/faults/test_disk.py")
#: Random histories of `simulation`, small and full.
SEEDS, ALL_SEEDS = 20_000, 1_000_000


def gates(
    root: Path, chosen: Sequence[str], *, full: bool, only: str | None, network: bool = False
) -> tuple[bool, list[str]]:
    """Attack gates, one after the other: whether all held, and their figures as lines of JSON.

    root: the clone. only: tests whose names have this in them, as of one broker (`apache-kafka`). network: the network and the disk too.
    """
    places = [*(GATES[name] for name in chosen), *(NETWORK if network else ())]
    arguments = [sys.executable, "-m", "pytest", "-q", "-x", *places]
    if only is not None:
        arguments += ["-k", only]
    return _run(root, arguments, {"CRM_TEST_FULL": "1"} if full else {})


def simulation(root: Path, *, full: bool) -> tuple[bool, list[str]]:
    """Drive the product's own decisions through random histories: whether all held, and figures."""
    seeds = ALL_SEEDS if full else SEEDS
    arguments = [sys.executable, "-m", "tests.simulation", "--seeds", str(seeds), "--processes", str(os.cpu_count())]
    return _run(root, arguments, {"CRM_TEST_FULL": "1"} if full else {})


def _run(root: Path, arguments: Sequence[str], environment: dict[str, str]) -> tuple[bool, list[str]]:
    with tempfile.TemporaryDirectory(prefix="crm-gates-") as folder:
        results = Path(folder) / "results"
        given = {**os.environ, **environment, "CRM_GATE_RESULTS": str(results)}
        ended = subprocess.run(arguments, cwd=root, env=given, check=False)
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return ended.returncode == 0, lines
