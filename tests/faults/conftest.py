"""The people of the journeys work here too."""

import sys
from pathlib import Path

TESTS = str(Path(__file__).resolve().parents[1])
if TESTS not in sys.path:
    sys.path.append(TESTS)  # For `journeys`, under the name that pytest knows it by.
