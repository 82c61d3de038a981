"""What a program that subscribes to the topics gets: every fact, in its published form, in order per record."""

import asyncio
import datetime as dt
import json
import re
import secrets
import uuid
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import jsonschema
import pytest

from crm_web.routes import installed

from .company import Company, usd
from .listening import Listener, Received
from .person import Person

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "libs" / "contracts" / "schemas"
TOPICS = sorted(
    topic["topic"]
    for topic in (json.loads(path.read_text()) for path in (ROOT / "libs" / "contracts" / "topics").glob("*.json"))
    if not topic["topic"].startswith("crm.platform.")
)
DEALS = "sales/opportunities"


@pytest.fixture(scope="package")
def rep(company: Company) -> Person:
    """A sales representative."""
    return company.hire("Event Rep", "sales_representative", company.department("Event Office"))


def deal_of(company: Company, rep: Person) -> tuple[str, str]:
    """Ids of a customer and of its deal that was advanced twice and won."""
    customer = rep.post("customers/customers", {"name": "Нева и партнёры"})
    body = {"name": "On the bus", "customer_id": customer["id"], "value": usd("12.34")}
    deal = rep.post(DEALS, body, after=customer.consistency)
    for stage in company.pipeline["stages"][1:3]:
        rep.post(f"{DEALS}/{deal['id']}/advance", {"stage_id": stage["id"]})
    rep.post(f"{DEALS}/{deal['id']}/win", {})
    return customer["id"], deal["id"]


def facts(records: list[Received]) -> list[str]:
    """The last word but one of each type: what happened."""
    return [record.type.rsplit(".", 2)[1] for record in records]


@pytest.mark.requirement("PL-23", "SA-8", "PL-45")
async def test_every_event_has_its_published_form_and_comes_in_order_with_dense_numbers(
    company: Company, rep: Person
) -> None:
    """Of all that any journey on this stack has written so far, and of a deal."""
    customer, deal = deal_of(company, rep)
    company.administrator.post(f"identity/users/{company.hire('Gone', 'general', company.root).id}/dismiss")
    async with Listener(company.stack.bootstrap, TOPICS) as listener:
        await listener.until(lambda: "dealt" in facts(listener.about(customer)), 30.0, "the customer's first deal")
        await listener.until(lambda: "won" in facts(listener.about(deal)), 10.0, "the deal was won")
    numbered = list(listener.numbered())
    schemas = {path.stem: validator(json.loads(path.read_text())) for path in SCHEMAS.glob("*.json")}
    assert len({record.type for record in numbered}) > 12, "facts of many kinds were looked at"
    for record in numbered:
        assert_cloud_event(record)
        errors = [f"{error.json_path}: {error.message}" for error in schemas[record.type].iter_errors(record.data)]
        assert not errors, (record.type, errors)
        assert record.topic == record.type.rsplit(".", 2)[0]
    producers = {record.type.split(".")[1] for record in numbered}
    assert {"identity", "customers", "sales"} <= producers <= set(installed()), producers
    for place, found in by(numbered, lambda r: (r.topic, r.partition, r.headers["ce_stream"])):
        assert [record.number for record in found] == list(range(1, len(found) + 1)), place
    for record_id, found in by(numbered, lambda r: (r.topic, r.key)):
        assert [record.data["version"] for record in found] == list(range(1, len(found) + 1)), record_id
        assert len({record.partition for record in found}) == 1
    assert facts(listener.about(deal)) == ["created", "stage-changed", "stage-changed", "won"]
    assert facts(listener.about(customer)) == ["created", "dealt"]
    won = listener.about(deal)[-1].data
    assert won["changes"]["outcome"] == {"old": "open", "new": "won"}
    assert won["state"]["value"] == usd("12.34")
    assert won["access"]["owner_id"] == won["credit"]["user_id"] == rep.id
    assert won["credit"]["department_path"][0] == company.root
    assert won["actor"] == {"kind": "user", "id": rep.id}


def validator(schema: Any) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def by(records: list[Received], key: Any) -> list[tuple[Any, list[Received]]]:
    """Groups, each in the order of arrival."""
    return [(name, list(found)) for name, found in groupby(sorted(records, key=key), key)]


