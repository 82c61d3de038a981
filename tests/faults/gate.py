"""What the gates' tests share: their size, and their figures as lines of JSON (docs/measurements.md has those of full size)."""

import json
import os
from pathlib import Path
from typing import Any

#: Whether the sizes are those of the gates; otherwise small ones, which find the same faults less surely.
FULL = os.environ.get("CRM_TEST_FULL") == "1"
#: The file that figures are added to; `./crm bench faults` reads them there.
_RESULTS = "CRM_GATE_RESULTS"


def held(gate: str, **figures: Any) -> None:
    """Say that a gate held, with what was done and found."""
    line = json.dumps({"gate": gate, "size": "full" if FULL else "small", **figures}, ensure_ascii=False)
    print(line)
    if path := os.environ.get(_RESULTS):
        with Path(path).open("a", encoding="utf-8") as results:
            results.write(f"{line}\n")
