"""Whatever is sent to the gateway: a problem document with a stable code and pointer, never a 5xx, nothing half written."""

import base64
import hashlib
import hmac
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from .company import Company, usd
from .person import EVERY_SERVICE, Answer, Person, whole

STACKS = ("together",)
CUSTOMERS = "customers/customers"
DEALS = "sales/opportunities"
JSON = {"content-type": "application/json"}
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Office:
    """A lead, a representative, and one record of each kind that belongs to the representative."""

    lead: Person
    rep: Person
    customer: Any
    deal: Any
    product: Any


@pytest.fixture(scope="package")
def office(company: Company) -> Office:
    """Two people with some records."""
    department = company.department("Careful Office")
    lead = company.hire("Bad Lead", "supervisor", department)
    rep = company.hire("Bad Input", "sales_representative", department, lead)
    customer = rep.post(CUSTOMERS, {"name": "Untouched"})
    product = company.product("Thing", "10.00")
    deal = rep.post(DEALS, {"name": "Untouched", "customer_id": customer["id"]}, after=customer.consistency)
    for number in range(3):
        rep.post(CUSTOMERS, {"name": f"Another {number}"})
    return Office(lead, rep, customer.body, deal.body, product)


@pytest.fixture(autouse=True)
async def nothing_is_written(company: Company, office: Office) -> AsyncIterator[None]:
    """No test of this module leaves a trace of these people in any journal, or fails a request in any service's log."""

    async def written() -> list[int]:
        found = []
        people = [uuid.UUID(person.id) for person in (office.lead, office.rep, company.administrator)]
        for service in ("customers", "sales", "identity"):
            connection = await asyncpg.connect(company.stack.dsn(service))
            try:
                sql = "SELECT count(*) FROM journal WHERE actor_id = ANY($1) AND type NOT LIKE '%.session.%'"
                found.append(await connection.fetchval(sql, people))
            finally:
                await connection.close()
        return found

    before = await written()
    yield
    assert await written() == before


def refused(answer: Answer, status: int, code: str, *errors: tuple[str, str]) -> None:
    """The answer is exactly this refusal. errors: pointer and code, in order."""
    assert (answer.status, answer.code, answer.errors) == (status, code, list(errors)), answer


BODIES = [
    (b"{", 400, "request.malformed", []),
    (b"\xff\xfe", 400, "request.malformed", []),
    (b'{"name": NaN}', 400, "request.malformed", []),
    (b"[" * 100_000, 400, "request.malformed", []),
    (b'{"name": "a\\u0000b"}', 400, "request.malformed", [("/name", "field.unreadable")]),
    (b'{"name": "\\ud800"}', 400, "request.malformed", [("/name", "field.unreadable")]),
    (b'{"na\\u0000me": "a"}', 400, "request.malformed", [("/name", "field.unreadable")]),
    (b"", 422, "request.invalid", [("", "field.required")]),
    (b"[]", 422, "request.invalid", [("", "field.type")]),
    (b"{}", 422, "request.invalid", [("/name", "field.required")]),
    (b'{"name": ""}', 422, "request.invalid", [("/name", "field.required")]),
    (b'{"name": 7}', 422, "request.invalid", [("/name", "field.type")]),
    (b'{"name": "x", "lifecycle": "customer"}', 422, "request.invalid", [("/lifecycle", "field.unknown")]),
    (b'{"name": "x", "id": "1"}', 422, "request.invalid", [("/id", "field.unknown")]),
    (b'{"name": "%s"}' % (b"x" * 201), 422, "request.invalid", [("/name", "field.too_long")]),
    (b'{"name": "x", "email": "nobody"}', 422, "request.invalid", [("/email", "email.invalid")]),
    (b'{"name": "x", "website": "ftp://example.com"}', 422, "request.invalid", [("/website", "url.invalid")]),
    (b'{"name": "x", "employees": -1}', 422, "request.invalid", [("/employees", "field.too_small")]),
    (b'{"name": "x", "employees": 1.5}', 422, "request.invalid", [("/employees", "field.type")]),
    (b'{"name": "x", "employees": 9223372036854775808}', 422, "request.invalid", [("/employees", "field.too_large")]),
    (b'{"name": "x", "kind": "planet"}', 422, "request.invalid", [("/kind", "field.choice")]),
    (b'{"name": "x", "parent_id": "1"}', 422, "request.invalid", [("/parent_id", "field.type")]),
    (b'{"name": "x", "external_ref": {"id": "1"}}', 422, "request.invalid", [("/external_ref", "field.type")]),
]


