"""What reaches a service: listed operations only, with a token that opens their module and has data scope for them."""

from typing import Any

import pytest

from .conftest import Gateway
from .keys import token

CUSTOMER = "/api/customers/v1/customers/0190"


@pytest.mark.requirement("ID-22")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/customers/v1/customers"),
        ("GET", CUSTOMER),
        ("PATCH", CUSTOMER),
        ("GET", f"{CUSTOMER}/notes/7"),
        ("POST", "/api/customers/v1/customers/search"),
        ("GET", "/api/customers/v1/customers-by-stage"),
        ("GET", "/api/customers/v1/customers/fields"),
        ("GET", "/api/customers/v1/customers-by-stage/fields"),
        ("GET", "/api/customers/v1/customersandmore/fields"),
        ("GET", "/api/customers/v1/anything/fields"),
        ("GET", "/api/identity/v1/me"),
        ("POST", "/oauth/token"),
    ],
)
def test_a_listed_operation_reaches_its_service(gateway: Gateway, method: str, path: str) -> None:
    answer = gateway.request(method, f"{path}?q=1", token())
    assert answer.status_code == 200
    assert [(one.method, one.target) for one in gateway.arrived] == [(method, f"{path}?q=1")]


@pytest.mark.parametrize("path", ["/api/identity/v1/public", "/healthz"])
def test_public_addresses_need_no_token(gateway: Gateway, path: str) -> None:
    assert gateway.request("GET", path).status_code == 200


def test_health_is_answered_by_the_gateway_alone(gateway: Gateway) -> None:
    assert gateway.request("GET", "/healthz").text == "ok\n"
    assert gateway.arrived == []


@pytest.mark.requirement("ID-22", "PL-3")
@pytest.mark.parametrize(
    "claims",
    [
        {"mod": []},
        {"mod": None},
        {"mod": ["sales", "customers2", "custom"]},
        {"mod": "customers"},
        {"mod": [["customers"]]},
        {"mod": {"customers": True}},
        {"scp": None},
        {"scp": {}},
        {"scp": {"sales": {"lead": {"read": ["own"]}}}},
        {"scp": "customers"},
        {"scp": ["customers"]},
        {"scp": {"customers": None}},
    ],
    ids=repr,
)
def test_without_module_or_data_scope_there_is_no_entry(gateway: Gateway, claims: dict[str, Any]) -> None:
    answer = gateway.request("GET", CUSTOMER, token(**claims))
    assert (answer.status_code, answer.json().get("code")) == (403, "permission.module")
    assert answer.json()["permission"] == "customers.customer:read"
    assert answer.json()["module"] == "customers"
    assert gateway.arrived == []


def test_a_route_without_module_and_scope_takes_every_access_token(gateway: Gateway) -> None:
    assert gateway.request("GET", "/api/identity/v1/me", token(mod=[], scp={})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/customers/v1/unlisted", 404),
        ("GET", "/api/customers/v1/customers/", 404),
        ("GET", f"{CUSTOMER}/", 404),
        ("GET", f"{CUSTOMER}/more", 404),
        ("GET", "/API/customers/v1/customers", 404),
        ("GET", "/oauth/jwks.json", 404),  # this table does not list it, so not even what identity has is reachable
        ("GET", "/oauth/token", 405),
        ("DELETE", CUSTOMER, 405),
        ("GET", "/api/customers/v1/customers/search", 405),
        ("PATCH", "/api/customers/v1/customers/search", 405),
        ("OPTIONS", CUSTOMER, 405),
        ("HEAD", CUSTOMER, 405),
        ("TRACE", CUSTOMER, 405),
        ("get", CUSTOMER, 405),
        ("BREW", CUSTOMER, 405),
    ],
)
def test_what_is_not_listed_never_reaches_a_service(gateway: Gateway, method: str, path: str, status: int) -> None:
    raw = gateway.raw(
        f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token()}\r\nconnection: close\r\n\r\n".encode()
    )
    assert int(raw.split()[1]) == status or (method in ("get", "BREW") and int(raw.split()[1]) == 400), raw
    assert gateway.arrived == []


def test_another_method_is_told_which_ones_there_are(gateway: Gateway) -> None:
    answer = gateway.request("DELETE", CUSTOMER, token())
    assert answer.headers["allow"] == "GET, PATCH"
    assert answer.json()["code"] == "method.not_allowed"


def test_a_word_of_the_table_wins_over_a_parameter(gateway: Gateway) -> None:
    """`search` is public in this table and `{id}` is not: without a token only the first can have answered."""
    assert gateway.request("POST", "/api/customers/v1/customers/search").status_code == 200
    assert gateway.request("GET", "/api/customers/v1/customers/searches").status_code == 401


