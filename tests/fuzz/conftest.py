"""A company on a stack of its own: what is made up here would disturb others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import schemathesis
from schemathesis.schemas import BaseSchema

from crm_web.documents import documents
from crm_web.routes import installed
from crm_web.service import load_service

TESTS = str(Path(__file__).resolve().parents[1])
if TESTS not in sys.path:
    sys.path.append(TESTS)  # For `journeys`, under the name that pytest knows it by.

from journeys.company import Company  # noqa: E402

from .known import Known  # noqa: E402


@pytest.fixture(scope="session")
def operations() -> BaseSchema:
    """Every operation behind the gateway, from the code of all services."""
    merged = orjson.loads(documents(load_service(name) for name in installed())["openapi.json"])
    # Without what it says of tokens: every request is made with a good one. Bad ones are the gateway's and the guards' suites' matter.
    del merged["components"]["securitySchemes"]
    for methods in merged["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    return schemathesis.openapi.from_dict(merged)


@pytest.fixture(scope="package")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Company, Known]]:
    """The company, and what there is in it."""
    with Company.alone(tmp_path_factory.mktemp("stack-fuzz")) as company:
        yield company, Known.make(company)
