"""Whatever is sent: a problem document with a stable code and a pointer, never a 5xx, nothing written."""

import uuid
from typing import Any

import httpx
import pytest

from .conftest import Notes

NOTES = "/api/notes/v1/notes"
JSON = {"content-type": "application/json"}


def problem(answer: httpx.Response, status: int, code: str, *errors: tuple[str, str]) -> dict[str, Any]:
    """The document, after checking its form; errors: (pointer, code), in order."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), document
    assert document["status"] == status
    assert document["type"] == f"urn:pelagic:problem:{code}"
    assert document["title"]
    assert document["detail"]
    assert len(document["trace_id"]) == 32
    assert [(error["pointer"], error["code"]) for error in document.get("errors", [])] == list(errors)
    return document


# Bodies

LONG = "x" * 21
BODIES = [
    (b"{", 400, "request.malformed", []),
    (b"\xff\xfe", 400, "request.malformed", []),
    (b'{"title": "a\xff"}', 400, "request.malformed", []),
    (b'{"title": "a", "pages": NaN}', 400, "request.malformed", []),
    (b'{"title": "a", "pages": -Infinity}', 400, "request.malformed", []),
    (b'{"title": "\\u0000"}', 400, "request.malformed", [("/title", "field.unreadable")]),
    (b'{"title": "a", "tags": ["x", "y\\u0000"]}', 400, "request.malformed", [("/tags/1", "field.unreadable")]),
    (b'{"ti\\u0000tle": "a"}', 400, "request.malformed", [("/title", "field.unreadable")]),
    (b'{"title": "\\ud800"}', 400, "request.malformed", [("/title", "field.unreadable")]),
    (b'{"title": "a", "tags": ["\\udc00\\ud800"]}', 400, "request.malformed", [("/tags/0", "field.unreadable")]),
    (b"[" * 100_000, 400, "request.malformed", []),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400, "request.malformed", []),
    (b"", 422, "request.invalid", [("", "field.required")]),
    (b"null", 422, "request.invalid", [("", "field.type")]),
    (b"[]", 422, "request.invalid", [("", "field.type")]),
    (b"{}", 422, "request.invalid", [("/title", "field.required")]),
    (b'{"title": 1}', 422, "request.invalid", [("/title", "field.type")]),
    (b'{"title": null}', 422, "request.invalid", [("/title", "field.type")]),
    (b'{"title": "%s"}' % LONG.encode(), 422, "request.invalid", [("/title", "field.too_long")]),
    (b'{"title": "a", "pages": "3"}', 422, "request.invalid", [("/pages", "field.type")]),
    (b'{"title": "a", "pages": 1.5}', 422, "request.invalid", [("/pages", "field.type")]),
    (b'{"title": "a", "pages": 1e400}', 400, "request.malformed", []),
    (b'{"title": "a", "pages": -1}', 422, "request.invalid", [("/pages", "field.too_small")]),
    (b'{"title": "a", "pages": 1001}', 422, "request.invalid", [("/pages", "field.too_large")]),
    (b'{"title": "a", "pages": 1%s}' % (b"0" * 5000), 400, "request.malformed", []),
    (b'{"title": "a", "color": 1}', 422, "request.invalid", [("/color", "field.unknown")]),
    (b'{"title": "a", "a/b~c": 1}', 422, "request.invalid", [("/a~1b~0c", "field.unknown")]),
    (b'{"title": "a", "tags": ["x", "abcdef"]}', 422, "request.invalid", [("/tags/1", "field.too_long")]),
    (b'{"pages": -1, "x": 1}', 422, "request.invalid",
     [("/title", "field.required"), ("/pages", "field.too_small"), ("/x", "field.unknown")]),
]  # fmt: skip


@pytest.mark.requirement("PL-3")
@pytest.mark.parametrize(("body", "status", "code", "errors"), BODIES, ids=lambda value: str(value)[:40])
async def test_a_bad_body_is_refused_where_it_is_bad(
    notes: Notes, body: bytes, status: int, code: str, errors: list[tuple[str, str]]
) -> None:
    answer = await notes.client.post(NOTES, content=body, headers={**notes.auth(), **JSON})
    problem(answer, status, code, *errors)
    assert await notes.titles() == []


async def test_an_escaped_backslash_before_u0000_is_an_ordinary_text(notes: Notes) -> None:
    answer = await notes.client.post(NOTES, content=b'{"title": "\\\\u0000 NaN"}', headers={**notes.auth(), **JSON})
    assert answer.status_code == 201, answer.text
    assert await notes.titles() == ["\\u0000 NaN"]


@pytest.mark.parametrize("text", ["김철수", "王小明", "Мария", "🙂", "a\tb\n", "'; DROP TABLE note;", "%00", "e\u0301"])
async def test_any_storable_text_comes_back_as_it_was(notes: Notes, text: str) -> None:
    assert (await notes.client.post(NOTES, json={"title": text}, headers=notes.auth())).status_code == 201
    assert await notes.titles() == [text]


@pytest.mark.requirement("PL-12")
async def test_a_body_over_the_limit_is_refused_unread(notes: Notes) -> None:
    headers = {**notes.auth(), **JSON}
    document = problem(
        await notes.client.post(NOTES, content=b" " * (10 * 1024 * 1024), headers=headers), 413, "body.too_large"
    )
    assert document["limit"] == 1024 * 1024

    async def chunks() -> Any:
        for _ in range(1025):
            yield b" " * 1024

    # Without a length said beforehand it is counted.
    problem(await notes.client.post(NOTES, content=chunks(), headers=headers), 413, "body.too_large")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data", ""]
)
async def test_a_body_of_another_kind_is_refused(notes: Notes, kind: str) -> None:
    answer = await notes.client.post(NOTES, content=b'{"title":"a"}', headers={**notes.auth(), "content-type": kind})
    problem(answer, 415, "body.media_type")


@pytest.mark.parametrize(
    "kind", ["application/json", "application/JSON; charset=utf-8", "application/merge-patch+json"]
)
async def test_json_may_be_called_by_any_of_its_names(notes: Notes, kind: str) -> None:
    answer = await notes.client.post(NOTES, content=b'{"title":"a"}', headers={**notes.auth(), "content-type": kind})
    assert answer.status_code == 201


async def test_an_operation_without_body_takes_none(notes: Notes) -> None:
    where = f"{NOTES}/{uuid.uuid4()}/touch"
    refused = await notes.client.post(where, json={"x": 1}, headers=notes.auth())
    problem(refused, 422, "request.invalid", ("", "field.unknown"))
    assert (await notes.client.post(where, json={}, headers=notes.auth())).status_code == 204


# Queries, paths, headers


@pytest.mark.parametrize(
    ("query", "status", "code", "errors"),
    [
        ("limit=0", 422, "request.invalid", [("query:limit", "field.too_small")]),
        ("limit=abc", 422, "request.invalid", [("query:limit", "field.format")]),
        ("limit=1&limit=2", 422, "request.invalid", [("query:limit", "query.repeated")]),
        ("offset=3", 422, "request.invalid", [("query:offset", "query.unknown")]),
        ("unit=1", 422, "request.invalid", [("query:unit", "query.unknown")]),
        ("sort=%00", 400, "request.malformed", [("query:sort", "field.unreadable")]),
        ("%00=1", 400, "request.malformed", [("query:", "field.unreadable")]),
        ("sort=%ED%A0%80", 400, "request.malformed", [("query:", "field.unreadable")]),
        ("sort=%FF", 400, "request.malformed", [("query:", "field.unreadable")]),
        ("&".join(f"a{n}=1" for n in range(300)), 400, "request.malformed", []),
    ],
)
async def test_a_bad_query_is_refused_where_it_is_bad(
    notes: Notes, query: str, status: int, code: str, errors: list[tuple[str, str]]
) -> None:
    problem(await notes.client.get(f"{NOTES}?{query}", headers=notes.auth()), status, code, *errors)


async def test_lists_and_empty_values_in_a_query(notes: Notes) -> None:
    answer = await notes.client.get("/open/hello?tag=a&tag=%EA%B9%80&name=")
    assert answer.json() == {"hello": "", "age": None, "tag": ["a", "김"]}
    problem(await notes.client.get("/open/hello?age="), 422, "request.invalid", ("query:age", "field.format"))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/notes/v1/nothing", 404, "route.unknown"),
        ("/", 404, "route.unknown"),
        ("/api/notes/v1/notes/", 404, "route.unknown"),
        ("/api/notes/v1//notes", 404, "route.unknown"),
        ("/api/notes/v1/notes/%2e%2e/notes", 404, "route.unknown"),
        ("/openapi.json/x", 404, "route.unknown"),
        ("/docs", 404, "route.unknown"),
        ("/api/notes/v1/notes/%00", 400, "request.malformed"),
        ("/api/notes/v1/notes/%FF", 400, "request.malformed"),
        ("/api/notes/v1/notes/%ED%A0%80", 400, "request.malformed"),
        ("/api/notes/v1/notes/1", 422, "request.invalid"),
        ("/api/notes/v1/notes/a%2Fb", 422, "request.invalid"),
    ],
)
async def test_a_bad_path_is_refused(notes: Notes, path: str, status: int, code: str) -> None:
    answer = await notes.client.get(path, headers=notes.auth())
    errors = {400: [("path:", "field.unreadable")], 422: [("path:id", "field.format")]}.get(status, [])
    problem(answer, status, code, *errors)


async def test_another_method_is_refused_with_those_there_are(notes: Notes) -> None:
    answer = await notes.client.delete(NOTES, headers=notes.auth())
    problem(answer, 405, "method.not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_literal_segments_go_before_parameters_and_encoded_slashes_stay_inside(notes: Notes) -> None:
    assert (await notes.client.get("/open/by/x/fixed")).json() == {"other": "x"}
    assert (await notes.client.get("/open/by/fixed/y")).json() == {"word": "fixed", "rest": "y"}
    assert (await notes.client.get("/open/by/a%2Fb/%EA%B9%80")).json() == {"word": "a/b", "rest": "김"}


@pytest.mark.parametrize("header", ["idempotency-key", "content-type", "if-match-not", "traceparent", "x-crm-address"])
async def test_a_header_that_may_stand_once_is_refused_twice(notes: Notes, header: str) -> None:
    pairs = [*notes.auth().items(), (header, "a"), (header, "b")]
    answer = await notes.client.get(NOTES, headers=pairs)
    if header == "if-match-not":
        assert answer.status_code == 200, "others may be repeated"
    else:
        problem(answer, 400, "request.malformed", (f"header:{header}", "header.repeated"))


# Forms


async def test_a_form_is_read_as_strictly_as_json(notes: Notes) -> None:
    async def post(content: bytes) -> httpx.Response:
        form = {"content-type": "application/x-www-form-urlencoded"}
        return await notes.client.post("/open/login", content=content, headers=form)

    good = await post("username=김&password=a+b%26".encode("ascii", "xmlcharrefreplace"))
    assert good.status_code == 422, "an unencoded form is taken as it stands"
    assert (await post(b"username=%EA%B9%80&password=a+b%26")).json() == {"welcome": "김"}
    problem(await post(b"username=a"), 422, "request.invalid", ("/password", "field.required"))
    problem(await post(b"username=a&password=b&x=1"), 422, "request.invalid", ("/x", "field.unknown"))
    problem(await post(b"username=a&username=b&password=c"), 422, "request.invalid", ("/username", "field.repeated"))
    problem(await post(b"username=%00&password=b"), 400, "request.malformed", ("/username", "field.unreadable"))
    problem(await post(b"username=%FF&password=b"), 400, "request.malformed")
    problem(await notes.client.post("/open/login", json={"username": "a"}), 415, "body.media_type")


# If-Match


@pytest.mark.requirement("PL-7")
@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        (None, 200),
        ("*", 200),
        ('"1"', 200),
        ('"7", "1"', 412),  # Who knows version 7 knows that 1 is gone.
        ('"0", "1"', 200),
        ('"2"', 412),
        ('W/"1"', 412),
        ('"abc"', 412),
        ('""', 412),
        ("1", 400),
        ('"1" x', 400),
        ('"1', 400),
    ],
)
async def test_if_match_compares_strongly_with_the_present_version(
    notes: Notes, if_match: str | None, status: int
) -> None:
    made = (await notes.client.post(NOTES, json={"title": "old"}, headers=notes.auth())).json()
    headers = notes.auth() if if_match is None else {**notes.auth(), "if-match": if_match}
    answer = await notes.client.patch(f"{NOTES}/{made['id']}", json={"title": "new"}, headers=headers)
    assert answer.status_code == status, answer.text
    assert await notes.titles() == [{200: "new"}.get(status, "old")]
    if status == 412:
        assert problem(answer, 412, "record.stale")["version"] == 1
        assert answer.headers["etag"] == '"1"'


# Languages


@pytest.mark.requirement("PL-11")
@pytest.mark.parametrize(
    ("accepted", "language", "title", "detail"),
    [
        ("", "en", "The request is not valid", "Field required"),
        ("ko", "ko", "요청이 올바르지 않습니다", "필수 항목입니다"),
        ("zh-CN,zh;q=0.9,en;q=0.5", "zh", "请求无效", "必填"),
        ("fr, ru;q=0.3", "ru", "Запрос некорректен", "Обязательное поле"),
        ("en;q=0.2, ko;q=0.1", "en", "The request is not valid", "Field required"),
        ("xx;q=zz,,;;", "en", "The request is not valid", "Field required"),
    ],
)
async def test_problems_speak_the_callers_language(
    notes: Notes, accepted: str, language: str, title: str, detail: str
) -> None:
    headers = {**notes.auth(), "accept-language": accepted}
    answer = await notes.client.post(NOTES, json={}, headers=headers)
    document = problem(answer, 422, "request.invalid", ("/title", "field.required"))
    assert (document["title"], document["errors"][0]["detail"]) == (title, detail)
    assert answer.headers["content-language"] == language
