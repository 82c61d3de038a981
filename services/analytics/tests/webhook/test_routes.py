"""Webhooks over HTTP: whose they are, what is taken and shown, and what is told of it."""

import uuid
from typing import Any

import pytest
from services.analytics.tests.stories import AUDIT, SENDING
from services.analytics.tests.webhook.conftest import World
from services.analytics.tests.webhook.receiver import Reply

from crm_analytics.app import SERVICE
from crm_analytics.webhook import rules
from crm_authz import Rule
from crm_testing.service import Rights, running

URL = "https://receiver.example/hooks/crm?key=abc"


async def _make(world: World, **fields: Any) -> Any:
    return await world.rep("POST", "/webhooks", json={"url": URL, **fields})


@pytest.mark.requirement("PL-43")
async def test_the_secret_is_shown_when_it_is_made_and_never_again(world: World) -> None:
    made = await _make(world, types=["crm.sales.opportunity.won.v1", "crm.customers.*"], description="For the ERP")
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == f"/api/analytics/v1/webhooks/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert made["types"] == ["crm.customers.*", "crm.sales.opportunity.won.v1"]
    read = await world.rep("GET", f"/webhooks/{made['id']}")
    assert "secret" not in read.body
    shared = set(read.body) & set(made.body)
    assert {name: read[name] for name in shared} == {name: made[name] for name in shared}
    assert "secret" not in str((await world.rep.done("GET", "/webhooks"))["items"]).replace("secret_", "")
    kept = await world.service.rows("SELECT secret FROM webhook")
    assert all(made["secret"].encode() not in row["secret"] for row in kept)


@pytest.mark.requirement("PL-43", "PL-44")
async def test_events_tell_of_each_act_and_of_no_secret_and_no_path(world: World) -> None:
    made = (await _make(world, types=["crm.customers.*"])).body
    path = f"/webhooks/{made['id']}"
    await world.rep.done("PATCH", path, json={"url": URL + "2", "types": [], "status": "paused", "description": "B"})
    await world.rep.done("POST", f"{path}/rotate-secret")
    world.deal()
    await world.hear()
    await world.rep.done("POST", f"{path}/replay", json={"position": 1})
    await world.rep.done("DELETE", path)
    told = await world.service.events("crm.analytics.webhook.%", made["id"])
    assert [one["type"].split(".")[3] for one in told] == ["created", "changed", "changed", "changed", "deleted"]
    assert [sorted(one["data"]["changes"]) for one in told] == [
        [],
        ["description", "status", "types", "url"],
        ["secret_since"],
        ["replayed_from"],
        [],
    ]
    assert told[1]["data"]["changes"]["url"] == {"old": None, "new": None}
    assert told[-1]["data"]["state"]["deleted"] is True
    for one in told:
        assert one["data"]["state"]["host"] == "receiver.example"
        assert one["data"]["access"]["owner_id"] == str(world.service.people.rep.id)
        assert "key=abc" not in str(one["data"])
        assert "whsec_" not in str(one["data"])


@pytest.mark.requirement("PL-43", "PL-30")
async def test_each_has_their_own_and_who_reaches_everything_has_all(world: World) -> None:
    people, mine = world.service.people, world.webhook["id"]
    wide = Rights(SENDING.permissions, {"*": {"*": Rule("subordinates")}})
    manager = world.service.caller(people.manager, rights=wide)
    auditor = world.service.caller(people.executive, rights=AUDIT)
    assert [one["id"] for one in (await world.rep.done("GET", "/webhooks"))["items"]] == [mine]
    assert (await manager.done("GET", "/webhooks"))["items"] == [], "a subordinate's is not the superior's"
    assert [one["id"] for one in (await auditor.done("GET", "/webhooks"))["items"]] == [mine]
    world.deal()
    await world.hear()
    await world.work()
    event_id = world.receiver.received[0].id
    for method, path, body in (
        ("GET", f"/webhooks/{mine}", None),
        ("PATCH", f"/webhooks/{mine}", {"status": "paused"}),
        ("POST", f"/webhooks/{mine}/test", None),
        ("POST", f"/webhooks/{mine}/rotate-secret", None),
        ("POST", f"/webhooks/{mine}/replay", {"position": 1}),
        ("GET", f"/webhooks/{mine}/deliveries", None),
        ("GET", f"/webhooks/{mine}/deliveries/{event_id}", None),
        ("DELETE", f"/webhooks/{mine}", None),
    ):
        options: dict[str, Any] = {} if body is None else {"json": body}
        assert (await manager(method, path, **options)).status == 404, path
        lacking = world.service.caller(
            people.rep, rights=Rights(("sales.opportunity:read",), {"*": {"*": Rule("all")}})
        )
        assert (await lacking(method, path, **options)).status == 403, path
        assert (await auditor(method, path, **options)).status < 300, path


@pytest.mark.requirement("PL-43")
@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"url": "https://10.0.0.1/"}, "/url", "webhook.address_refused"),
        ({"url": "https://user:pass@receiver.example/"}, "/url", "webhook.address_refused"),
        ({"url": "https://receiver.example:25/"}, "/url", "webhook.address_refused"),
        ({"types": ["crm.nothing.*"]}, "/types", "events.type_unknown"),
        ({"types": ["%"]}, "/types", "events.type_unknown"),
        ({"status": "active"}, "/status", "field.unknown"),
    ],
)
async def test_what_does_not_fit_is_refused(world: World, fields: dict[str, Any], pointer: str, code: str) -> None:
    refused = await _make(world, **fields)
    assert (refused.status, refused.codes) == (422, [(pointer, code)])
    if "status" not in fields:
        refused = await world.rep("PATCH", world.path, json=fields)
        assert (refused.status, refused.codes) == (422, [(pointer, code)])


