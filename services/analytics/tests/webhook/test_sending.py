"""One request: to the address that was checked and to no other, within limits, whatever the receiver does."""

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator, Sequence

import pytest
from services.analytics.tests.webhook.receiver import Receiver, Reply, receiving

from crm_analytics.webhook import sending
from crm_analytics.webhook.sending import Sender, retry_after

NOW = dt.datetime(2026, 11, 23, 3, tzinfo=dt.UTC)
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
BODY = b'{"a": 1}'


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


class Names:
    """Says what names stand for, and how often it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def _named(receiver: Receiver) -> str:
    return f"http://receiver.example:{receiver.port}/hooks?key=1"


@pytest.mark.requirement("PL-43")
async def test_the_request_arrives_whole(receiver: Receiver) -> None:
    made = await Sender(LOOPBACK).send(receiver.url, {"webhook-id": "m1"}, BODY, NOW)
    assert (made.status, made.answer, made.error, made.succeeded) == (200, "ok", None, True)
    (got,) = receiver.received
    assert (got.path, got.body, got.id) == ("/hooks?key=1", BODY, "m1")
    assert got.headers["content-type"] == "application/json"


@pytest.mark.requirement("PL-43")
async def test_an_address_inside_is_not_reached(receiver: Receiver) -> None:
    made = await Sender([]).send(receiver.url, {}, BODY, NOW)
    assert made.status is None
    assert "127.0.0.1" in (made.error or "")
    assert receiver.received == []


@pytest.mark.requirement("PL-43")
async def test_a_name_is_resolved_once_and_the_request_goes_to_what_was_checked(receiver: Receiver) -> None:
    """DNS rebinding: the second answer would lead inside."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    made = await Sender(LOOPBACK, resolving=names).send(_named(receiver), {}, BODY, NOW)
    assert made.succeeded
    assert names.asked == [("receiver.example", receiver.port)]
    assert receiver.received[0].headers["host"] == f"receiver.example:{receiver.port}"


@pytest.mark.requirement("PL-43")
@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["::ffff:10.0.0.1"], ["169.254.169.254"]]
)
async def test_a_name_that_stands_for_an_inside_address_too_is_not_reached(
    receiver: Receiver, addresses: list[str]
) -> None:
    made = await Sender(LOOPBACK, resolving=Names(addresses)).send(_named(receiver), {}, BODY, NOW)
    assert made.status is None
    assert "may not reach" in (made.error or "")
    assert receiver.received == []


async def test_the_next_address_is_tried_when_one_takes_no_connection(receiver: Receiver) -> None:
    # Nothing listens at that port of the first address.
    names = Names(["127.0.0.77", "127.0.0.1"])
    made = await Sender(LOOPBACK, resolving=names).send(_named(receiver), {}, BODY, NOW)
    assert made.succeeded


async def test_a_name_without_address_is_told(receiver: Receiver) -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    made = await Sender(LOOPBACK, resolving=unknown).send(_named(receiver), {}, BODY, NOW)
    assert made.error == "ConnectError: receiver.example can't be resolved: Name or service not known"
    made = await Sender(LOOPBACK, resolving=Names([])).send(_named(receiver), {}, BODY, NOW)
    assert made.error == "ConnectError: receiver.example has no address"


@pytest.mark.requirement("PL-43")
async def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(302, {"location": receiver.url})
    made = await Sender(LOOPBACK).send(receiver.url, {}, BODY, NOW)
    assert (made.status, made.succeeded, len(receiver.received)) == (302, False, 1)


async def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await Sender(LOOPBACK).send(receiver.url, {}, BODY, NOW)).succeeded


async def test_a_receiver_that_does_not_answer_is_left_in_time(receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(0)
    made = await Sender(LOOPBACK, time_limit=0.3).send(receiver.url, {}, BODY, NOW)
    assert (made.status, made.error) == (None, "no answer within 0.3 s")
    assert 0.3 <= made.seconds < 5


async def test_of_a_long_answer_the_beginning_is_kept(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.reply = lambda _: Reply(500, {}, b"\0" + "é".encode() * 200_000)
    made = await Sender(LOOPBACK).send(receiver.url, {}, BODY, NOW)
    assert made.status == 500
    assert (made.answer or "").startswith("éé")
    assert len((made.answer or "").encode()) <= sending.KEPT + 3


async def test_what_is_no_http_is_told(receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(200, {"x\r\nbad line": "\r\n"})
    made = await Sender(LOOPBACK).send(receiver.url, {}, BODY, NOW)
    assert made.error is not None
    assert "ProtocolError" in made.error


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 5 ", 5),
        ("Mon, 23 Nov 2026 03:01:00 GMT", 60),
        ("Mon, 23 Nov 2026 02:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("9" * 400, 10**8),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: int | None) -> None:
    assert retry_after(header, NOW) == (None if seconds is None else dt.timedelta(seconds=seconds))