@pytest.mark.requirement("PL-3")
@pytest.mark.parametrize(("body", "status", "code", "errors"), BODIES, ids=lambda value: str(value)[:40])
def test_a_bad_body_is_refused_where_it_is_bad(
    office: Office, body: bytes, status: int, code: str, errors: list[tuple[str, str]]
) -> None:
    refused(office.rep.call("POST", CUSTOMERS, content=body, headers=JSON), status, code, *errors)
    # The same in a change of what is there already, but for what may be left out there.
    if errors != [("/name", "field.required")] or b'""' in body:
        path = f"{CUSTOMERS}/{office.customer['id']}"
        refused(office.rep.call("PATCH", path, content=body, headers=JSON), status, code, *errors)


MONEY = [
    ({"amount": "-0.01", "currency": "USD"}, "field.too_small"),
    ({"amount": "1.001", "currency": "USD"}, "money.over_precise"),
    ({"amount": "1.5", "currency": "KRW"}, "money.over_precise"),
    ({"amount": "1e3", "currency": "USD"}, "money.malformed"),
    ({"amount": "NaN", "currency": "USD"}, "money.malformed"),
    ({"amount": "9" * 30, "currency": "USD"}, "money.out_of_range"),
    ({"amount": "1.00", "currency": "XXX1"}, "money.unknown_currency"),
    ({"amount": 1.5, "currency": "USD"}, "money.malformed"),
    ({"amount": "1.00"}, "field.type"),
    ("1.00", "field.type"),
]


@pytest.mark.requirement("PL-3", "PL-10")
@pytest.mark.parametrize(("money", "code"), MONEY, ids=str)
def test_bad_money_is_refused_everywhere(company: Company, office: Office, money: Any, code: str) -> None:
    rep, deal = office.rep, f"{DEALS}/{office.deal['id']}"
    refused(rep.call("POST", DEALS, json={"name": "x", "value": money}), 422, "request.invalid", ("/value", code))
    refused(rep.call("POST", f"{deal}/win", json={"value": money}), 422, "request.invalid", ("/value", code))
    price = {"code": "x", "name": "x", "list_price": money}
    answer = company.administrator.call("POST", "sales/products", json=price)
    refused(answer, 422, "request.invalid", ("/list_price", code))
    line = {"product_id": office.product["id"], "quantity": "1", "unit_price": money}
    answer = rep.call("POST", DEALS, json={"name": "x", "lines": [line]})
    refused(answer, 422, "request.invalid", ("/lines/0/unit_price", code))


DAYS = [
    ("2026-02-30", "field.format"),
    ("2026-13-01", "field.format"),
    ("30.11.2026", "field.type"),
    ("2026-11-23T00:00:00Z", "field.type"),
    ("0000-01-01", "field.format"),
    ("0999-12-31", "calendar.day_out_of_range"),
    ("9001-01-01", "calendar.day_out_of_range"),
    (20261123, "field.type"),
]


@pytest.mark.requirement("PL-3", "PL-10")
@pytest.mark.parametrize(("day", "code"), DAYS, ids=str)
def test_a_day_that_does_not_exist_is_refused(office: Office, day: Any, code: str) -> None:
    answer = office.rep.call("POST", DEALS, json={"name": "x", "deadline": day})
    refused(answer, 422, "request.invalid", ("/deadline", code))
    params = {"from": day, "to": "9002-12-31", "group_by": "month"}
    report = office.rep.call("GET", "analytics/reports/opportunity-outcomes", params=params)
    assert (report.status, [pointer for pointer, _ in report.errors]) == (422, ["query:from"])


