"""What a declaration gives, and which declarations are refused when they are imported."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from crm_database import service_metadata
from crm_records import DeclarationError, RecordType, Text, record_permissions, record_router, record_table
from crm_web import Settings, create_app

from .conftest import URL, World
from .sample import PORT, PORT_FIELDS, SERVICE, VOYAGE, VOYAGE_FIELDS, PortState, VoyageState, voyage


def changed(record: RecordType, **given: Any) -> RecordType:
    return dataclasses.replace(record, **given)


def test_a_type_that_does_not_provide_its_contracts_state_is_refused() -> None:
    with pytest.raises(DeclarationError, match="nothing provides cargo of the contract's state"):
        changed(VOYAGE, parts={})
    with pytest.raises(DeclarationError, match="nothing provides number"):
        changed(VOYAGE, number=None)


def test_declarations_that_contradict_themselves_are_refused() -> None:
    for given, words in (
        ({"fields": PORT_FIELDS}, "not made by record_table"),
        ({"events": PORT.events}, "don't agree on whether records have owners"),
        ({"inputs": {"name": str}}, "name is both a field and a part or input"),
        ({"number": "V-{yy}"}, "no {n}"),
        ({"plural": "Voyages"}, "not kebab-case"),
    ):
        with pytest.raises(DeclarationError, match=words):
            changed(VOYAGE, **given)
    with pytest.raises(ValueError, match="every record has version"):
        record_table(service_metadata(), "x", [Text("version")])
    with pytest.raises(ValueError, match="name declared twice"):
        record_table(service_metadata(), "x", [Text("name"), Text("name")])
    with pytest.raises(TypeError, match="transfer can't be left out"):
        record_router(VOYAGE, without={"transfer"})
    with pytest.raises(DeclarationError, match="no title in ko, ru, zh"):
        record_permissions(changed(VOYAGE, titles={}))


@pytest.mark.requirement("ID-11")
def test_the_catalogue_has_every_permission_in_four_languages() -> None:
    entries = {entry.code: entry.names for entry in record_permissions(VOYAGE)}
    assert {code.partition(":")[2] for code in entries} == {
        *("read", "create", "update", "delete", "restore", "transfer", "share", "import", "export", "backdate")
    }
    assert entries["shipping.voyage:delete"] == {
        "en": "Voyage: delete",
        "ko": "항해: 삭제",
        "zh": "航次：删除",
        "ru": "Рейс: удаление",
    }
    assert {code.partition(":")[2] for code in (e.code for e in record_permissions(PORT))}.isdisjoint(
        {"transfer", "share"}
    )


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


@pytest.fixture
def document() -> dict[str, Any]:
    settings = Settings.load(
        {}, service="shipping", database_url="postgresql://u:p@h:5432/x", public_url=URL, signing_key="5a" * 32
    )
    return create_app(SERVICE, settings).openapi()


@pytest.mark.requirement("PL-1")
def test_every_operation_is_documented_with_permission_errors_and_example(document: dict[str, Any]) -> None:
    ours = [entry for entry in operations(document) if entry[1].startswith("/api/shipping/v1/voyages")]
    assert {(method, path.removeprefix("/api/shipping/v1")) for method, path, _ in ours} == {
        ("get", "/voyages"),
        ("post", "/voyages"),
        ("post", "/voyages/search"),
        ("post", "/voyages/batch"),
        ("post", "/voyages/batch-jobs"),
        ("post", "/voyages/change"),
        ("post", "/voyages/transfer"),
        ("get", "/voyages/{id}"),
        ("patch", "/voyages/{id}"),
        ("delete", "/voyages/{id}"),
        ("post", "/voyages/{id}/restore"),
        ("post", "/voyages/{id}/transfer"),
        ("get", "/voyages/{id}/owners"),
        ("get", "/voyages/{id}/members"),
        ("put", "/voyages/{id}/members/{user_id}"),
        ("delete", "/voyages/{id}/members/{user_id}"),
        ("get", "/voyages/{id}/history"),
        ("post", "/voyages/{id}/history/{version}/revert"),
    }
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for method, path, operation in ours:
        assert operation["summary"], path
        # What a batch needs is in its body.
        assert "x-permission" in operation or path.endswith(("/batch", "/batch-jobs")), path
        (answer, *_) = [operation["responses"][s] for s in ("200", "201", "202") if s in operation["responses"]]
        content = answer["content"]["application/json"]
        assert "example" in content, (method, path)
        _validate(content["example"], content["schema"], document)


def _validate(content: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Against a schema of the document. Formats aside: ids of examples are made up."""
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(content)


async def test_answers_are_what_the_documents_say(world: World, document: dict[str, Any]) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One", cargo=[{"goods": "tea", "tons": 1}], price={"amount": "5", "currency": "KRW"})
    path = f"/voyages/{made['id']}"
    asked = (
        ("get", "/voyages", "/voyages?count=exact", None),
        ("get", "/voyages", "/voyages?fields=name", None),
        ("get", "/voyages/{id}", path, None),
        ("patch", "/voyages/{id}", path, {"crew": 3}),
        ("put", "/voyages/{id}/members/{user_id}", f"{path}/members/{world.captain}", {"right": "read"}),
        ("get", "/voyages/{id}/members", f"{path}/members", None),
        ("get", "/voyages/{id}/history", f"{path}/history", None),
        ("get", "/voyages/{id}/owners", f"{path}/owners", None),
        ("post", "/voyages/batch", "/voyages/batch", {"mode": "create", "rows": [{"name": "x"}, {}]}),
    )
    for method, declared, where, body in asked:
        answer = await rep(method.upper(), where, json=body)
        content = document["paths"][f"/api/shipping/v1{declared}"][method]["responses"]["200"]["content"]
        _validate(answer.body, content["application/json"]["schema"], document)


def test_the_sample_states_are_what_the_types_declare() -> None:
    assert VOYAGE.state is VoyageState
    assert PORT.state is PortState
    assert VOYAGE.by_name.keys() == {field.name for field in VOYAGE_FIELDS}
    assert voyage.info["scoped"] is True
