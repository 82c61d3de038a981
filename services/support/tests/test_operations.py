"""What operators do over the API with events that this service could not apply; the same code serves every service."""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from services.support.tests.conftest import told

from crm_authz import Rule
from crm_contracts import Envelope
from crm_contracts.customers import CUSTOMER_EVENTS
from crm_contracts.support import SUPPORT_OPERATIONS
from crm_database import WriteContext, WriteSession
from crm_events import Reaction
from crm_kernel import new_id
from crm_support.app import SERVICE
from crm_support.customer.tables import CUSTOMERS
from crm_testing.service import Caller, Rights, Running, running

LETTERS = "/operations/dead-letters"
GROUP, SECOND = "support.customers", "support.seconds"
ALL = {"*": {"*": Rule("all")}}


@dataclass
class Picky:
    """A group that can't digest chosen versions, and notes in which order it took the others."""

    group: str
    bad: set[int] = field(default_factory=set)

    async def handle(self, session: WriteSession, envelope: Envelope) -> None:
        version = envelope.payload["version"]
        if version in self.bad:
            raise ValueError(f"can't digest {version}")
        await session.connection.execute("INSERT INTO effect (by, version) VALUES ($1, $2)", self.group, version)

    @property
    def reaction(self) -> Reaction:
        return Reaction(self.group, CUSTOMERS.reaction(self.group).topics, self.handle, resync="state")


@dataclass
class Ward:
    """The service with two picky groups, and an operator before it."""

    running: Running
    first: Picky
    second: Picky

    @property
    def operator(self) -> Caller:
        return self.running.caller(self.running.people.administrator)

    def caller(self, *permissions: str, scopes: Any = ALL) -> Caller:
        return self.running.caller(self.running.people.rep, rights=Rights(permissions, scopes))

    async def customer(self, versions: Sequence[int] = (1, 2, 3, 4)) -> list[Envelope]:
        """A customer of whom these versions are told."""
        name, owner = new_id(), self.running.people.rep
        state = {"number": "AACC-2611-0001", "name": "주식회사 예시", "lifecycle": "prospect"}
        made = [told(CUSTOMER_EVENTS, "created" if v == 1 else "changed", name, owner, v, state) for v in versions]
        await self.running.hear(*made)
        return made

    async def done(self, group: str = GROUP) -> list[int]:
        """The versions that a group took, in that order."""
        return [row[0] for row in await self.running.rows("SELECT version FROM effect WHERE by = $1 ORDER BY n", group)]

    async def audit(self) -> list[Any]:
        """What the journal tells of operators."""
        return [event["data"] for event in await self.running.events("crm.support.operation.%")]


@pytest.fixture
async def ward(support_dsn: str) -> AsyncIterator[Ward]:
    first, second = Picky(GROUP), Picky(SECOND)
    service = replace(SERVICE, reactions=[first.reaction, second.reaction])
    async with running(service, support_dsn) as found:
        async with found.database.write(WriteContext(now=found.clock.now())) as session:
            await session.connection.execute(
                "CREATE TABLE effect (n int GENERATED ALWAYS AS IDENTITY, by text NOT NULL, version int NOT NULL)"
            )
        yield Ward(found, first, second)


@pytest.mark.requirement("PL-44", "PL-51")
async def test_a_retried_dead_letter_is_applied_and_then_what_was_parked_behind_it_in_order(ward: Ward) -> None:
    ward.first.bad = {2}
    _, bad, *_ = await ward.customer()
    await ward.customer([1, 3])
    assert await ward.done() == [1, 1, 3], "another customer's go on"
    (letter,) = (await ward.operator.done("GET", LETTERS))["items"]
    assert (letter["event_id"], letter["group"], letter["state"]) == (str(bad.id), GROUP, "waiting")
    assert (letter["reason"], letter["attempts"], letter["parked"]) == ("ValueError: can't digest 2", 3, 2)
    whole = await ward.operator.done("GET", f"{LETTERS}/{bad.id}")
    (detail,) = whole["letters"]
    assert detail["subject_id"] == str(bad.subject)
    assert "Traceback" in detail["trace"]
    assert detail["headers"]["ce_type"] == "crm.customers.customer.changed.v1"
    assert detail["data"]["state"]["name"] == "주식회사 예시"
    (standing,) = [
        one for one in (await ward.operator.done("GET", "/operations/consumers"))["items"] if one["group"] == GROUP
    ]
    assert (standing["watermark"], standing["blocked"], standing["parked"], standing["lag"]) == (6, 1, 2, None)

    # Too early: it fails again, and nothing of the record overtakes it.
    asked = await ward.operator("POST", f"{LETTERS}/{bad.id}/retry", json={})
    assert (asked.status, asked.body) == (202, {"event_id": str(bad.id), "state": "retry", "groups": [GROUP]})
    assert asked.headers["location"] == f"/api/support/v1{LETTERS}/{bad.id}"
    assert (await ward.operator.done("GET", f"{LETTERS}/{bad.id}"))["letters"][0]["state"] == "retry"
    again = await ward.operator("POST", f"{LETTERS}/{bad.id}/retry", json={})
    assert (again.status, again["code"]) == (409, "dead_letter.not_waiting")
    assert await ward.running.settle_letters() == 0
    (letter,) = (await ward.operator.done("GET", LETTERS))["items"]
    assert (letter["state"], letter["attempts"]) == ("waiting", 4)
    assert await ward.done() == [1, 1, 3]

    ward.first.bad.clear()
    await ward.operator.done("POST", f"{LETTERS}/{bad.id}/retry", json={"reason": "The reaction was corrected"})
    assert await ward.running.settle_letters() == 1
    assert await ward.done() == [1, 1, 3, 2, 3, 4]
    assert (await ward.operator.done("GET", LETTERS))["items"] == []
    (settled,) = (await ward.operator.done("GET", LETTERS, params={"state": "retried"}))["items"]
    assert settled["settled_at"] is not None
    assert [data["state"]["reason"] for data in await ward.audit()] == [None, "The reaction was corrected"]