@pytest.mark.requirement("PL-3", "SA-2")
def test_ids_of_other_things_are_refused_where_they_stand(company: Company, office: Office) -> None:
    rep, product, customer, deal = office.rep, office.product["id"], office.customer["id"], office.deal["id"]
    answers = [
        (rep.call("POST", DEALS, json={"name": "x", "customer_id": product}), "/customer_id", "opportunity.customer_unknown"),
        (rep.call("POST", DEALS, json={"name": "x", "stage_id": company.pipeline["id"]}), "/stage_id", "pipeline.stage_unknown"),
        (rep.call("POST", DEALS, json={"name": "x", "product_ids": [customer]}), "/product_ids", "opportunity.product_unknown"),
        (rep.call("POST", "customers/contacts", json={"name": "x", "customer_id": deal}), "/customer_id", "contact.customer_unknown"),
        (rep.call("POST", CUSTOMERS, json={"name": "x", "parent_id": deal}), "/parent_id", "customer.parent_unknown"),
        (rep.call("POST", f"{DEALS}/{deal}/advance", json={"stage_id": customer}), "/stage_id", "pipeline.stage_unknown"),
    ]  # fmt: skip
    for answer, pointer, code in answers:
        assert answer.status == 422, answer
        assert [(p, c) for p, c in answer.errors if p.startswith(pointer)] == [(pointer, code)], answer
    for path in (f"{CUSTOMERS}/{deal}", f"{DEALS}/{customer}", f"{DEALS}/{customer}/history", f"sales/products/{deal}"):
        refused(rep.call("GET", path), 404, "record.not_found")
    for path in (f"{CUSTOMERS}/1", f"{DEALS}/a%20b", f"{DEALS}/{deal}x", f"{DEALS}/-/stages"):
        refused(rep.call("GET", path), 422, "request.invalid", ("path:id", "field.type"))


@pytest.mark.requirement("PL-3", "PL-12")
def test_ten_megabytes_are_refused_and_so_is_a_body_without_length(office: Office) -> None:
    rep = office.rep
    large = b'{"name": "' + b"x" * (10 * MEGABYTE) + b'"}'
    refused(rep.call("POST", CUSTOMERS, content=large, headers=JSON), 413, "body.too_large")
    batch = b'{"mode": "create", "rows": [{"name": "' + b"x" * (11 * MEGABYTE) + b'"}]}'
    refused(rep.call("POST", f"{CUSTOMERS}/batch", content=batch, headers=JSON), 413, "body.too_large")
    refused(rep.call("POST", "/oauth/token", content=b"x" * MEGABYTE), 413, "body.too_large")

    def pieces() -> Any:
        for _ in range(1100):
            yield b" " * 1024

    refused(rep.call("POST", CUSTOMERS, content=pieces(), headers=JSON), 413, "body.too_large")
    refused(rep.call("POST", f"{CUSTOMERS}/batch", content=pieces(), headers=JSON), 411, "length.required")
    many = {"mode": "create", "rows": [{"name": "x"}] * 1001}
    refused(rep.call("POST", f"{CUSTOMERS}/batch", json=many), 422, "request.invalid", ("/rows", "field.too_long"))
    # What can't even be read has no trace.
    unread = rep.send("GET", CUSTOMERS, headers={"x-long": "y" * 40_000})
    assert (unread.status_code, unread.json()["code"], unread.json()["trace_id"]) == (431, "headers.too_large", None)


QUERIES = [
    ("limit=0", "request.invalid", ("query:limit", "field.too_small")),
    ("limit=201", "request.invalid", ("query:limit", "field.too_large")),
    ("limit=ten", "request.invalid", ("query:limit", "field.format")),
    ("limit=1&limit=2", "request.invalid", ("query:limit", "query.repeated")),
    ("offset=50", "request.invalid", ("query:offset", "query.unknown")),
    ("count=all", "request.invalid", ("query:count", "field.choice")),
    ("sort=password", "sort.invalid", ("query:sort", "sort.unknown_field")),
    ("sort=name,number,-id,owner_id", "sort.invalid", ("query:sort", "sort.too_many")),
    ("fields=name,search_text", "fields.invalid", ("query:fields", "fields.unknown")),
    ("cursor=garbage", "cursor.invalid", ("query:cursor", "cursor.invalid")),
]


@pytest.mark.requirement("PL-3", "PL-4")
@pytest.mark.parametrize(("query", "code", "error"), QUERIES, ids=lambda value: str(value)[:30])
def test_a_bad_query_is_refused_where_it_is_bad(office: Office, query: str, code: str, error: tuple[str, str]) -> None:
    answer = office.rep.call("GET", f"{CUSTOMERS}?{query}")
    assert (answer.status, answer.code) == (422, code), answer
    assert [pointer for pointer, _ in answer.errors] == [error[0]], answer
    if code == "request.invalid":
        assert answer.errors == [error]


def nested(depth: int) -> Any:
    found: Any = {"field": "name", "op": "eq", "value": "x"}
    for _ in range(depth):
        found = {"not": found}
    return found


