"""Stacks for the journeys: each is started once per run, and ends before the next one begins. A stack that nobody needs any more takes
half a processor from the others, so none is left to the end of the session.

| fixture | what it gives |
|---|---|
| `company` | a company on a running stack, twice (see below); the test's name says which |
| `history` | the published sales history, loaded into a company of its own |

`company` runs once with app and worker of each service *together* in one process, on the embedded broker, and once with them *apart*,
on the broker that `crm_testing.servers` chooses: Apache Kafka where it can be had.

All stacks belong to the process that started them: with pytest-xdist all journeys run in one (the repository's conftest sees to it).
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from crm_stack.local import Stack
from crm_testing.keeper import share
from crm_testing.servers import choose_broker

from .company import ADMINISTRATOR, Company
from .sales_history import History, data_folder, load_history

TOGETHER = "together-embedded-broker"
#: Receivers of webhooks are on this machine here, without certificates.
RECEIVERS = {"CRM_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "CRM_WEBHOOK_ALLOW_HTTP": "true"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A journey with `company` runs on both kinds of stack, unless its module says `STACKS = ("together",)`."""
    if "company" not in metafunc.fixturenames:
        return
    kinds = [TOGETHER]
    if "apart" in getattr(metafunc.module, "STACKS", ("together", "apart")):
        kinds.append(f"apart-{choose_broker()[0]}")
    metafunc.parametrize("company", kinds, indirect=True, scope="package")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The shared stacks come last: they end with the package, those of single modules end by themselves."""
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    ordered = iter(sorted(mine, key=lambda item: "company" in getattr(item, "fixturenames", ())))
    items[:] = [next(ordered) if here in item.path.parents else item for item in items]


@pytest.fixture(scope="package")
def company(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company on a stack of the kind asked for."""
    split, _, broker = request.param.partition("-")
    folder = tmp_path_factory.mktemp(f"stack-{split}")
    with ExitStack() as closing:
        bootstrap = None
        if broker == "given":
            bootstrap = os.environ["CRM_TEST_KAFKA"]
        elif broker != "embedded-broker":
            # A broker of its own: another stack's events on the same topics would be taken for this company's.
            bootstrap = closing.enter_context(share(broker, tmp_path_factory.mktemp("broker")))["bootstrap"]
        stack = Stack.start(
            folder,
            split=split == "apart",
            broker="embedded" if bootstrap is None else "kafka",
            external_kafka=bootstrap,
            environment=RECEIVERS,
            administrator=ADMINISTRATOR,
        )
        closing.enter_context(stack)
        made = Company(stack)
        closing.callback(made.close)
        yield made


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The published sales history in a fresh company, loaded once. Skips where the data is not beside the project."""
    folder = data_folder("iso_dates")
    stack = Stack.start(tmp_path_factory.mktemp("stack-history"), administrator=ADMINISTRATOR)
    found = History(stack, folder)
    try:
        load_history(found)
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def us_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The edition with dates as M/D/YYYY, in a company of its own."""
    folder = data_folder("us_dates")
    stack = Stack.start(tmp_path_factory.mktemp("stack-us-history"), administrator=ADMINISTRATOR)
    found = History(stack, folder)
    try:
        load_history(found)
        yield found
    finally:
        found.close()