@pytest.mark.requirement("PL-44")
async def test_an_act_and_its_event_are_one_and_say_who_asked_for_what_and_why(ward: Ward) -> None:
    ward.first.bad = {2}
    (_, bad) = await ward.customer([1, 2])
    body = {"group": GROUP, "reason": "  The record is gone  "}
    once = {"json": body, "headers": {"idempotency-key": "discard-1"}}
    for _ in range(2):
        assert (await ward.operator("POST", f"{LETTERS}/{bad.id}/discard", **once)).status == 202
    (event,) = await ward.running.events("crm.support.operation.%")
    read = SUPPORT_OPERATIONS.performed.model_validate(event["data"])
    administrator = ward.running.people.administrator.id
    assert (read.actor.kind, read.actor.id, read.state.asked_by) == ("user", administrator, administrator)
    assert (read.state.kind, read.state.groups, read.state.reason) == (
        "dead_letter.discard",
        [GROUP],
        "The record is gone",
    )
    assert (read.state.event_id, read.state.event_type, read.state.subject_id) == (bad.id, bad.type, bad.subject)
    (row,) = await ward.running.rows("SELECT * FROM operation")
    assert (row["id"], row["version"], row["kind"], row["event_id"]) == (
        event["subject"],
        1,
        "dead_letter.discard",
        bad.id,
    )


async def test_a_discarded_dead_letter_is_never_applied_and_lets_the_facts_behind_it_go_on(ward: Ward) -> None:
    ward.first.bad = {2}
    _, bad, *_ = await ward.customer()
    for body in ({}, {"reason": ""}, {"reason": "   "}):
        refused = await ward.operator("POST", f"{LETTERS}/{bad.id}/discard", json=body)
        assert (refused.status, [pointer for pointer, _ in refused.codes]) == (422, ["/reason"])
    await ward.operator.done("POST", f"{LETTERS}/{bad.id}/discard", json={"reason": "never right"})
    ward.first.bad.clear()
    assert await ward.running.settle_letters() == 1
    assert await ward.done() == [1, 3, 4]
    (letter,) = (await ward.operator.done("GET", f"{LETTERS}/{bad.id}"))["letters"]
    assert letter["state"] == "discarded"


async def test_two_groups_letters_of_an_event_are_shown_together_and_settled_one_by_one(ward: Ward) -> None:
    ward.first.bad = ward.second.bad = {1}
    (bad,) = await ward.customer([1])
    letters = (await ward.operator.done("GET", f"{LETTERS}/{bad.id}"))["letters"]
    assert [letter["group"] for letter in letters] == [GROUP, SECOND]
    ward.first.bad = ward.second.bad = set()
    done = await ward.operator.done("POST", f"{LETTERS}/{bad.id}/retry", json={"group": SECOND})
    assert done["groups"] == [SECOND]
    assert await ward.running.settle_letters() == 1
    assert (await ward.done(), await ward.done(SECOND)) == ([], [1])
    stranger = await ward.operator("POST", f"{LETTERS}/{bad.id}/retry", json={"group": "support.directory"})
    assert (stranger.status, stranger["code"]) == (404, "dead_letter.not_found")
    assert len(await ward.audit()) == 1


async def test_dead_letters_are_listed_newest_first_in_pages_by_state_group_and_type(ward: Ward) -> None:
    ward.first.bad, ward.second.bad = {1, 2}, {1}
    made = []
    for _ in range(3):
        made += await ward.customer([1])
    made += await ward.customer([2])

    async def listed(**params: Any) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await ward.operator.done("GET", LETTERS, params={"limit": 2, **params, **cursor})
            found += [(one["event_id"], one["group"]) for one in page["items"]]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    everything = await listed()
    # The clock stands still: what failed at the same instant is ordered by event and group.
    expected = [(str(e.id), g) for e in made for g in (GROUP, SECOND) if g == GROUP or e is not made[3]]
    assert everything == sorted(expected, reverse=True)
    assert await listed(group=SECOND) == [one for one in everything if one[1] == SECOND]
    assert await listed(type="crm.customers.customer.changed.v1") == [(str(made[3].id), GROUP)]
    assert await listed(state="discarded") == []
    await ward.operator.done("POST", f"{LETTERS}/{made[0].id}/discard", json={"reason": "x"})
    assert len(await listed(state="discard")) == 2
    assert len(await listed(state="waiting")) == 5
    cursor = (await ward.operator.done("GET", LETTERS, params={"limit": 1}))["next"]
    other = await ward.operator("GET", LETTERS, params={"limit": 1, "cursor": cursor, "group": GROUP})
    assert (other.status, other["code"]) == (422, "cursor.invalid")
    assert (await ward.operator("GET", LETTERS, params={"state": "odd"})).status == 422