FILTERS = [
    ({"field": "shoe_size", "op": "eq", "value": 1}, "/field", "filter.unknown_field"),
    ({"field": "search_text", "op": "contains", "value": "x"}, "/field", "filter.unknown_field"),
    ({"field": "deleted_at", "op": "is_empty"}, "/field", "filter.unknown_field"),
    ({"field": "name", "op": "like", "value": "x"}, "/op", "filter.unknown_op"),
    ({"field": "employees", "op": "contains", "value": "1"}, "/op", "filter.unknown_op"),
    ({"field": "employees", "op": "eq", "value": "many"}, "/value", None),
    ({"field": "owner_id", "op": "in", "value": ["1"]}, "/value", None),
    ({"field": "name", "op": "in", "value": ["x"] * 501}, "/value", None),
    ({"field": "name", "op": "eq", "value": "x", "or": []}, "", None),
    ({"and": [nested(0)] * 51}, "", "filter.too_many_conditions"),
    (nested(7), "", "filter.too_deep"),
    ({"field": "name", "op": "eq", "value": "a\u0000"}, "", None),
    ([], "", None),
]


@pytest.mark.requirement("PL-3", "PL-5")
@pytest.mark.parametrize(("given", "pointer", "code"), FILTERS, ids=lambda value: str(value)[:40])
def test_a_bad_filter_is_refused_in_the_query_and_in_the_body(
    office: Office, given: Any, pointer: str, code: str | None
) -> None:
    for answer in (
        office.rep.call("GET", CUSTOMERS, params={"filter": json.dumps(given)}),
        office.rep.call("POST", f"{CUSTOMERS}/search", json={"filter": given}),
    ):
        assert answer.status in (400, 422), answer
        assert answer.code in ("filter.invalid", "request.invalid", "request.malformed"), answer
        (error,) = answer.errors
        assert "filter" in error[0], answer
        assert pointer in error[0], answer
        assert code in (None, error[1]), answer


@pytest.mark.requirement("PL-3", "PL-5")
@pytest.mark.parametrize("text", ["%7B", "7", "%22x%22", "%FF", "%ED%A0%BD", "%00", "nul", "%5B" * 5000])
def test_a_filter_that_is_no_json_is_refused(office: Office, text: str) -> None:
    answer = office.rep.call("GET", f"{CUSTOMERS}?filter={text}")
    assert answer.status in (400, 422), answer
    assert [pointer.partition(":")[0] for pointer, _ in answer.errors] == ["query"], answer


@pytest.mark.requirement("PL-4", "PL-30")
def test_a_cursor_is_good_for_its_owner_its_list_and_its_question_only(company: Company, office: Office) -> None:
    rep, lead, admin = office.rep, office.lead, company.administrator
    cursor = rep.get(CUSTOMERS, params={"limit": 1})["next"]
    assert rep.get(CUSTOMERS, params={"limit": 1, "cursor": cursor})["items"]
    wrong = ("cursor.invalid", ("query:cursor", "cursor.invalid"))
    asked: list[tuple[Person, str, Mapping[str, str]]] = [
        (lead, CUSTOMERS, {}),
        (rep, CUSTOMERS, {"sort": "name"}),
        (rep, CUSTOMERS, {"q": "a"}),
        (rep, CUSTOMERS, {"filter": '{"field":"owner_id","op":"me"}'}),
        (rep, "customers/contacts", {}),
        (rep, DEALS, {}),
        (rep, f"{CUSTOMERS}/{office.customer['id']}/history", {}),
        (rep, "identity/directory", {}),
        (rep, "identity/departments", {}),
        (admin, "identity/users", {}),
        (admin, "analytics/events", {}),
    ]
    for person, path, params in asked:
        refused(person.call("GET", path, params={**params, "cursor": cursor}), 422, wrong[0], wrong[1])
    changed = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    refused(rep.call("GET", CUSTOMERS, params={"cursor": changed}), 422, wrong[0], wrong[1])
    # The same in a search, where it stands in the body.
    answer = lead.call("POST", f"{CUSTOMERS}/search", json={"cursor": cursor})
    assert (answer.status, answer.code) == (422, "cursor.invalid")


@pytest.mark.requirement("PL-7")
def test_an_etag_that_is_stale_or_none_is_refused(office: Office) -> None:
    path = f"{CUSTOMERS}/{office.customer['id']}"
    refused(office.rep.call("PATCH", path, json={"name": "x"}, match='"99"'), 412, "record.stale")
    refused(office.lead.call("DELETE", path, match='"99"'), 412, "record.stale")
    for match in ("1", '"one"', 'W/"1"', '"-1"', '"' + "9" * 40 + '"', "", '"1", "2", x'):
        answer = office.rep.call("PATCH", path, json={"name": "x"}, match=match)
        assert answer.status in (400, 412, 422), (match, answer)


