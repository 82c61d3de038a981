"""The route table refuses what contradicts itself, and its text has one form."""

import json
from typing import Any

import pytest

from crm_stack.gateway import Route, RouteTableInvalid, dump_routes, load_routes, parse_routes
from crm_stack.gateway.paths import may_begin_with, precedence, stem_of

from .conftest import TABLE, entry


def problems(*entries: dict[str, Any], services: set[str] | None = None) -> str:
    with pytest.raises(RouteTableInvalid) as refused:
        parse_routes(entries, services)
    return "\n".join(refused.value.problems)


GOOD = entry("GET", "/api/sales/v1/leads/{id}", "get_lead", access="authenticated")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([GOOD, GOOD], "operation id is taken"),
        ([GOOD, GOOD | {"operation_id": "again", "path": "/api/sales/v1/leads/{key}"}], "matches the same requests"),
        ([GOOD, GOOD | {"service": "billing", "method": "PUT"}], "path belongs to the service 'sales'"),
        ([GOOD | {"service": "nobody"}], "no service 'nobody'"),
        ([GOOD | {"access": "permission"}], "a permission is named exactly when"),
        ([GOOD | {"permission": "sales.lead:read"}], "a permission is named exactly when"),
        ([GOOD | {"access": "public", "scope": True}], "public route has no token"),
        ([GOOD | {"access": "public", "module": "sales"}], "public route has no token"),
        ([GOOD | {"access": "anyone"}], "access"),
        ([GOOD | {"method": "TRACE"}], "method"),
        ([GOOD | {"method": "POST", "stream": True}], "a stream is opened by GET"),
        ([GOOD | {"path": "/api/sales/v1/leads/"}], "plain word"),
        ([GOOD | {"path": "/api/sales/v1/../leads"}], "plain word"),
        ([GOOD | {"path": "/api/sales/v1/{id}.json"}], "plain word"),
        ([GOOD | {"path": "/api/sales/v1/{path:path}"}], "plain word"),
        ([GOOD | {"path": "api/sales"}], "plain word"),
        ([GOOD | {"limits": {"body_bytes": -1}}], "limits.body_bytes"),
        ([GOOD | {"limits": {"rate": "unlimited"}}], "limits.rate"),
        ([GOOD | {"acess": "public"}], "acess"),
        ([{"method": "GET", "path": "/x"}], "entry 0 (GET /x): service"),
    ],
)
def test_a_wrong_table_is_refused_with_the_reason(entries: list[dict[str, Any]], said: str) -> None:
    assert said in problems(*entries, services={"sales", "billing", "identity"})


def test_every_fault_is_told_at_once() -> None:
    told = problems(GOOD | {"method": "TRACE"}, GOOD | {"access": "anyone"})
    assert "entry 0" in told
    assert "entry 1" in told


def test_the_table_survives_being_written_and_read(tmp_path: Any) -> None:
    file = tmp_path / "routes.json"
    routes = parse_routes(TABLE)
    file.write_text(dump_routes(routes))
    assert {route.name: route for route in load_routes(file)} == {route.name: route for route in routes}
    assert dump_routes(load_routes(file)) == dump_routes(reversed(routes)) == file.read_text()
    assert dump_routes([]) == "[]\n"


def test_what_is_no_list_of_objects_is_refused(tmp_path: Any) -> None:
    file = tmp_path / "routes.json"
    for content in ({}, ["x"]):
        file.write_text(json.dumps(content))
        with pytest.raises(RouteTableInvalid, match="a JSON list of objects"):
            load_routes(file)


def test_a_word_is_asked_before_a_parameter_at_the_same_place() -> None:
    paths = ["/a/{id}", "/a/~me", "/a/{id}/x", "/a/search", "/{any}/search", "/a/search/{id}"]
    assert sorted(paths, key=precedence) == [
        "/a/search",
        "/a/search/{id}",
        "/a/~me",
        "/a/{id}",
        "/a/{id}/x",
        "/{any}/search",
    ]


def test_left_out_fields_have_the_strict_default() -> None:
    route = Route(service="sales", method="GET", path="/x", operation_id="x", access="authenticated")
    assert (route.stream, route.scope, route.limits.body_bytes, route.limits.rate) == (False, False, 1048576, "default")


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("/api/sales/v1/leads", "/api/sales/v1/leads"),
        ("/api/sales/v1/leads/{id}/claim", "/api/sales/v1/leads"),
        ("/api/sales/v1/{kind}/x", "/api/sales/v1"),
        ("/oauth/token", "/oauth/token"),
        ("/{any}", "/"),
    ],
)
def test_the_stem_is_the_literal_beginning(path: str, stem: str) -> None:
    assert stem_of(path) == stem
    assert may_begin_with(path, stem)


@pytest.mark.parametrize(
    ("path", "stem", "may"),
    [
        ("/a/mean", "/a/me", True),
        ("/a/{id}", "/a/me", True),
        ("/{x}/y", "/a", True),
        ("/a/mean/x", "/a/me", True),
        ("/a/m", "/a/me", False),
        ("/b/me", "/a/me", False),
        ("/ab/me", "/a/me", False),
        ("/a", "/a/me", False),
    ],
)
def test_which_templates_are_asked_under_a_stem(path: str, stem: str, may: bool) -> None:
    assert may_begin_with(path, stem) is may