def assert_cloud_event(record: Received) -> None:
    """CloudEvents 1.0 in Kafka's binary mode, with the extensions that docs name."""
    headers = record.headers
    assert headers["ce_specversion"] == "1.0"
    assert uuid.UUID(headers["ce_id"]).version == 7
    assert headers["ce_source"] == f"/crm/{record.type.split('.')[1]}"
    assert headers["ce_subject"] == headers["ce_partitionkey"] == record.key
    assert dt.datetime.fromisoformat(headers["ce_time"]).utcoffset() == dt.timedelta(0)
    assert headers["content-type"] == "application/json"
    assert uuid.UUID(headers["ce_writeid"])
    assert dt.datetime.fromisoformat(record.data["occurred_at"]).utcoffset() is not None


@pytest.mark.requirement("PL-45")
async def test_one_trace_id_leads_from_the_gateway_through_journal_and_bus_to_the_effect_elsewhere(
    company: Company, rep: Person
) -> None:
    trace = secrets.token_hex(16)
    sent = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    customer = rep.post("customers/customers", {"name": "Traced"})
    deal = rep.post(DEALS, {"name": "Traced", "customer_id": customer["id"]}, after=customer.consistency)
    rep.done("POST", f"{DEALS}/{deal['id']}/win", json={}, headers=sent)
    async with Listener(company.stack.bootstrap, ["crm.sales.opportunity", "crm.customers.customer"]) as listener:
        await listener.until(lambda: "dealt" in facts(listener.about(customer["id"])), 30.0, "the effect is told")
    won, dealt = listener.about(deal["id"])[-1], listener.about(customer["id"])[-1]
    assert (won.type, dealt.type) == ("crm.sales.opportunity.won.v1", "crm.customers.customer.dealt.v1")
    assert [record.headers["traceparent"].split("-")[1] for record in (won, dealt)] == [trace, trace]
    connection = await asyncpg.connect(company.stack.dsn("sales"))
    try:
        sql = "SELECT traceparent FROM journal WHERE event_id = $1"
        assert (await connection.fetchval(sql, uuid.UUID(won.headers["ce_id"]))).split("-")[1] == trace
    finally:
        await connection.close()
    # Refusals say it too: the service's, and the gateway's own.
    assert rep.call("GET", f"{DEALS}/{uuid.uuid4()}", headers=sent)["trace_id"] == trace
    assert rep.call("GET", "/api/nothing/here", headers=sent)["trace_id"] == trace
    assert rep.call("GET", DEALS, token="forged", headers=sent)["trace_id"] == trace


@pytest.mark.requirement("PL-40")
async def test_a_subscriber_that_comes_back_goes_on_where_it_stopped(company: Company, rep: Person) -> None:
    first = rep.post("customers/customers", {"name": "Before the pause"})["id"]
    topics = ["crm.customers.customer"]
    async with Listener(company.stack.bootstrap, topics) as listener:
        await listener.until(lambda: listener.about(first), 30.0, "the first customer")
        await listener.commit()
    second = rep.post("customers/customers", {"name": "During the pause"})["id"]
    async with Listener(company.stack.bootstrap, topics, group=listener.group) as later:
        await later.until(lambda: later.about(second), 30.0, "the second customer")
    assert not later.about(first)


@pytest.mark.requirement("PL-40")
async def test_the_ten_lines_of_the_documentation_subscribe(
    company: Company, rep: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (ROOT / "libs" / "events" / "README.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", readme, re.S) if "async def follow" in block]
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    following = asyncio.create_task(names["follow"](company.stack.bootstrap))
    printed = ""
    try:
        made = rep.post("customers/customers", {"name": "From ten lines"})["id"]
        for _ in range(600):
            printed += capsys.readouterr().out
            if made in printed or following.done():
                break
            await asyncio.wait([following], timeout=0.05)
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    (line,) = [line for line in printed.splitlines() if made in line.split(" ")[1]]
    kind, key, data = line.split(" ", 2)
    assert (kind, key) == ("crm.customers.customer.created.v1", made)
    assert json.loads(data)["state"]["name"] == "From ten lines"


@pytest.mark.requirement("PL-1")
def test_the_catalogue_of_events_is_published(company: Company) -> None:
    """AsyncAPI 3 with every topic and every type; readable as a page without logging in."""
    with httpx.Client(base_url=company.stack.address, timeout=60.0) as anybody:
        found = anybody.get("/api/asyncapi.json").json()
        page = anybody.get("/api/events")
    assert found["asyncapi"].startswith("3.")
    assert set(TOPICS) <= {channel["address"] for channel in found["channels"].values()}
    told = json.dumps(found)
    assert not [path.stem for path in SCHEMAS.glob("*.json") if path.stem not in told]
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (200, "text/html")