@pytest.mark.requirement("PL-8")
def test_an_unusable_key_is_refused_and_a_refusal_is_not_kept(office: Office) -> None:
    for key in ("", "k" * 256):
        answer = office.rep.call("POST", CUSTOMERS, json={"name": "x"}, key=key)
        refused(answer, 422, "idempotency.key_invalid", ("header:Idempotency-Key", "idempotency.key_invalid"))
    key = f"bad-{uuid.uuid4()}"
    for _ in range(2):
        answer = office.rep.call("POST", CUSTOMERS, json={"name": 7}, key=key)
        refused(answer, 422, "request.invalid", ("/name", "field.type"))


@pytest.mark.requirement("PL-12", "ID-22")
def test_what_is_not_there_is_said_so(office: Office) -> None:
    rep = office.rep
    for path in ("/api/customers/v2/customers", "/api/customers/v1/customers/x/y/z", "/metrics", "/openapi.json"):
        refused(rep.call("GET", path), 404, "route.unknown")
    answer = rep.call("DELETE", CUSTOMERS)
    refused(answer, 405, "method.not_allowed")
    assert set(answer.headers["allow"].replace(" ", "").split(",")) >= {"GET", "POST"}
    refused(
        rep.call("POST", CUSTOMERS, content=b"name=x", headers={"content-type": "text/plain"}), 415, "body.media_type"
    )
    for target in (
        f"/api/customers/v1/customers%2f{office.customer['id']}",
        "/api/customers/v1/..%2f..%2fidentity/v1/users",
        "/api/customers/v1/customers/..;/products",
    ):
        assert raw(rep, target) in (400, 404, 422), target


def raw(person: Person, target: str) -> int:
    """The status of a request whose target no client has tidied."""
    address = httpx.URL(person.address)
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        lines = (f"GET {target} HTTP/1.1", f"Host: {address.host}", f"Authorization: Bearer {person.access_token}")
        connection.sendall(("\r\n".join([*lines, "Connection: close", "", ""])).encode())
        return int(connection.makefile("rb").readline().split()[1])