TRICKS = [
    "//api/customers/v1/customers",
    "/api//customers///v1/customers",
    "/api/customers/v1/./customers",
    "/api/customers/v1/customers/../customers/1",
    "/api/identity/v1/public/../../../customers/v1/customers",
    "/api/identity/v1/public/%2e%2e/%2e%2e/%2e%2e/customers/v1/customers",
    "/api/identity/v1/public/..;/..;/..;/customers/v1/customers",
    "/api/identity/v1/public;/../../../customers/v1/customers",
    "/api/identity/v1/public%2f..%2f..%2f..%2fcustomers/v1/customers",
    "/api/identity/v1/public%2F..%2F..%2F..%2Fcustomers/v1/customers",
    "/api/identity/v1/public%5c..%5c..%5c..%5ccustomers/v1/customers",
    "/api/identity/v1/public\\..\\..\\..\\customers\\v1\\customers",
    "/api/identity/v1/public%00/../../../customers/v1/customers",
    "/api/identity/v1/public%252f..%252f..%252fcustomers",
    "/api/identity/v1/public#/../../../customers/v1/customers",
    "/api/identity/v1/public?/../../../customers/v1/customers",
    "/api/customers/v1/customers%2f1",
    "/api/customers/v1/customers/1%2fnotes%2f2",
    "/api/customers/v1/customers/..%2f..%2fcustomers",
    "/api/customers/v1/customers/search/../1",
    "/api/customers/v1/customers/search;/1",
    "/api/customers/v1/customers/search%2f..%2f1",
    "/api/customers/v1/customers/..;/",
    "/api/customers/v1/../../identity/v1/me",
    "/api/customers/v1/customers/%00",
    "/api/customers/v1/customers/1%0d%0ax-crm-subject:%20me",
    "http://gateway.test/api/customers/v1/customers",
    "/healthz/../api/customers/v1/customers",
]


@pytest.mark.requirement("ID-22")
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("path", TRICKS)
def test_no_way_of_writing_a_path_reaches_a_protected_route_without_a_token(
    gateway: Gateway, method: str, path: str
) -> None:
    request = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    answer = gateway.raw(request.encode("latin-1"))
    status = int(answer.split()[1])
    public = {"/api/identity/v1/public", "/api/customers/v1/customers/search"}
    assert all(one.target.split("?")[0] in public for one in gateway.arrived), gateway.arrived
    assert status in (400, 401, 404, 405) or gateway.arrived, answer


@pytest.mark.parametrize("path", TRICKS)
def test_with_a_token_a_path_trick_arrives_only_as_a_plain_listed_path(gateway: Gateway, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token()}\r\nconnection: close\r\n\r\n"
    assert int(gateway.raw(request.encode("latin-1")).split()[1]) in (200, 400, 404, 405)
    for one in gateway.arrived:
        plain = one.target.split("?")[0]
        assert not any(trick in plain.lower() for trick in ("//", "..", "%2f", "%5c", "%00", "%0d", ";", "\\", "#")), (
            plain
        )


@pytest.mark.parametrize(
    ("written", "arrives"),
    [
        ("/api/identity/../customers/v1/./customers", "/api/customers/v1/customers"),
        ("/api/customers/v1/customers/1/../2", "/api/customers/v1/customers/2"),
        ("//api///customers/v1//customers/1", "/api/customers/v1/customers/1"),
    ],
)
def test_dots_and_doubled_slashes_are_resolved_before_a_route_is_chosen(
    gateway: Gateway, written: str, arrives: str
) -> None:
    request = f"GET {written} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token()}\r\n\r\n"
    assert gateway.raw(request.encode()).startswith(b"HTTP/1.1 200")
    assert [one.target for one in gateway.arrived] == [arrives]


@pytest.mark.parametrize("slash", ["%2f", "%2F", "%5c", "%5C"])
def test_an_encoded_slash_is_refused_and_not_guessed_at(gateway: Gateway, slash: str) -> None:
    for path in (f"/api/customers/v1{slash}customers", f"/api/customers/v1/customers/a{slash}b"):
        assert gateway.request("GET", path, token()).status_code == 400
    assert gateway.arrived == []


def test_a_parameter_takes_any_script_but_no_control_character(gateway: Gateway) -> None:
    assert gateway.request("GET", "/api/customers/v1/customers/김민준 & Соня", token()).status_code == 200
    assert "%EA%B9%80" in gateway.arrived.pop().target
    for bad in ("%00", "a%0Ab", "a%1fb", "..;", "a;b"):
        assert gateway.request("GET", f"/api/customers/v1/customers/{bad}", token()).status_code in (400, 404)
    assert gateway.arrived == []
