"""The merged OpenAPI document says of every operation what a client needs, and changes only compatibly."""

import copy
import re
from functools import cache
from typing import Any

import orjson
import pytest

from crm_web.compatibility import no_longer_held, promised
from crm_web.documents import documents
from crm_web.routes import installed
from crm_web.service import load_service


@cache
def _made() -> dict[str, bytes]:
    return documents(load_service(name) for name in installed())


def merged() -> dict[str, Any]:
    """The document, anew each time."""
    found: dict[str, Any] = orjson.loads(_made()["openapi.json"])
    return found


DOCUMENT = merged()  # Nobody changes this one.
CODES = {entry["code"] for entry in orjson.loads(_made()["permissions.json"])}
OPERATIONS = [
    pytest.param(path, method, id=f"{method} {path}")
    for path, methods in sorted(DOCUMENT["paths"].items())
    for method in sorted(methods)
]


@pytest.mark.requirement("PL-1")
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_an_operation_says_what_it_does_who_may_and_what_can_go_wrong(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert operation["summary"].strip()
    assert operation["tags"]
    access = operation["x-access"]
    assert access in ("permission", "authenticated", "public")
    if access == "permission":
        assert operation["x-permission"] in CODES, "a permission of the catalogue (ID-11)"
    assert ("security" in operation) == (access != "public")
    answers = operation["responses"]
    assert {"500", "503", "504"} <= set(answers)
    if access != "public":
        assert {"401", "403"} <= set(answers)
    parameters = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
    assert parameters == set(re.findall(r"\{(\w+)\}", path))


@pytest.mark.requirement("PL-1", "PL-3")
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_has_a_schema_or_an_example(path: str, method: str) -> None:
    answers = DOCUMENT["paths"][path][method]["responses"]
    good = [status for status in answers if status.startswith("2")]
    assert good
    for status, answer in answers.items():
        content = answer.get("content", {})
        assert status == "204" or content, status
        for kind, body in content.items():
            told = body.get("schema") or body.get("example") or body.get("examples")
            assert told, f"{status} {kind}"
            if kind == "application/problem+json":
                for code, example in body["examples"].items():
                    assert example["value"]["code"] == code
                    # "4XX" stands for all that begin so (OAuth's).
                    assert re.fullmatch(status.replace("X", r"\d"), str(example["value"]["status"]))
                    assert example["value"]["title"]


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for methods in merged()["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS) > 100


def test_no_reference_dangles() -> None:
    document = merged()
    text = _made()["openapi.json"].decode()
    found = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', text))
    assert len(found) > 50
    assert found <= set(document["components"]["schemas"])


CUSTOMERS = "/api/customers/v1/customers"


@pytest.mark.parametrize("frozen", [False, True], ids=["the whole document", "what a release keeps of it"])
def test_what_a_client_relied_on_is_noticed_when_it_goes(frozen: bool) -> None:
    old = promised(merged()) if frozen else merged()
    assert no_longer_held(old, merged()) == []
    assert no_longer_held(merged(), old) == []

    new = copy.deepcopy(old)
    del new["paths"][CUSTOMERS]["post"]
    assert no_longer_held(old, new) == [f"post {CUSTOMERS}: is gone"]

    new = copy.deepcopy(old)
    new["paths"][CUSTOMERS]["get"]["parameters"].append({"name": "shop", "in": "query", "required": True, "schema": {}})
    assert no_longer_held(old, new) == [f"get {CUSTOMERS}: parameter shop is required now"]

    new = copy.deepcopy(old)
    parameters = new["paths"][CUSTOMERS]["get"]["parameters"]
    new["paths"][CUSTOMERS]["get"]["parameters"] = [p for p in parameters if p["name"] != "limit"]
    assert no_longer_held(old, new) == [f"get {CUSTOMERS}: parameter limit is gone"]

    new = copy.deepcopy(old)
    new["components"]["schemas"]["CreateCustomer"].setdefault("required", []).append("phone")
    assert no_longer_held(old, new) == [f"post {CUSTOMERS}: body member phone is required now"]

    new = copy.deepcopy(old)
    new["paths"][CUSTOMERS]["post"]["responses"].pop("201")
    assert no_longer_held(old, new) == [f"post {CUSTOMERS}: answers 201 no more"]