def encoded(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def own_key(company: Company) -> ECKey:
    """Identity's private key, as only the operator of the installation can have it."""
    connection = await asyncpg.connect(company.stack.dsn("identity"))
    try:
        pem = await connection.fetchval("SELECT private_pem FROM signing_key ORDER BY id LIMIT 1")
    finally:
        await connection.close()
    return ECKey.import_key(pem, password=company.stack.layout.secret("identity.key-secret").read_text().strip())


@pytest.mark.requirement("ID-20", "ID-21", "ID-22")
async def test_no_forged_or_expired_token_is_taken_by_the_gateway_or_by_a_service(
    company: Company, office: Office
) -> None:
    """The last one is signed with the right key: with it, all but its times is right."""
    header, claims, signature = office.rep.access_token.split(".")
    head, body = decoded(header), decoded(claims)
    now = int(time.time())
    key, foreign = await own_key(company), ECKey.generate_key("P-256")

    def signed(with_key: ECKey, changes: Mapping[str, Any], **more: Any) -> str:
        wanted = {**body, **changes}
        protected = {**head, **more}
        return jws.serialize_compact(protected, json.dumps(wanted), with_key, algorithms=["ES256"])

    public = key.as_pem(private=False)
    hs_input = f"{encoded({**head, 'alg': 'HS256'})}.{claims}"
    hs_signature = encoded(hmac.digest(public, hs_input.encode(), hashlib.sha256))
    forged = {
        "no token at all": "x",
        "without signature": f"{header}.{claims}.",
        "alg none": f"{encoded({**head, 'alg': 'none'})}.{claims}.",
        "alg NoNe": f"{encoded({**head, 'alg': 'NoNe'})}.{claims}.{signature}",
        "changed claims": f"{header}.{encoded({**body, 'sub': company.administrator.id})}.{signature}",
        "HS256 with the public key": f"{hs_input}.{hs_signature}",
        "signed by somebody else": signed(foreign, {}),
        "of an unknown key": signed(key, {}, kid="../../etc/passwd"),
        "with its own key inside": signed(foreign, {}, jwk=foreign.as_dict(private=False)),
        "of another kind": signed(key, {}, typ="JWT"),
        "for another audience": signed(key, {"aud": "somebody-else"}),
        "for two audiences": signed(key, {"aud": ["crm-api", "x"]}),
        "of another issuer": signed(key, {"iss": "http://127.0.0.1:1"}),
        "for another use": signed(key, {"use": "refresh"}),
        "living too long": signed(key, {"exp": now + 86400}),
        "a refresh token": office.rep.refresh_token,
        "expired": signed(key, {"iat": now - 900, "nbf": now - 900, "exp": now - 600}),
        "not yet valid": signed(key, {"iat": now + 3600, "nbf": now + 3600, "exp": now + 3900}),
    }
    # The harness itself: what differs in nothing is taken.
    assert office.rep.call("GET", CUSTOMERS, token=signed(key, {})).status == 200
    services = [company.stack.service_address(path.partition("/")[0]) for path in EVERY_SERVICE]
    for what, token in forged.items():
        for path, service in zip(EVERY_SERVICE, services, strict=True):
            for address in (company.stack.address, service):
                async with httpx.AsyncClient(base_url=address, timeout=20.0) as client:
                    sent = await client.get(whole(path), headers={"authorization": f"Bearer {token}"})
                answer = Answer.of(sent)
                assert answer.status == 401, (what, address, answer)
                assert answer.code in ("token.invalid", "token.expired"), (what, address, answer)
        written = office.rep.call("POST", CUSTOMERS, json={"name": "Forged"}, token=token)
        assert written.status == 401, (what, written)


@pytest.mark.requirement("ID-20", "ID-22")
def test_a_token_stands_once_and_in_the_header(company: Company, office: Office) -> None:
    token = office.rep.refresh().access_token
    with httpx.Client(base_url=company.stack.address) as client:
        path = whole(CUSTOMERS)
        refused(Answer.of(client.get(path)), 401, "token.missing")
        for headers in (
            [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")],
            [("authorization", f"Bearer {token}, Bearer {token}")],
            [("authorization", f"Basic {token}")],
        ):
            assert Answer.of(client.get(path, headers=headers)).status in (400, 401)
        answer = Answer.of(client.get(path, params={"access_token": token}))
        assert answer.status == 401
        # Who one is cannot be said in other headers.
        says = {"x-crm-subject": company.administrator.id, "x-crm-session": str(uuid.uuid4())}
        assert Answer.of(client.get(path, headers=says)).status == 401
        own = client.get(whole("identity/me"), headers={"authorization": f"Bearer {token}", **says}).json()
        assert own["user"]["id"] == office.rep.id


@pytest.mark.requirement("ID-20")
def test_bad_log_ins_are_refused_as_the_standard_says(company: Company, office: Office) -> None:
    forms: list[tuple[dict[str, str], str]] = [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "invalid_request"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "password", "username": "a\x00b", "password": "x"}, "invalid_request"),
        ({"grant_type": "password", "username": "x" * 300, "password": "x"}, "invalid_request"),
        ({"grant_type": "password", "username": "x", "password": "y", "client_id": "stranger"}, "invalid_client"),
    ]
    for form, error in forms:
        answer = office.rep.token(**form)
        assert answer.status_code in (400, 401), (form, answer.text)
        assert answer.json()["error"] == error, (form, answer.text)


@pytest.mark.requirement("PL-3", "PL-9")
def test_a_batch_of_nothing_but_bad_rows_writes_nothing_and_says_why_for_each(office: Office) -> None:
    rows: list[Any] = [
        {"name": "x", "annual_revenue": usd("-1.00")},
        {"nome": "x"},
        7,
        {"name": "x", "external_ref": {"system": "", "id": "1"}},
        {"name": "x", "parent_id": office.deal["id"]},
        {"name": "y" * 201},
    ]
    answer = office.lead.post(f"{CUSTOMERS}/batch", {"mode": "create", "rows": rows})
    assert (answer["ok"], answer["failed"]) == (0, len(rows))
    pointers = [[error["pointer"] for error in row["errors"] or []] for row in answer["rows"]]
    assert pointers == [
        ["/rows/0/annual_revenue"],
        ["/rows/1/name", "/rows/1/nome"],
        ["/rows/2"],
        ["/rows/3/external_ref"],
        ["/rows/4/parent_id"],
        ["/rows/5/name"],
    ]
