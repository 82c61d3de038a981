"""An event leaves the product: a deal is won, and a system outside is told, signed, as far as its webhook's owner may read (PL-43)."""

import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from .company import Company, usd
from .person import Person
from .waiting import A_SECOND, until

#: Which kind of broker carries the events makes no difference here.
STACKS = ("together",)
FEED = "/api/events/v1/feed"


class Receiver:
    """A system outside: an HTTP server of the standard library that verifies each message as the specification says."""

    def __init__(self) -> None:
        self.secret = ""
        self.events: list[dict[str, Any]] = []
        self.forged = 0
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                verified = received.verifies(dict(self.headers.items()), body)
                if verified:
                    received.events.append(orjson.loads(body))
                else:
                    received.forged += 1
                self.send_response(204 if verified else 401)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/crm"

    def verifies(self, headers: dict[str, str], body: bytes) -> bool:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        return any(hmac.compare_digest(one.encode(), expected) for one in headers["webhook-signature"].split(" "))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receivers() -> Iterator[tuple[Receiver, Receiver]]:
    made = Receiver(), Receiver()
    yield made
    for one in made:
        one.close()


def _allow(company: Company, *people: Person) -> None:
    """The administrator lets people have webhooks, with a role beside their own."""
    administrator = company.administrator
    role = administrator.post(
        "identity/roles",
        {
            "name": f"Integrations {people[0].id}",
            "permissions": ["analytics.webhook:read", "analytics.webhook:create", "analytics.webhook:update"],
            "scopes": {"analytics.webhook": {"*": {"scope": "self"}}},
        },
    )
    for person in people:
        user = administrator.done("GET", f"identity/users/{person.id}")
        roles = [*user["role_ids"], role["id"]]
        administrator.done("PATCH", f"identity/users/{person.id}", json={"role_ids": roles}, match=user.etag)
        person.sign_in()


def _connect(person: Person, receiver: Receiver) -> Any:
    made = person.post("analytics/webhooks", {"url": receiver.url, "types": ["crm.sales.opportunity.*"]})
    receiver.secret = made["secret"]
    return made


@pytest.mark.requirement("PL-43", "PL-30")
def test_a_won_deal_is_sent_to_its_owners_receiver_and_told_by_the_feed_and_to_nobody_else(
    company: Company, receivers: tuple[Receiver, Receiver]
) -> None:
    north, south = company.department("Webhook North"), company.department("Webhook South")
    rep = company.hire("Webhook Rep", "sales_representative", north)
    stranger = company.hire("Webhook Stranger", "sales_representative", south)
    assert rep.call("POST", "analytics/webhooks", json={"url": "https://receiver.example/"}).status == 403
    _allow(company, rep, stranger)
    mine, other = receivers
    for person in (rep, stranger):
        until(lambda: person.call("GET", "analytics/webhooks").status == 200, 10.0, "analytics knows the new role")  # noqa: B023
    webhook = _connect(rep, mine)
    others = _connect(stranger, other)
    place = rep.get(FEED, params={"start": "now"})["cursor"]
    theirs = stranger.get(FEED, params={"start": "now"})["cursor"]

    tested = rep.post(f"analytics/webhooks/{webhook['id']}/test")
    assert (tested["succeeded"], tested["status"]) == (True, 204)
    customer = rep.post("customers/customers", {"name": "주식회사 예시"})
    deal = rep.post(
        "sales/opportunities",
        {"name": "Servers", "value": usd("100.00"), "customer_id": customer["id"]},
        after=customer.consistency,
    )
    won = rep.post(f"sales/opportunities/{deal['id']}/win", {})

    sent = until(
        lambda: [one for one in mine.events if one["type"] == "crm.sales.opportunity.won.v1"],
        A_SECOND * 5,
        "the receiver is told",
    )
    assert (sent[0]["subject"], sent[0]["data"]["state"]["outcome"]) == (deal["id"], "won")
    of_deal = [one for one in mine.events if one["subject"] == deal["id"]]
    versions = [one["data"]["version"] for one in of_deal]
    assert versions == list(range(1, versions[-1] + 1))
    told = rep.get(FEED, params={"after": place, "limit": 200}, after=won.consistency)["items"]
    assert [one for one in told if one["subject"] == deal["id"]] == of_deal
    assert customer["id"] in {one["subject"] for one in told}

    def listed() -> set[str]:
        found = rep.get(f"analytics/webhooks/{webhook['id']}/deliveries", params={"state": "delivered"})["items"]
        return {one["event_id"] for one in found}

    # Noted as delivered once the receiver has answered, which is a moment after it was told.
    until(lambda: listed() == {one["id"] for one in of_deal}, A_SECOND * 5, "what was sent is noted as delivered")

    # The stranger's webhook and feed went by the same events, and told none of them.
    until(
        lambda: (
            (stand := stranger.get(f"analytics/webhooks/{others['id']}"))["position"] >= sent[0]["position"] and stand
        ),
        A_SECOND * 5,
        "the other webhook is as far",
    )
    heard = stranger.get(FEED, params={"after": theirs, "limit": 200}, after=won.consistency)["items"]
    assert {deal["id"], customer["id"]}.isdisjoint(one["subject"] for one in heard)
    assert other.events == []
    assert mine.forged == other.forged == 0
