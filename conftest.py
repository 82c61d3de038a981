"""Fixtures that every test of the workspace can ask for, and how tests are spread over processes."""

from pathlib import PurePath

import pytest

pytest_plugins = ["crm_testing.servers"]

#: Suites that need the whole stack share one: they run in one process, one after the other.
_ON_THE_STACK = ("tests/journeys", "tests/faults", "tests/fuzz")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--dist loadgroup`: a file's tests stay together (they share fixtures), and so do those that need the stack."""
    for item in items:
        file = PurePath(item.path.relative_to(config.rootpath)).as_posix()
        group = "stack" if file.startswith(_ON_THE_STACK) else file
        item.add_marker(pytest.mark.xdist_group(group))
    # What takes longest begins first.
    items.sort(
        key=lambda item: not PurePath(item.path.relative_to(config.rootpath)).as_posix().startswith(_ON_THE_STACK)
    )
