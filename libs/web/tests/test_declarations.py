"""What a route declares: who may, what the documents and the gateway are told, and what is refused at import."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, Query
from fastapi.openapi.models import OpenAPI
from pydantic import BaseModel

from crm_stack.gateway.routes import dump_routes, parse_routes
from crm_web import Limits, ReadUnit, Router, Service, WriteUnit, create_app
from crm_web.app import Application
from crm_web.arguments import SignatureUnsupported
from crm_web.dispatch import Dispatch
from crm_web.openapi import merge, service_document
from crm_web.routes import entry, main, table, text

from .conftest import settings_for
from .notes_service import SERVICE

ID = "/things/{id}"


class Thing(BaseModel):
    name: str


async def reads(id: uuid.UUID, unit: ReadUnit) -> Thing:
    return Thing(name=str(id))


async def writes(id: uuid.UUID, unit: WriteUnit) -> None: ...


async def needs(id: uuid.UUID, other: Annotated[str, Depends(lambda: "x")]) -> None: ...


async def two_bodies(id: uuid.UUID, one: Thing, two: Thing, unit: WriteUnit) -> None: ...


def not_async(id: uuid.UUID, unit: ReadUnit) -> None: ...


def declare(method: str, handler: Callable[..., Any], **declared: Any) -> Router:
    router = Router("things")
    router.operation(method, ID, **declared)(handler)  # type: ignore[arg-type]
    return router


@pytest.mark.parametrize(
    ("method", "handler", "declared", "error"),
    [
        ("GET", reads, {}, TypeError),
        ("GET", reads, {"permission": "things.thing:read", "access": "public"}, TypeError),
        ("GET", writes, {"access": "public"}, SignatureUnsupported),
        ("POST", reads, {"access": "public"}, SignatureUnsupported),
        ("POST", writes, {"access": "public", "reads": True}, SignatureUnsupported),
        ("POST", needs, {"access": "public"}, SignatureUnsupported),
        ("POST", two_bodies, {"access": "public"}, SignatureUnsupported),
        ("GET", not_async, {"access": "public"}, SignatureUnsupported),
    ],
)
def test_a_declaration_that_contradicts_itself_fails_at_import(
    method: str, handler: Callable[..., Any], declared: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        declare(method, handler, **declared)


def test_two_operations_for_the_same_requests_are_refused() -> None:
    router = declare("GET", reads, access="public", operation_id="one")
    router.get("/things/{other}", access="public", operation_id="two")(reads)
    with pytest.raises(ValueError, match=r"two and one answer the same requests"):
        Dispatch(router.routes)


def test_the_gateway_is_told_what_a_route_declares() -> None:
    router = Router("things", module="stock", scoped=True)
    router.get(ID, permission="things.thing:read")(reads)
    router.post(ID, access="authenticated", limits=Limits(5, 2, "bulk"))(writes)
    router.delete(ID, access="public", operation_id="remove")(writes)
    read, changed, removed = (entry(route) for route in router.routes)
    assert read == {
        "service": "things",
        "method": "GET",
        "path": "/api/things/v1/things/{id}",
        "operation_id": "reads",
        "access": "permission",
        "permission": "things.thing:read",
        "module": "stock",
        "scope": True,
        "limits": {"body_bytes": 1048576, "timeout_seconds": 15.0, "rate": "default"},
        "stream": False,
    }
    assert (changed["access"], changed["module"], changed["scope"]) == ("authenticated", "stock", False)
    assert changed["limits"] == {"body_bytes": 5, "timeout_seconds": 2.0, "rate": "bulk"}
    assert (removed["access"], removed["module"], removed["scope"]) == ("public", None, False)


def test_the_gateway_takes_the_table_as_it_is_written() -> None:
    entries = table([SERVICE])
    assert len(entries) == 15
    assert text(entries) == dump_routes(parse_routes(json.loads(text(entries)), known_services={"notes"}))


def test_an_outdated_table_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "crm_shelf"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "app.py").write_text(
        "from crm_web import Router, Service\n"
        "router = Router('shelf')\n"
        "@router.get('/books', access='authenticated')\n"
        "async def list_books() -> None: ...\n"
        "SERVICE = Service('shelf', 'Shelf', routers=[router])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["shelf"]) == 0
    written = capsys.readouterr().out
    assert [found["operation_id"] for found in json.loads(written)] == ["list_books"]
    file = tmp_path / "routes.json"
    assert main(["shelf", "--check", str(file)]) == 1, "there is none"
    file.write_text(written)
    assert main(["shelf", "--check", str(file)]) == 0
    file.write_text(written.replace('"authenticated"', '"public"'))
    assert main(["shelf", "--check", str(file)]) == 1


@pytest.mark.requirement("PL-1")
def test_every_operation_is_documented_with_permission_refusals_and_example() -> None:
    document = service_document(SERVICE)
    OpenAPI.model_validate(document)
    assert document["openapi"] == "3.1.0"
    operation = document["paths"]["/api/notes/v1/notes/{id}"]["get"]
    assert (operation["operationId"], operation["summary"]) == ("read_note", "Read note")
    assert (operation["x-permission"], operation["x-scope"], operation["x-access"]) == (
        "notes.note:read",
        "notes.note",
        "permission",
    )
    assert operation["security"] == [{"token": []}]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["id"], "the unit is nobody's parameter"
    answers = operation["responses"]
    assert set(answers) == {"200", "400", "401", "403", "404", "422", "431", "500", "503", "504"}
    success = answers["200"]["content"]["application/json"]
    assert success["schema"] == {"$ref": "#/components/schemas/Note"}
    assert success["example"] == {"title": "A"}
    missing = answers["404"]["content"]["application/problem+json"]
    assert missing["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert missing["examples"]["note.not_found"]["value"]["status"] == 404
    assert "HTTPValidationError" not in json.dumps(document)
    public = document["paths"]["/open/hello"]["get"]
    assert "security" not in public
    assert "401" not in public["responses"]


def test_documents_are_merged_without_mixing_up_names() -> None:
    def service(name: str, fields: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        reference = {"$ref": "#/components/schemas/Outer"}
        return {
            "info": {"title": name.title()},
            "paths": {f"/{name}": {"get": {"operationId": "read", "responses": {"200": reference}}}},
            "components": {
                "schemas": {
                    "Problem": {"type": "object"},
                    "Outer": {"properties": {"inner": {"$ref": "#/components/schemas/Inner"}}},
                    "Inner": fields,
                    "Alone" + name: other,
                }
            },
        }

    merged = merge(
        {"b": service("b", {"type": "string"}, {}), "a": service("a", {"type": "integer"}, {})}, title="T", version="1"
    )
    assert merged["paths"]["/a"]["get"]["operationId"] == "a_read"
    assert merged["paths"]["/b"]["get"]["responses"]["200"] == {"$ref": "#/components/schemas/BOuter"}
    schemas = merged["components"]["schemas"]
    assert set(schemas) == {"Problem", "AOuter", "BOuter", "AInner", "BInner", "Alonea", "Aloneb"}
    assert schemas["AOuter"] == {"properties": {"inner": {"$ref": "#/components/schemas/AInner"}}}
    assert (schemas["AInner"], schemas["BInner"]) == ({"type": "integer"}, {"type": "string"})
    with pytest.raises(ValueError, match="address of two services"):
        merge({"a": service("a", {}, {}), "b": service("a", {}, {})}, title="T", version="1")


async def test_a_group_of_query_parameters_may_be_a_model() -> None:
    class Asked(BaseModel):
        limit: int = 50
        tag: list[str] = []

    router = Router("things", prefix="/open")

    @router.get("/list", access="public")
    async def list_things(asked: Annotated[Asked, Query()], extra: str = "") -> dict[str, Any]:
        return {"asked": asked, "extra": extra}

    app = application(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client, started(app):
        good = await client.get("/open/list?limit=3&tag=a&tag=b&extra=c")
        assert good.json() == {"asked": {"limit": 3, "tag": ["a", "b"]}, "extra": "c"}
        wrong = await client.get("/open/list?limit=x")
        assert [(error["pointer"], error["code"]) for error in wrong.json()["errors"]] == [
            ("query:limit", "field.format")
        ]
        unknown = await client.get("/open/list?asked=1")
        assert unknown.json()["errors"][0]["pointer"] == "query:asked"


def application(router: Router) -> Application:
    return create_app(Service("things", "Things", routers=[router]), settings_for("postgresql://x@127.0.0.1:1/x"))


def started(app: Application) -> Any:
    return app.router.lifespan_context(app)
