"""The people of the journeys, and the proofs of the fault tests, are used here too."""

import sys
from pathlib import Path

TESTS = str(Path(__file__).resolve().parents[1])
if TESTS not in sys.path:
    sys.path.append(TESTS)  # For `journeys` and `faults`, under the names that pytest knows them by.
