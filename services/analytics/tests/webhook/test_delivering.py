"""Delivery: at least once, in order per record, as far as the owner may read now, whoever dies on the way."""

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from services.analytics.tests.conftest import _context
from services.analytics.tests.stories import SENDING, employ, look_again
from services.analytics.tests.webhook.conftest import DEALS, World
from services.analytics.tests.webhook.receiver import Reply

from crm_analytics.log import reactions as log
from crm_analytics.webhook import delivering, rules
from crm_analytics.webhook.delivering import purge_deliveries
from crm_analytics.webhook.rules import Attempt, LeaseLost
from crm_authz import keeper_of

SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)
FAIL, OK = Reply(503, {}, b"busy"), Reply()


def _later(world: World, by: dt.timedelta) -> None:
    world.service.clock.advance(by)


@pytest.mark.requirement("PL-43")
async def test_an_event_arrives_signed_once_as_the_feed_tells_it(world: World) -> None:
    deal = world.deal()
    await world.hear()
    assert await world.work() > 0
    (got,) = world.receiver.received
    assert got.is_signed_with(world.webhook["secret"])
    assert not got.is_signed_with("whsec_" + "A" * 44)
    (told,) = [one for one in world.story.told if one.subject == deal.id]
    assert (got.id, got.event["id"], got.event["subject"]) == (str(told.id), str(told.id), str(deal.id))
    assert got.event["type"] == "crm.sales.opportunity.created.v1"
    items = (await world.rep.done("GET", "/api/events/v1/feed", params={"types": "crm.sales.opportunity.*"}))["items"]
    assert items == [got.event]
    await world.work()
    assert len(world.receiver.received) == 1
    (delivery,) = await world.deliveries()
    assert (delivery["state"], delivery["attempts"], delivery["status"]) == ("delivered", 1, 200)


@pytest.mark.requirement("PL-43")
async def test_only_what_happens_after_it_was_made_and_of_its_types_is_sent(world: World) -> None:
    deal = world.deal()
    world.story.customer(world.service.people.rep.id)
    await world.hear()
    made = await world.rep.done(
        "POST", "/webhooks", json={"url": world.receiver.url + "&second", "types": ["crm.sales.opportunity.won.v1"]}
    )
    world.story.close(deal, "won")
    await world.hear()
    await world.work()
    seen = sorted((one.path.endswith("second"), one.event["type"].split(".")[3]) for one in world.receiver.received)
    assert seen == [(False, "created"), (False, "won"), (True, "won")]
    assert made["status"] == "active"


@pytest.mark.requirement("PL-43")
async def test_a_later_event_of_a_record_waits_for_the_earlier_and_others_go_on(world: World) -> None:
    stuck, going = world.deal(), world.deal()
    world.story.close(stuck, "won")
    world.story.close(going, "won")
    await world.hear()
    world.receiver.reply = lambda one: FAIL if one.event["subject"] == str(stuck.id) else OK
    await world.work()
    seen = [(one.event["subject"], one.version) for one in world.receiver.received]
    assert [version for subject, version in seen if subject == str(going.id)] == [1, 2]
    assert {version for subject, version in seen if subject == str(stuck.id)} == {1}
    world.receiver.received.clear()
    world.receiver.reply = lambda _: OK
    _later(world, HOUR)
    await world.work()
    assert [(one.event["subject"], one.version) for one in world.receiver.received] == [
        (str(stuck.id), 1),
        (str(stuck.id), 2),
    ]