@pytest.mark.requirement("PL-43")
async def test_without_leave_neither_http_nor_this_machine_is_taken(analytics_dsn: str) -> None:
    async with running(SERVICE, analytics_dsn) as service:
        rep = service.caller(service.people.rep, rights=SENDING)
        for url in ("http://receiver.example/", "https://127.0.0.1/", "https://[::1]/"):
            refused = await rep("POST", "/webhooks", json={"url": url})
            assert (refused.status, refused["code"]) == (422, "webhook.address_refused"), url
        made = await rep.done("POST", "/webhooks", json={"url": "https://localhost:8443/"})
        tested = await rep.done("POST", f"/webhooks/{made['id']}/test")
        assert (tested["succeeded"], tested["status"]) == (False, None)
        assert "may not reach" in tested["error"]


async def test_nobody_has_more_than_twenty(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_analytics.webhook.actions.MAX_WEBHOOKS", 2)
    made = (await _make(world)).body
    refused = await _make(world)
    assert (refused.status, refused["code"]) == (409, "webhook.too_many")
    await world.rep.done("DELETE", f"/webhooks/{made['id']}")
    assert (await _make(world)).status == 201
    assert rules.MAX_WEBHOOKS == 20


async def test_a_page_after_the_other(world: World) -> None:
    made = [world.webhook["id"], *[(await _make(world))["id"] for _ in range(4)]]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await world.rep.done("GET", "/webhooks", params={"limit": 2, **cursor})
        found += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == made[::-1]


@pytest.mark.requirement("PL-43", "PL-7")
async def test_a_change_is_made_of_what_was_read(world: World) -> None:
    changed = await world.rep("PATCH", world.path, json={"description": "New"}, match='"1"')
    assert (changed.status, changed["description"], changed["version"]) == (200, "New", 2)
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret"), ("POST", "/replay")):
        body = {"PATCH": {"description": "Other"}, "POST": {"position": 1}}.get(method)
        options = {"json": body} if body and path != "/rotate-secret" else {}
        refused = await world.rep(method, world.path + path, match='"1"', **options)
        assert refused.status == 412, (method, path)
    same = await world.rep("PATCH", world.path, json={"description": "New"})
    assert (same.status, same["version"]) == (200, 2)


@pytest.mark.requirement("PL-43")
async def test_a_test_is_sent_at_once_and_told(world: World) -> None:
    tested = await world.rep.done("POST", f"{world.path}/test")
    assert (tested["succeeded"], tested["status"], tested["answer"], tested["error"]) == (True, 200, "ok", None)
    (got,) = world.receiver.received
    assert got.is_signed_with(world.webhook["secret"])
    assert (got.event["type"], got.event["data"]) == ("crm.analytics.webhook.test.v1", {})
    world.receiver.reply = lambda _: Reply(500, {}, b"x" * 5000)
    tested = await world.rep.done("POST", f"{world.path}/test")
    assert (tested["succeeded"], tested["status"], len(tested["answer"])) == (False, 500, 1024)


@pytest.mark.requirement("PL-43")
async def test_deliveries_are_listed_by_state_a_page_after_the_other(world: World) -> None:
    deals = [world.deal() for _ in range(5)]
    await world.hear()
    stuck = str(deals[2].id)
    world.receiver.reply = lambda one: Reply(500) if one.event["subject"] == stuck else Reply()
    await world.work()
    page = await world.rep.done("GET", f"{world.path}/deliveries", params={"limit": 3})
    rest = await world.rep.done("GET", f"{world.path}/deliveries", params={"limit": 3, "cursor": page["next"]})
    listed = [one["subject"] for one in [*page["items"], *rest["items"]]]
    assert listed == [str(deal.id) for deal in reversed(deals)]
    assert rest["next"] is None
    (waiting,) = await world.deliveries(state="pending")
    assert (waiting["subject"], waiting["status"], waiting["attempts"]) == (stuck, 500, 1)
    refused = await world.rep(
        "GET", f"{world.path}/deliveries", params={"limit": 3, "cursor": page["next"], "state": "pending"}
    )
    assert (refused.status, refused["code"]) == (422, "cursor.invalid")
    assert (await world.rep("GET", f"{world.path}/deliveries/{uuid.uuid4()}")).status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"position": 10**6}, "webhook.replay_refused"),
        ({"event_id": str(uuid.uuid4())}, "webhook.replay_refused"),
        ({"since": "2099-01-01T00:00:00Z"}, "webhook.replay_refused"),
        ({}, "request.invalid"),
        ({"position": 1, "since": "2026-01-01T00:00:00Z"}, "request.invalid"),
    ],
)
async def test_from_where_nothing_is_nothing_is_sent_again(world: World, body: dict[str, Any], code: str) -> None:
    world.deal()
    await world.hear()
    refused = await world.rep("POST", f"{world.path}/replay", json=body)
    assert (refused.status, refused["code"]) == (422, code)
