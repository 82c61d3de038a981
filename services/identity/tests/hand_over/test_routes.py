"""Dismissing hands records on: asked for with the dismissal, counted together, resumed, cancelled, seen by who sees the leaver."""

import asyncio
import datetime as dt
import uuid
from typing import Any

import pytest
from services.identity.tests.conftest import Caller, Identity, Organisation

from crm_contracts import Event, billing, customers, registry, sales, support
from crm_contracts.hand_overs import HandOverEvents
from crm_database import WriteContext
from crm_identity.hand_over import actions
from crm_identity.hand_over.actions import HAND_OVER
from crm_identity.hand_over.reactions import part_told
from crm_identity.hand_over.rules import SERVICES
from crm_identity.user import store
from crm_sagas import deadlines
from crm_sagas.rules import FIRST_PATIENCE
from crm_testing.service import envelope

pytestmark = pytest.mark.requirement("ID-6")

PARTS: dict[str, HandOverEvents] = {
    "customers": customers.CUSTOMERS_HAND_OVERS,
    "sales": sales.SALES_HAND_OVERS,
    "billing": billing.BILLING_HAND_OVERS,
    "support": support.SUPPORT_HAND_OVERS,
}


class Answers:
    """What services tell of a hand-over."""

    def __init__(self, identity: Identity, hand_over: str) -> None:
        self.identity = identity
        self.id = hand_over
        self.versions = dict.fromkeys(PARTS, 0)

    async def tell(self, service: str, fact: str = "done", *, attempt: int = 1, moved: int = 1) -> None:
        part, event = PARTS[service], getattr(PARTS[service], fact)
        self.versions[service] += 1
        example = registry.examples[event.type]
        state = {**example["state"], "attempt": attempt, "moved": {f"{part.service}.record": moved}}
        data = {**example, "version": self.versions[service], "state": state}
        await self.hear(event, data)

    async def hear(self, event: type[Event[Any]], data: dict[str, Any]) -> None:
        context = WriteContext(now=self.identity.clock.now(), channel="event")
        async with self.identity.database.write(context) as session:
            await part_told(session, envelope(event, uuid.UUID(self.id), data))


async def dismissed(organisation: Organisation, user: str, **body: Any) -> Any:
    """The hand-over of somebody who is dismissed now."""
    answer = await organisation.admin.post(f"/users/{user}/dismiss", body)
    assert answer.status_code == 200, answer.text
    return (await organisation.admin.get(f"/users/{user}/hand-overs")).json()["items"][0]


async def states(admin: Caller, hand_over: str) -> tuple[str, dict[str, str]]:
    found = (await admin.get(f"/hand-overs/{hand_over}")).json()
    return found["state"], {step["service"]: step["state"] for step in found["steps"]}


async def facts(identity: Identity, hand_over: str) -> list[str]:
    return [event["type"].split(".")[-2] for event in await identity.events("crm.identity.hand-over.%", hand_over)]