@pytest.mark.requirement("PL-43")
async def test_what_fails_is_tried_with_growing_pauses_until_it_arrives(world: World) -> None:
    world.deal()
    await world.hear()
    world.receiver.reply = lambda _: FAIL
    waits = []
    await world.work()
    for number in range(1, 6):
        assert len(world.receiver.received) == number
        (delivery,) = await world.deliveries()
        pause = dt.datetime.fromisoformat(delivery["next_attempt_at"]) - world.service.clock.now()
        waits.append(pause.total_seconds())
        _later(world, pause - SECOND)
        await world.work()
        assert len(world.receiver.received) == number, "a second too early"
        _later(world, SECOND)
        if number == 5:
            world.receiver.reply = lambda _: OK
        await world.work()
    assert waits == [5, 30, 120, 600, 3600]
    assert {one.id for one in world.receiver.received} == {world.receiver.received[0].id}
    event_id = world.receiver.received[0].id
    found = await world.rep.done("GET", f"{world.path}/deliveries/{event_id}")
    assert (found["state"], found["attempts"]) == ("delivered", 6)
    assert [(one["number"], one["status"]) for one in found["log"]] == [(6, 200), *((n, 503) for n in range(5, 0, -1))]
    assert {one["answer"] for one in found["log"]} == {"busy", "ok"}


@pytest.mark.requirement("PL-43")
async def test_after_three_days_the_webhook_is_disabled_and_says_so(world: World) -> None:
    deal = world.deal()
    await world.hear()
    world.receiver.reply = lambda _: FAIL
    began = world.service.clock.now()
    for _ in range(60):
        await world.work()
        if (await world.read())["status"] != "active":
            break
        assert world.service.clock.now() - began < 3 * DAY + HOUR
        _later(world, HOUR * 2)
    found = await world.read()
    assert (found["status"], found["reason"]) == ("disabled", "receiver_failing")
    assert world.service.clock.now() - began >= 3 * DAY
    (event,) = await world.service.events("crm.analytics.webhook.disabled%")
    assert (event["data"]["state"]["reason"], event["data"]["actor"]["kind"]) == ("receiver_failing", "system")
    tried = len(world.receiver.received)
    world.story.close(deal, "won")
    await world.hear()
    assert await world.work() == 0
    assert len(world.receiver.received) == tried
    # Made active again it goes on where it stopped, with all of its patience.
    world.receiver.received.clear()
    world.receiver.reply = lambda _: OK
    await world.rep.done("PATCH", world.path, json={"status": "active"})
    await world.work()
    assert world.receiver.versions == [1, 2]


@pytest.mark.requirement("PL-43")
async def test_a_receiver_that_is_gone_ends_it_at_once(world: World) -> None:
    world.deal()
    await world.hear()
    world.receiver.reply = lambda _: Reply(410)
    await world.work()
    found = await world.read()
    assert (found["status"], found["reason"], found["pending"]) == ("disabled", "receiver_gone", 1)


@pytest.mark.requirement("PL-43")
async def test_a_receiver_that_asks_to_wait_is_waited_for(world: World) -> None:
    world.deal()
    await world.hear()
    world.receiver.reply = lambda _: Reply(429, {"retry-after": "900"})
    await world.work()
    (delivery,) = await world.deliveries()
    assert dt.datetime.fromisoformat(delivery["next_attempt_at"]) - world.service.clock.now() == 900 * SECOND


# -- who may read it now -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-43", "PL-30")
async def test_what_the_owner_may_not_read_is_not_sent(world: World) -> None:
    world.deal(world.service.people.stranger.id)
    await world.hear()
    await world.work()
    assert world.receiver.received == []
    assert await world.deliveries() == []


@pytest.mark.requirement("PL-43", "PL-22")
async def test_a_record_that_went_to_others_before_its_event_was_sent_is_withheld(world: World) -> None:
    deal, kept = world.deal(), world.deal()
    await world.hear()
    world.receiver.reply = lambda _: FAIL
    await world.work()
    world.receiver.received.clear()
    world.receiver.reply = lambda _: OK
    world.story.transfer(deal, world.service.people.stranger.id)
    await world.hear()
    _later(world, HOUR)
    await world.work()
    assert [one.event["subject"] for one in world.receiver.received] == [str(kept.id)]
    assert [one["subject"] for one in await world.deliveries(state="withheld")] == [str(deal.id)]