async def test_an_event_that_nobody_buried_is_not_found(ward: Ward) -> None:
    (fine,) = await ward.customer([1])
    for event in (fine.id, uuid.uuid4()):
        for method, path, body in (
            ("GET", f"{LETTERS}/{event}", None),
            ("POST", f"{LETTERS}/{event}/retry", {}),
            ("POST", f"{LETTERS}/{event}/discard", {"reason": "x"}),
        ):
            answer = await ward.operator(method, path, json=body)
            assert (answer.status, answer["code"]) == (404, "dead_letter.not_found"), path
    assert (await ward.operator("GET", f"{LETTERS}/x")).codes[0][0] == "path:event_id"
    assert await ward.audit() == []


@pytest.mark.requirement("PL-30", "PL-44")
async def test_who_lacks_the_permission_or_reaches_less_than_everything_sees_and_does_nothing(ward: Ward) -> None:
    ward.first.bad = {1}
    (bad,) = await ward.customer([1])
    looks = [("GET", LETTERS, None), ("GET", f"{LETTERS}/{bad.id}", None)]
    looks += [("GET", "/operations/consumers", None), ("GET", "/operations/resyncs", None)]
    acts = [("POST", f"{LETTERS}/{bad.id}/retry", {}), ("POST", f"{LETTERS}/{bad.id}/discard", {"reason": "x"})]
    acts += [("POST", "/operations/resyncs", {})]
    people = ward.running.people
    # No shipped role but the super administrator's may: not even the executive's, who reads all records.
    ordinary = [ward.running.caller(one) for one in people.all if one not in (people.administrator, people.leaver)]
    ordinary.append(ward.caller("support.*:read", "support.ticket:*"))
    for caller in ordinary:
        for method, path, body in (*looks, *acts):
            answer = await caller(method, path, json=body)
            assert (answer.status, answer["code"]) == (403, "permission.missing"), path
    inspector = ward.caller("support.operations:inspect")
    for method, path, body in looks:
        assert (await inspector(method, path, json=body)).status == 200, path
    for method, path, body in acts:
        answer = await inspector(method, path, json=body)
        assert (answer.status, answer["permission"]) == (403, "support.operations:repair"), path
    for rule in ("self", "subordinates", "department_tree"):
        caller = ward.caller("support.operations:*", scopes={"*": {"*": Rule(rule)}})
        for method, path, body in (*looks, *acts):
            answer = await caller(method, path, json=body)
            assert (answer.status, answer["code"]) == (403, "operations.everything_needed"), path
    # Who reads everything does not repair by that.
    reader = ward.caller("support.operations:*", scopes={"*": {"read": Rule("all"), "write": Rule("self")}})
    assert (await reader("GET", LETTERS)).status == 200
    assert (await reader(*acts[0][:2], json={}))["code"] == "operations.everything_needed"
    (row,) = await ward.running.rows("SELECT state FROM dead_letter")
    assert row["state"] == "waiting"
    assert await ward.audit() == []


async def test_resyncs_are_asked_for_shown_and_told_of(ward: Ward) -> None:
    topic = "crm.customers.customer"
    body = {"groups": [GROUP], "since": "2026-01-01T00:00:00Z", "reason": "A row was removed by hand"}
    asked = await ward.operator("POST", "/operations/resyncs", json=body)
    assert (asked.status, asked["groups"], asked["topics"]) == (202, [GROUP], [topic])
    (shown,) = (await ward.operator.done("GET", "/operations/resyncs"))["items"]
    assert [shown["id"]] == asked["requests"]
    assert (shown["group"], shown["topic"], shown["kind"], shown["state"]) == (GROUP, topic, "state", "asked")
    (told_of,) = await ward.audit()
    assert told_of["state"]["kind"] == "resync"
    assert told_of["state"]["requests"] == asked["requests"]
    assert (told_of["state"]["reason"], told_of["state"]["topics"]) == (body["reason"], [topic])
    for wrong, pointer in (
        ({"groups": ["support.nobody"]}, ""),
        ({"topics": ["crm.support.ticket"]}, ""),
        ({"since": "1969-01-01T00:00:00Z"}, "/since"),
    ):
        refused = await ward.operator("POST", "/operations/resyncs", json=wrong)
        assert (refused.status, refused.codes) == (422, [(pointer, "resync.nothing_to_ask")])
    assert len(await ward.audit()) == 1
    # Everything that takes one: the directory's replica too.
    everything = await ward.operator.done("POST", "/operations/resyncs", json={})
    assert everything["groups"] == ["support.contacts", GROUP, "support.directory"]