async def test_a_dismissal_asks_every_service_and_is_followed_to_its_end(
    identity: Identity, organisation: Organisation
) -> None:
    heir = await organisation.user("lee")
    user = await organisation.user("kim")
    made = await dismissed(organisation, user, successor_id=heir)
    assert (made["user_id"], made["successor_id"], made["state"], made["ended_at"]) == (user, heir, "running", None)
    assert {step["service"]: (step["state"], step["attempt"]) for step in made["steps"]} == dict.fromkeys(
        SERVICES, ("asked", 1)
    )
    (event,) = await identity.events("crm.identity.hand-over.%")
    told = await identity.events("crm.identity.user.changed.v1", user)
    (changed,) = [one for one in told if one["data"]["state"]["status"] == "dismissed"]
    assert event["data"]["state"]["user_epoch"] == changed["data"]["state"]["epoch"]
    assert event["data"]["state"]["asked_by"] == event["data"]["actor"]["id"]

    answers = Answers(identity, made["id"])
    await answers.tell("customers", "progressed", moved=500)
    found = (await organisation.admin.get(f"/hand-overs/{made['id']}")).json()
    (part,) = [step for step in found["steps"] if step["service"] == "customers"]
    assert (part["state"], part["moved"]) == ("asked", {"customers.record": 500})
    for service in SERVICES:
        await answers.tell(service, moved=700)
    state, steps = await states(organisation.admin, made["id"])
    assert (state, set(steps.values())) == ("succeeded", {"done"})
    assert await facts(identity, made["id"]) == ["asked", "finished"]
    again = await organisation.admin.post(f"/hand-overs/{made['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "saga.over")


async def test_the_successor_is_an_active_user_by_default_the_nearest_superior(
    identity: Identity, organisation: Organisation
) -> None:
    boss = await organisation.user("boss")
    chief = await organisation.user("chief", superior=boss)
    for name, superior, expected in (("a", chief, chief), ("b", None, None)):
        user = await organisation.user(name, superior=superior)
        made = await dismissed(organisation, user)
        me = (await organisation.admin.get("/me")).json()["user"]["id"]
        assert made["successor_id"] == (expected or me)
    asleep = await organisation.user("asleep", active=False)
    user = await organisation.user("c", superior=chief)
    for named in (asleep, user, str(uuid.uuid4())):
        refused = await organisation.admin.post(f"/users/{user}/dismiss", {"successor_id": named})
        assert (refused.status_code, refused.json()["code"]) == (422, "hand_over.successor_not_active")
        assert refused.json()["errors"][0]["pointer"] == "/successor_id"
    assert (await organisation.admin.get(f"/users/{user}")).json()["status"] == "active", "nothing half done"
    await organisation.admin.post(f"/users/{chief}/dismiss")
    assert (await dismissed(organisation, user))["successor_id"] == boss


async def test_callers_that_send_no_body_go_on_as_before(organisation: Organisation) -> None:
    user = await organisation.user("kim", active=False)
    answer = await organisation.admin.call("POST", f"/users/{user}/dismiss")
    assert (answer.status_code, answer.json()["status"]) == (200, "dismissed")
    assert len((await organisation.admin.get(f"/users/{user}/hand-overs")).json()["items"]) == 1


async def test_of_two_dismissals_at_once_one_hands_over(identity: Identity, organisation: Organisation) -> None:
    user = await organisation.user("kim")
    answers = await asyncio.gather(*(organisation.admin.post(f"/users/{user}/dismiss") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(await identity.events("crm.identity.hand-over.asked.v1")) == 1


async def test_a_service_that_could_not_is_resumed_with_another_successor(
    identity: Identity, organisation: Organisation
) -> None:
    heir, other = await organisation.user("lee"), await organisation.user("park")
    user = await organisation.user("kim")
    made = await dismissed(organisation, user, successor_id=heir)
    nothing = await organisation.admin.post(f"/hand-overs/{made['id']}/resume")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "saga.nothing_to_resume")
    answers = Answers(identity, made["id"])
    for service in ("customers", "billing", "support"):
        await answers.tell(service)
    await answers.tell("sales", "failed", moved=3)
    failed = (await organisation.admin.get(f"/hand-overs/{made['id']}", accept_language="ko")).json()
    (part,) = [step for step in failed["steps"] if step["service"] == "sales"]
    assert (failed["state"], part["problem"]["code"]) == ("failed", "hand_over.successor_not_active")
    assert part["problem"]["title"] == "후임자가 더 이상 활성 상태가 아닙니다"
    await organisation.admin.post(f"/users/{heir}/dismiss")
    refused = await organisation.admin.post(f"/hand-overs/{made['id']}/resume", {"successor_id": heir})
    assert refused.json()["code"] == "hand_over.successor_not_active"
    stale = await organisation.admin.post(f"/hand-overs/{made['id']}/resume", {}, if_match='"99"')
    assert stale.status_code == 412
    resumed = await organisation.admin.post(f"/hand-overs/{made['id']}/resume", {"successor_id": other})
    assert (resumed.status_code, resumed.json()["state"], resumed.json()["successor_id"]) == (200, "running", other)
    assert resumed.headers["etag"] == f'"{resumed.json()["version"]}"'
    asked = [step["service"] for step in resumed.json()["steps"] if step["state"] == "asked"]
    assert asked == ["sales"]
    (event,) = (await identity.events("crm.identity.hand-over.asked.v1", made["id"]))[1:]
    assert event["data"]["state"]["successor_id"] == other
    await answers.tell("sales", attempt=2, moved=9)
    assert (await states(organisation.admin, made["id"]))[0] == "succeeded"
    assert await facts(identity, made["id"]) == ["asked", "finished", "asked", "finished"]


async def test_cancelled_it_asks_nobody_any_more_and_still_counts(
    identity: Identity, organisation: Organisation
) -> None:
    user = await organisation.user("kim")
    made = await dismissed(organisation, user)
    answers = Answers(identity, made["id"])
    await answers.tell("customers")
    cancelled = await organisation.admin.post(f"/hand-overs/{made['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    await answers.tell("sales", "progressed", moved=42)
    found = (await organisation.admin.get(f"/hand-overs/{made['id']}")).json()
    steps = {step["service"]: (step["state"], step["moved"]) for step in found["steps"]}
    assert steps["customers"][0] == "done"
    assert steps["sales"] == ("cancelled", {"sales.record": 42})
    again = await organisation.admin.post(f"/hand-overs/{made['id']}/cancel")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    over = await organisation.admin.post(f"/hand-overs/{made['id']}/resume")
    assert (over.status_code, over.json()["code"]) == (409, "saga.over")
    assert await facts(identity, made["id"]) == ["asked", "cancelled"]


async def test_who_comes_back_keeps_what_is_left_and_may_leave_again(
    identity: Identity, organisation: Organisation
) -> None:
    user = await organisation.user("kim")
    first = await dismissed(organisation, user)
    assert (await organisation.admin.post(f"/users/{user}/reinstate")).status_code == 200
    assert (await states(organisation.admin, first["id"]))[0] == "cancelled"
    second = await dismissed(organisation, user)
    assert second["id"] != first["id"]
    await Answers(identity, second["id"]).tell("sales", "failed")
    for service in ("customers", "billing", "support"):
        await Answers(identity, second["id"]).tell(service)
    assert (await states(organisation.admin, second["id"]))[0] == "failed"
    assert (await organisation.admin.post(f"/users/{user}/reinstate")).status_code == 200
    assert (await states(organisation.admin, second["id"]))[0] == "cancelled", "else it could be resumed later"
    third = await dismissed(organisation, user)
    answers = Answers(identity, third["id"])
    for service in SERVICES:
        await answers.tell(service)
    assert (await organisation.admin.post(f"/users/{user}/reinstate")).status_code == 200
    assert (await states(organisation.admin, third["id"]))[0] == "succeeded"
    listed = (await organisation.admin.get(f"/users/{user}/hand-overs")).json()["items"]
    assert [one["id"] for one in listed] == [third["id"], second["id"], first["id"]]


async def test_a_service_that_is_silent_is_asked_again(identity: Identity, organisation: Organisation) -> None:
    user = await organisation.user("kim")
    made = await dismissed(organisation, user)
    identity.clock.advance(FIRST_PATIENCE + dt.timedelta(seconds=1))
    await deadlines([HAND_OVER]).run(identity.database, identity.clock.now())
    first, again = await identity.events("crm.identity.hand-over.asked.v1", made["id"])
    assert {step["attempt"] for step in first["data"]["state"]["steps"]} == {1}
    assert {step["attempt"] for step in again["data"]["state"]["steps"]} == {2}
    assert again["data"]["actor"]["kind"] == "system"
    assert again["data"]["origin"]["channel"] == "rule"


async def test_only_the_services_of_this_deployment_are_asked(identity: Identity, organisation: Organisation) -> None:
    heir = await organisation.user("lee")
    for name, deployed, expected in (("a", ["identity", "sales"], [["sales"]]), ("b", ["identity"], [])):
        user = await organisation.user(name)
        async with identity.database.write(WriteContext(now=identity.clock.now())) as session:
            leaver = store.as_user(await store.own(session, uuid.UUID(user)))
            await actions.begin(session, leaver, uuid.UUID(heir), dismissed_by=uuid.UUID(heir), deployed=deployed)
        found = (await organisation.admin.get(f"/users/{user}/hand-overs")).json()["items"]
        assert [[step["service"] for step in one["steps"]] for one in found] == expected


async def test_it_is_seen_by_who_sees_the_leaver_and_changed_by_who_may_change_them(
    identity: Identity, organisation: Organisation
) -> None:
    chief = await organisation.user("chief", "supervisor")
    beside = await organisation.user("beside", "supervisor")
    user = await organisation.user("kim", superior=chief)
    made = await dismissed(organisation, user)
    role = (
        await organisation.admin.post(
            "/roles",
            {
                "name": "Handing over",
                "permissions": ["identity.hand_over:read", "identity.hand_over:resume", "identity.hand_over:cancel"],
                "scopes": {"identity.user": {"read": {"scope": "subordinates"}}},
            },
        )
    ).json()["id"]
    for one in (chief, beside):
        assert (await organisation.admin.patch(f"/users/{one}", {"role_ids": [role]})).status_code == 200
    theirs, others = await identity.login("chief@example.com"), await identity.login("beside@example.com")
    assert [one["id"] for one in (await theirs.get("/hand-overs")).json()["items"]] == [made["id"]]
    assert (await theirs.get(f"/hand-overs/{made['id']}")).status_code == 200
    assert (await theirs.post(f"/hand-overs/{made['id']}/cancel")).json()["code"] == "user.out_of_reach"
    assert (await others.get("/hand-overs")).json()["items"] == []
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/resume")):
        refused = await others.call(method, f"/hand-overs/{made['id']}{path}")
        assert (refused.status_code, refused.json()["code"]) == (404, "hand_over.not_found")
    assert (await others.get(f"/users/{user}/hand-overs")).json()["code"] == "user.not_found"
    assert (await states(organisation.admin, made["id"]))[0] == "running"


async def test_lists_show_what_is_under_way_first(identity: Identity, organisation: Organisation) -> None:
    made = []
    for name in ("a", "b", "c", "d"):
        made.append((await dismissed(organisation, await organisation.user(name)))["id"])
        identity.clock.advance(dt.timedelta(seconds=1))
    for one in (made[1], made[3]):
        assert (await organisation.admin.post(f"/hand-overs/{one}/cancel")).status_code == 200
    found: list[str] = []
    cursor = ""
    while True:
        page = (await organisation.admin.get(f"/hand-overs?limit=1{cursor}")).json()
        found += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == [made[2], made[0], made[3], made[1]]
    running = (await organisation.admin.get("/hand-overs?state=running")).json()["items"]
    assert [one["id"] for one in running] == [made[2], made[0]]
    foreign = await organisation.admin.get(f"/hand-overs?state=failed{cursor}")
    assert foreign.json()["code"] == "cursor.invalid"