@pytest.mark.requirement("PL-43", "ID-24")
async def test_a_dismissed_owner_has_nothing_sent_and_the_webhook_is_disabled(world: World) -> None:
    world.deal()
    await world.hear()
    await employ(
        world.service, world.service.people.rep, SENDING.permissions, SENDING.scopes, status="dismissed", version=3
    )
    await world.work()
    assert world.receiver.received == []
    (event,) = await world.service.events("crm.analytics.webhook.disabled%")
    assert event["data"]["state"]["reason"] == "owner_inactive"


@pytest.mark.requirement("PL-43", "ID-24")
async def test_an_owner_without_the_right_to_send_has_nothing_sent(world: World) -> None:
    world.deal()
    await world.hear()
    reading = [code for code in SENDING.permissions if not code.startswith("analytics.webhook:create")]
    await employ(world.service, world.service.people.rep, reading, SENDING.scopes, version=3)
    await world.work()
    assert world.receiver.received == []
    found = await world.read()
    assert (found["status"], found["reason"]) == ("disabled", "not_allowed")


@pytest.mark.requirement("PL-43", "ID-24")
async def test_a_smaller_scope_is_in_force_at_once(world: World) -> None:
    world.deal()
    await world.hear()
    sending = [code for code in SENDING.permissions if not code.startswith("sales.opportunity:")]
    await employ(world.service, world.service.people.rep, sending, SENDING.scopes, version=3)
    await world.work()
    assert world.receiver.received == []
    assert (await world.read())["status"] == "active"


async def test_while_identity_is_not_heard_nothing_is_sent(world: World) -> None:
    world.deal()
    await world.hear()
    async with world.service.database.write(_context()) as session:
        await session.connection.execute("UPDATE directory_version SET heard_at = $1", world.service.clock.now() - HOUR)
    await look_again(world.service)
    await world.work()
    assert world.receiver.received == []
    async with world.service.database.write(_context()) as session:
        await session.connection.execute("UPDATE directory_version SET heard_at = now() + interval '100 years'")
    await look_again(world.service)
    _later(world, 10 * SECOND)
    await world.work()
    assert len(world.receiver.received) == 1


# -- who sends ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-43", "PL-41")
async def test_of_several_workers_one_sends(world: World) -> None:
    deals = [world.deal() for _ in range(6)]
    for deal in deals:
        world.story.close(deal, "won")
    await world.hear()
    await asyncio.gather(*(world.deliverer().run_due() for _ in range(4)))
    assert len(world.receiver.received) == len({one.id for one in world.receiver.received}) == 12
    assert world.receiver.most_at_once <= rules.AT_ONCE


@pytest.mark.requirement("PL-43")
async def test_who_died_between_sending_and_noting_is_followed_by_another_with_the_same_id(world: World) -> None:
    deal = world.deal()
    world.story.close(deal, "won")
    await world.hear()
    dying = world.deliverer()
    taken = await dying.take()
    assert taken is not None
    directory = await keeper_of(world.service.database).current(world.service.database)
    found = await dying.prepare(*taken, directory)
    for message in found.messages:
        assert (await dying._send(found.url, message)).succeeded
    # Dead. As long as its lease counts, nobody else begins.
    assert await world.deliverer().take() is None
    await _lease_runs_out(world)
    await world.work()
    assert world.receiver.versions == [1, 1, 2]
    first, again, _ = world.receiver.received
    assert first.id == again.id
    # Should it wake up after all, it writes nothing.
    with pytest.raises(LeaseLost):
        await dying.note(*taken, found.messages, [Attempt(world.service.clock.now(), 0.1, 500)])
    with pytest.raises(LeaseLost):
        await dying.prepare(*taken, directory)
    assert {one["state"] for one in await world.deliveries()} == {"delivered"}


async def _lease_runs_out(world: World) -> None:
    async with world.service.database.write(_context()) as session:
        await session.connection.execute("UPDATE webhook_work SET lease_until = clock_timestamp() - interval '1 s'")


