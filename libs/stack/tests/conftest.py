"""A stack of stand-in services: real database, broker, gateway and supervisor, very small services."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crm_stack.local import Stack, ask_for_administrator
from crm_stack.options import StackOptions

STANDIN = Path(__file__).parent / "standin"
SECONDS = 60.0


def standin_options(folder: Path, **changes: Any) -> StackOptions:
    """A stack in `folder`, whose path has a space and a quote as a person's might."""
    place = folder / "it's a clone"
    place.mkdir(parents=True, exist_ok=True)
    (place / "routes.json").write_text("[]")
    given: dict[str, Any] = {
        "folder": str(place / ".crm"),
        "port": 0,
        "services": ("identity", "sales"),
        "entry": "standin_service:run",
        "migrate": "standin_service:upgrade",
        "bootstrap": "standin_service:bootstrap",
        "documents": None,
        "import_path": (str(STANDIN),),
        "routes": str(place / "routes.json"),
        "volatile": True,
    }
    return StackOptions(**{**given, **changes})


def started(options: StackOptions) -> Stack:
    """A running stack of `options`, ready."""
    ask_for_administrator(options.layout, "first@crm.example", "correct-horse-battery-staple")
    stack = Stack.launch(options)
    try:
        stack.wait_ready(SECONDS)
    except BaseException:
        stack.stop()
        raise
    return stack


def about(stack: Stack, part: str) -> dict[str, Any]:
    """What a stand-in tells of itself."""
    with urllib.request.urlopen(f"{stack.service_address(part)}/about", timeout=5) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for the tests of a module; each leaves all its parts running."""
    with started(standin_options(tmp_path_factory.mktemp("stack"))) as running:
        yield running
