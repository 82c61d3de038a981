"""Fixtures that every test of the workspace can ask for, and how tests are spread over processes."""

from pathlib import PurePath
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["crm_testing.servers"]

# How long an example takes says something about the machine, nothing about the code.
hypothesis.settings.register_profile("pelagic", deadline=None)
hypothesis.settings.load_profile("pelagic")

#: The longest of the others; the second process begins with it.
_LONGEST = "tests/scope"
#: Suites that need the whole stack share one: they run in one process, one after the other.
_ON_THE_STACK = ("tests/journeys", "tests/faults", "tests/fuzz")


class _ByFileAndStack(LoadScopeScheduling):  # type: ignore[misc]  # it has no type information
    """A file's tests stay together (they share fixtures), and so do those that need the stack."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "stack" if file.startswith(_ON_THE_STACK) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """For `--dist loadgroup`. The marker `xdist_group` does nothing: xdist 3.8 writes groups into ids that pytest 9.2 doesn't read."""
    if config.getvalue("dist") != "loadgroup":
        return None
    # In the order of collection, which begins with what takes longest; not by the number of tests.
    config.option.loadscopereorder = False
    return _ByFileAndStack(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first."""

    def turn(item: pytest.Item) -> int:
        path = PurePath(item.path.relative_to(config.rootpath)).as_posix()
        return 0 if path.startswith(_ON_THE_STACK) else 1 if path.startswith(_LONGEST) else 2

    items.sort(key=turn)