@pytest.mark.requirement("PL-43")
async def test_nothing_is_begun_when_the_lease_may_be_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stood still after its transaction: by now another may send."""
    world.deal()
    await world.hear()
    standing, stop = world.deliverer(), asyncio.Event()
    taken = await standing.take()
    assert taken is not None
    prepare = standing.prepare

    async def once(*given: Any) -> delivering.Round:
        found = await prepare(*given)
        assert found.messages
        stop.set()
        return found

    monkeypatch.setattr(standing, "prepare", once)
    monkeypatch.setattr(rules, "BEGIN_WITHIN", -SECOND)
    await standing.work(*taken, stop)
    assert world.receiver.received == []


@pytest.mark.requirement("PL-43")
async def test_a_webhook_that_is_deleted_or_paused_sends_no_more(world: World) -> None:
    world.deal()
    await world.hear()
    await world.rep.done("PATCH", world.path, json={"status": "paused"})
    assert await world.work() == 0
    await world.rep.done("PATCH", world.path, json={"status": "active"})
    await world.rep.done("DELETE", world.path)
    assert await world.work() == 0
    assert world.receiver.received == []


async def test_what_happens_while_it_is_paused_is_sent_afterwards(world: World) -> None:
    await world.rep.done("PATCH", world.path, json={"status": "paused"})
    world.deal()
    await world.hear()
    await world.work()
    await world.rep.done("PATCH", world.path, json={"status": "active"})
    await world.work()
    assert world.receiver.versions == [1]


async def test_deleted_while_a_request_is_under_way_it_leaves_no_trace_of_it(world: World) -> None:
    world.deal()
    await world.hear()
    world.receiver.hold = asyncio.Event()
    working = asyncio.create_task(world.work())
    await asyncio.wait_for(world.receiver.arrived.wait(), 10)
    await world.rep.done("DELETE", world.path)
    world.receiver.hold.set()
    await asyncio.wait_for(working, 10)
    assert len(world.receiver.received) == 1
    assert [row["attempts"] for row in await world.service.rows("SELECT attempts FROM webhook_delivery")] == [0]


# -- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-43")
async def test_no_more_waits_than_may_and_the_rest_stays_in_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_PENDING", 5)
    for _ in range(12):
        world.deal()
    await world.hear()
    world.receiver.reply = lambda _: FAIL
    await world.work()
    found = await world.read()
    assert found["pending"] == 5
    assert found["position"] < found["head"]
    world.receiver.received.clear()
    world.receiver.reply = lambda _: OK
    for _ in range(5):
        _later(world, HOUR)
        await world.work()
    assert len({one.id for one in world.receiver.received}) == 12
    found = await world.read()
    assert (found["pending"], found["position"]) == (0, found["head"])


@pytest.mark.requirement("PL-43")
async def test_a_receiver_that_is_down_is_not_asked_for_every_record_again_and_again(world: World) -> None:
    for _ in range(20):
        world.deal()
    await world.hear()
    world.receiver.reply = lambda _: FAIL
    await world.work()
    assert len(world.receiver.received) == rules.AT_ONCE
    await world.work()
    assert len(world.receiver.received) == rules.AT_ONCE
    _later(world, 5 * SECOND)
    await world.work()
    assert len(world.receiver.received) == 2 * rules.AT_ONCE


async def test_an_owner_who_hears_little_makes_short_steps_through_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm_analytics.feed import store as feed

    monkeypatch.setattr(feed.window, "__defaults__", (3,))
    for _ in range(10):
        world.deal(world.service.people.stranger.id)
    world.deal()
    await world.hear()
    await world.work()
    assert len(world.receiver.received) == 1
    found = await world.read()
    assert found["position"] == found["head"]


# -- repairs and replays -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-43", "PL-48")
async def test_a_log_that_is_filled_again_sends_nothing_again(world: World) -> None:
    deal = world.deal()
    world.story.close(deal, "won")
    world.story.reopen(deal)
    await world.hear()
    await world.work()
    assert world.receiver.versions == [1, 2, 3]
    told = [replace(one, sequence=0, stream="") for one in world.story.told]
    for lost in (told[2:3], told):
        async with world.service.database.write(_context()) as session:
            await session.connection.execute("DELETE FROM event_log WHERE id = ANY($1)", [one.id for one in lost])
        async with world.service.database.write(_context()) as session:
            await log.refill(session, told)
        await world.work()
        assert world.receiver.versions == [1, 2, 3]
    found = await world.read()
    assert found["position"] == found["head"]


@pytest.mark.requirement("PL-43", "PL-48")
async def test_what_was_before_the_webhook_is_not_sent_when_the_log_is_filled(world: World) -> None:
    world.story.now = world.service.clock.now() - DAY
    old = world.story.deal(world.service.people.rep.id, world.pipeline)
    told = [replace(one, time=world.service.clock.now() - DAY) for one in world.story.told if one.subject == old.id]
    async with world.service.database.write(_context()) as session:
        await log.refill(session, told)
    await world.work()
    assert world.receiver.received == []


@pytest.mark.requirement("PL-43")
@pytest.mark.parametrize("by", ["event_id", "position", "since"])
async def test_what_was_sent_is_sent_again_when_that_is_asked_for(world: World, by: str) -> None:
    deal = world.deal()
    await world.hear()
    await world.work()
    _later(world, 40 * DAY)
    world.story.close(deal, "won")
    await world.hear()
    await world.work()
    world.story.reopen(deal)
    await world.hear()
    await world.work()
    assert world.receiver.versions == [1, 2, 3]
    place = world.receiver.received[1].event
    asked = {"event_id": place["id"], "position": place["position"], "since": place["time"]}
    answer = await world.rep("POST", f"{world.path}/replay", json={by: asked[by]})
    assert answer.status == 202
    await world.work()
    assert world.receiver.versions == [1, 2, 3, 2, 3]
    assert world.receiver.received[3].id == place["id"]
    await world.work()
    assert len(world.receiver.received) == 5
    # From the start, old as it is: it was asked for.
    await world.rep.done("POST", f"{world.path}/replay", json={"position": 1})
    await world.work()
    assert world.receiver.versions[5:] == [1, 2, 3]
    found = await world.rep.done("GET", f"{world.path}/deliveries/{place['id']}")
    assert (found["state"], found["attempts"]) == ("delivered", 3)


@pytest.mark.requirement("PL-43", "PL-30")
async def test_what_is_sent_again_goes_by_what_the_owner_may_read_now(world: World) -> None:
    deal = world.deal()
    world.deal()
    await world.hear()
    await world.work()
    world.story.transfer(deal, world.service.people.stranger.id)
    await world.hear()
    await world.rep.done("POST", f"{world.path}/replay", json={"position": 1})
    world.receiver.received.clear()
    await world.work()
    assert str(deal.id) not in [one.event["subject"] for one in world.receiver.received]
    assert len(world.receiver.received) == 1


async def test_a_replay_while_something_waits_keeps_the_order(world: World) -> None:
    deal = world.deal()
    await world.hear()
    await world.work()
    world.story.close(deal, "won")
    await world.hear()
    world.receiver.reply = lambda _: FAIL
    await world.work()
    world.receiver.received.clear()
    world.receiver.reply = lambda _: OK
    await world.rep.done("POST", f"{world.path}/replay", json={"position": 1})
    _later(world, HOUR)
    await world.work()
    assert world.receiver.versions == [1, 2]


async def test_an_event_that_the_log_lost_waits_until_it_is_there_again(world: World) -> None:
    world.deal()
    await world.hear()
    world.receiver.reply = lambda _: FAIL
    await world.work()
    world.receiver.received.clear()
    world.receiver.reply = lambda _: OK
    async with world.service.database.write(_context()) as session:
        await session.connection.execute("DELETE FROM event_log")
    _later(world, HOUR)
    await world.work()
    (delivery,) = await world.deliveries()
    assert (delivery["state"], delivery["error"]) == ("pending", "the event is not in the log")
    async with world.service.database.write(_context()) as session:
        await log.refill(session, [replace(one, sequence=0, stream="") for one in world.story.told])
    _later(world, HOUR)
    await world.work()
    assert world.receiver.versions == [1]


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-43")
async def test_after_a_rotation_both_secrets_sign_for_a_day_and_then_the_new_one_alone(world: World) -> None:
    old = world.webhook["secret"]
    new = (await world.rep.done("POST", f"{world.path}/rotate-secret"))["secret"]
    assert new != old

    async def signs() -> tuple[bool, bool]:
        world.receiver.received.clear()
        world.deal()
        await world.hear()
        await world.work()
        (got,) = world.receiver.received
        return got.is_signed_with(new), got.is_signed_with(old)

    assert await signs() == (True, True)
    _later(world, DAY - SECOND)
    assert await signs() == (True, True)
    _later(world, SECOND)
    assert await signs() == (True, False)


async def test_a_secret_that_can_not_be_opened_any_more_ends_it_until_there_is_a_new_one(world: World) -> None:
    world.deal()
    await world.hear()
    async with world.service.database.write(_context()) as session:
        await session.connection.execute("UPDATE webhook SET secret = '\\x00'")
    await world.work()
    found = await world.read()
    assert (found["status"], found["reason"]) == ("disabled", "secret_lost")
    refused = await world.rep("POST", f"{world.path}/test")
    assert (refused.status, refused["code"]) == (409, "webhook.secret_lost")
    new = (await world.rep.done("POST", f"{world.path}/rotate-secret"))["secret"]
    await world.rep.done("PATCH", world.path, json={"status": "active"})
    await world.work()
    (got,) = world.receiver.received
    assert got.is_signed_with(new)
    assert " " not in got.headers["webhook-signature"]


# -- the process -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-43", "PL-41")
async def test_the_workers_part_sends_until_it_is_told_to_stop(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(world.deliverer().run(stop))
    world.deal()
    await world.hear()
    await asyncio.wait_for(world.receiver.arrived.wait(), 10)
    stop.set()
    await asyncio.wait_for(running, 20)
    assert [one["state"] for one in await world.deliveries()] == ["delivered"]


async def test_what_ended_long_ago_is_forgotten_and_what_waits_is_not(world: World) -> None:
    first = world.deal()
    await world.hear()
    await world.work()
    world.receiver.reply = lambda one: FAIL if one.event["subject"] != str(first.id) else OK
    waiting = world.deal()
    await world.hear()
    await world.work()
    await purge_deliveries(world.service.database, world.service.clock.now() + 30 * DAY)
    assert len(await world.deliveries()) == 2
    await purge_deliveries(world.service.database, world.service.clock.now() + 32 * DAY)
    assert [one["subject"] for one in await world.deliveries()] == [str(waiting.id)]
    left = await world.service.rows("SELECT DISTINCT event_id FROM webhook_attempt")
    assert len(left) == 1


async def test_the_deliveries_of_a_deleted_webhook_go_too(world: World) -> None:
    world.deal()
    await world.hear()
    world.receiver.reply = lambda _: FAIL
    await world.work()
    await world.rep.done("DELETE", world.path)
    await purge_deliveries(world.service.database, world.service.clock.now() + 32 * DAY)
    assert await world.service.rows("SELECT 1 FROM webhook_delivery") == []


async def test_a_mistake_in_one_webhook_keeps_none_of_the_others_from_being_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.rep.done("POST", "/webhooks", json={"url": world.receiver.url + "&second", "types": [DEALS]})
    world.deal()
    await world.hear()
    deliverer = world.deliverer()
    message = deliverer._message

    def broken(secrets: Any, *given: Any) -> delivering.Message:
        if len(world.receiver.received) == 0 and not tried:
            tried.append(True)
            raise RuntimeError("a mistake of ours")
        return message(secrets, *given)

    tried: list[bool] = []
    monkeypatch.setattr(deliverer, "_message", broken)
    await deliverer.run_due()
    assert len(world.receiver.received) == 1
    _later(world, rules.LONGEST_REST)
    await deliverer.run_due()
    assert {one.path.endswith("second") for one in world.receiver.received} == {True, False}
