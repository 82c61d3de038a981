"""From submission to the decision, over HTTP and on a real database."""

import datetime as dt
import uuid

import pytest

from .conftest import World


@pytest.mark.requirement("BI-2", "BI-15")
async def test_the_superior_approves_what_was_frozen_and_the_record_follows(world: World) -> None:
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    given = await rep.submits("Chairs", sum=500)
    seen = await manager("GET", given.path)
    assert (seen.status, seen.headers["etag"], seen["version"]) == (200, '"1"', 1)
    assert seen["snapshot"] == {"name": "Chairs", "sum": 500, "owner": str(world.rep), "on": "2026-11-23"}
    assert (seen["title"], seen["comment"], seen["status"]) == ("Chairs", "Please", "pending")
    assert seen["steps"][0]["approvers"] == [str(world.manager)]
    # The manager's scope reaches nobody's memos: to decide on one is not to own it.
    assert (await manager("GET", f"/memos/{given.memo_id}")).status == 404

    done = await manager.decides(given, "approve", "  Fine ", match='"1"')
    assert (done.status, done["status"], done["version"], done.headers["etag"]) == (200, "approved", 2, '"2"')
    step = done["steps"][0]
    assert (step["decided_by"], step["decision"], step["comment"]) == (str(world.manager), "approve", "Fine")
    assert step["decided_at"] == done["ended_at"] == "2026-11-23T03:00:00Z"
    assert (await rep("GET", f"/memos/{given.memo_id}"))["status"] == "in_force"
    assert await world.facts() == [(1, "submitted"), (2, "approved")]
    assert (await manager("GET", given.path)).body == done.body


@pytest.mark.requirement("BI-14")
async def test_a_rejection_says_why_and_the_record_is_a_draft_again(world: World) -> None:
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    given = await rep.submits()
    for comment in (None, "", "  "):
        refused = await manager.decides(given, "reject", comment)
        assert refused.outcome == (422, "approval.comment_needed")
        assert refused["errors"][0]["pointer"] == "/comment"
    done = await manager.decides(given, "reject", "Too dear")
    assert (done["status"], done["steps"][0]["comment"]) == ("rejected", "Too dear")
    assert (await rep("GET", f"/memos/{given.memo_id}"))["status"] == "draft"
    assert await world.facts() == [(1, "submitted"), (2, "rejected")]
    again = await rep("POST", f"/memos/{given.memo_id}/submit")
    assert again.status == 200
    assert again["id"] != given.id


@pytest.mark.requirement("BI-14")
@pytest.mark.parametrize("by", ["approval", "record"])
async def test_who_submitted_takes_it_back_until_it_is_decided(world: World, by: str) -> None:
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    given = await rep.submits()
    path = f"{given.path}/withdraw" if by == "approval" else f"/memos/{given.memo_id}/withdraw"
    assert (await manager("POST", path)).outcome == (403, "approval.not_submitter")
    # By the record, who sees it (here: everybody) is told so; by the approval, a stranger learns nothing.
    stranger = await world.caller(world.director)("POST", path)
    assert stranger.outcome == ((404, "record.not_found") if by == "approval" else (403, "approval.not_submitter"))
    done = await rep("POST", path)
    assert (done.status, done["status"]) == (200, "withdrawn")
    assert (await rep("GET", f"/memos/{given.memo_id}"))["status"] == "draft"
    late = await manager.decides(given, "approve")
    assert (late.outcome, late["code"], late.body["status"]) == ((409, "approval.decided"), "approval.decided", 409)
    twice = await rep("POST", path)
    assert twice.outcome == (409, "approval.decided" if by == "approval" else "approval.not_pending")
    assert await world.facts() == [(1, "submitted"), (2, "withdrawn")]


@pytest.mark.requirement("BI-14")
@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_nobody_decides_on_their_own(world: World, verb: str) -> None:
    rep = world.caller(world.rep)
    given = await rep.submits()
    assert (await rep.decides(given, verb, "Of course")).outcome == (403, "approval.own")
    # Whoever owns it by now.
    await world.change("UPDATE memo SET owner_id = $1, version = version + 1", world.colleague)
    assert (await rep.decides(given, verb, "Of course")).outcome == (403, "approval.own")
    boss = world.caller(world.boss)
    own = await boss.submits("The boss's")
    assert (await boss.decides(own, verb, "Of course")).outcome == (403, "approval.own")
    assert (await world.caller(world.deputy).decides(own, "approve")).status == 200


@pytest.mark.requirement("BI-14")
@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_a_second_decision_is_refused_and_changes_nothing(world: World, verb: str) -> None:
    given = await world.caller(world.orphan).submits()
    first = await world.caller(world.boss).decides(given, "reject", "No")
    assert first.status == 200
    for user in (world.boss, world.deputy):
        refused = await world.caller(user).decides(given, verb, "But yes")
        assert refused.outcome == (409, "approval.decided")
    assert (await world.caller(world.orphan)("POST", f"{given.path}/withdraw")).outcome == (409, "approval.decided")
    assert (await world.caller(world.deputy)("GET", given.path)).body == first.body
    assert await world.facts() == [(1, "submitted"), (2, "rejected")]


@pytest.mark.requirement("BI-2", "BI-10")
async def test_without_an_active_superior_the_super_administrators_approve_but_never_their_own(world: World) -> None:
    both = {world.boss, world.deputy}
    assert await world.approvers_for(world.orphan) == both
    assert await world.approvers_for(world.director) == both
    assert await world.approvers_for(world.boss) == {world.deputy}
    assert await world.approvers_for(world.rep) == {world.manager}


@pytest.mark.requirement("BI-2", "BI-10")
async def test_the_nearest_superior_who_is_there_and_may_decide_is_asked(world: World) -> None:
    await world.tell(world.manager, role_ids=[])
    assert await world.approvers_for(world.rep) == {world.director}
    await world.tell(world.manager, role_ids=[world.role], status="on_leave")
    assert await world.approvers_for(world.rep) == {world.director}
    await world.tell(world.director, role_ids=[])
    assert await world.approvers_for(world.rep) == {world.boss, world.deputy}
    # A circle, as a broken event could tell of one, ends.
    await world.tell(world.director, superior_id=world.manager)
    assert await world.approvers_for(world.rep) == {world.boss, world.deputy}
    await world.tell(world.manager, status="active")
    assert await world.approvers_for(world.rep) == {world.manager}
    assert await world.approvers_for(world.manager) == {world.boss, world.deputy}


@pytest.mark.requirement("BI-2")
async def test_where_nobody_could_approve_nothing_is_submitted(world: World) -> None:
    await world.change("UPDATE directory_user SET super_admin = false, changed_at_version = 99")
    await world.change("UPDATE directory_version SET version = 99")
    world.clock.advance(dt.timedelta(seconds=5))
    director = world.caller(world.director)
    made = await director("POST", "/memos", json={"name": "Alone"})
    refused = await director("POST", f"/memos/{made['id']}/submit")
    assert refused.outcome == (409, "approval.no_approver")
    assert (await director("GET", f"/memos/{made['id']}"))["status"] == "draft"
    assert await world.facts() == []


@pytest.mark.requirement("BI-15")
async def test_what_waits_for_approval_is_neither_changed_nor_submitted_again(world: World) -> None:
    rep = world.caller(world.rep)
    given = await rep.submits("Chairs")
    path = f"/memos/{given.memo_id}"
    assert (await rep("PATCH", path, json={"name": "Tables"})).outcome == (409, "approval.pending")
    assert (await rep("POST", f"{path}/submit")).outcome == (409, "approval.pending")
    assert (await rep("GET", path))["name"] == "Chairs"
    await world.caller(world.manager).decides(given, "reject", "No")
    assert (await rep("PATCH", path, json={"name": "Tables"})).status == 200


@pytest.mark.requirement("BI-15")
async def test_a_record_that_changed_behind_the_back_is_not_approved_and_is_submitted_again(world: World) -> None:
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    given = await rep.submits("Chairs", sum=500)
    await world.change("UPDATE memo SET name = 'Yachts', sum = 8999, version = version + 1")
    refused = await manager.decides(given, "approve")
    assert (refused.outcome, refused["differing"]) == ((409, "approval.snapshot_changed"), ["name", "sum"])
    seen = await manager("GET", given.path)
    assert (seen["status"], seen["version"], seen["snapshot"]["name"]) == ("pending", 1, "Chairs")
    assert (await rep("GET", f"/memos/{given.memo_id}"))["status"] == "waiting"
    assert await world.facts() == [(1, "submitted")]
    assert (await rep("POST", f"{given.path}/withdraw")).status == 200
    again = await rep("POST", f"/memos/{given.memo_id}/submit")
    done = await manager("POST", f"/approvals/{again['id']}/approve", json={})
    assert (done.status, done["status"], done["snapshot"]["name"]) == (200, "approved", "Yachts")


@pytest.mark.requirement("BI-15")
async def test_what_changed_behind_the_back_can_be_rejected_as_it_was_submitted(world: World) -> None:
    given = await world.caller(world.rep).submits("Chairs", sum=500)
    await world.change("UPDATE memo SET name = 'Yachts', version = version + 1")
    done = await world.caller(world.manager).decides(given, "reject", "No")
    assert done["snapshot"] == {"name": "Chairs", "sum": 500, "owner": str(world.rep), "on": "2026-11-23"}
    assert done["steps"][0]["decided_on_digest"] == done["snapshot_digest"] == given.digest
    stored = await world.rows("SELECT decided_on_digest FROM approval_step")
    assert [row["decided_on_digest"] for row in stored] == [given.digest]


@pytest.mark.requirement("BI-15", "ID-5")
async def test_what_does_not_count_may_have_changed_at_the_approval(world: World) -> None:
    """Another day, and another owner: who leaves hands over also what waits."""
    given = await world.caller(world.rep).submits("Chairs", sum=500)
    await world.change("UPDATE memo SET owner_id = $1, version = version + 1", world.colleague)
    world.clock.advance(dt.timedelta(days=2))
    done = await world.caller(world.manager).decides(given, "approve")
    assert (done.status, done["snapshot"]["owner"], done["snapshot"]["on"]) == (200, str(world.rep), "2026-11-23")


@pytest.mark.requirement("BI-14")
@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_nobody_decides_on_a_record_that_is_theirs_by_now(world: World, verb: str) -> None:
    """The manager gets the memo while it waits: neither submitted nor owned it when it was submitted."""
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    given = await rep.submits()
    await world.change("UPDATE memo SET owner_id = $1, version = version + 1", world.manager)
    assert (await manager.decides(given, verb, "Mine")).outcome == (403, "approval.own")
    assert await world.facts() == [(1, "submitted")]
    await world.change("UPDATE memo SET owner_id = NULL, version = version + 1")
    assert (await manager.decides(given, verb, "Nobody's")).status == 200


@pytest.mark.requirement("BI-14")
async def test_the_owner_of_what_another_submits_does_not_decide_on_it(world: World) -> None:
    """The manager's memo, submitted by the representative, who shares in it: the manager's superior decides."""
    manager = world.caller(world.manager)
    made = await manager("POST", "/memos", json={"name": "The manager's"})
    path = f"/memos/{made['id']}"
    assert (await manager("PUT", f"{path}/members/{world.rep}", json={"right": "write"})).status == 200
    submitted = await world.caller(world.rep)("POST", f"{path}/submit")
    assert (submitted.status, submitted["approvers"]) == (200, [str(world.director)])
    assert (await manager("GET", f"/approvals/{submitted['id']}")).status == 404
    # Of an administrator's own, the other one is asked.
    boss = world.caller(world.boss)
    made = await boss("POST", "/memos", json={"name": "The boss's"})
    await boss("PUT", f"/memos/{made['id']}/members/{world.orphan}", json={"right": "write"})
    submitted = await world.caller(world.orphan)("POST", f"/memos/{made['id']}/submit")
    assert submitted["approvers"] == [str(world.deputy)]


async def test_when_the_reaction_refuses_nothing_is_decided(world: World) -> None:
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    given = await rep.submits("A yacht", sum=9500)
    assert (await manager.decides(given, "approve")).outcome == (409, "memo.no_money")
    seen = await manager("GET", given.path)
    assert (seen["status"], seen["version"], seen["steps"][0]["decision"]) == ("pending", 1, None)
    assert await world.facts() == [(1, "submitted")]
    assert (await manager.decides(given, "reject", "No money")).status == 200


@pytest.mark.requirement("PL-7")
async def test_a_decision_about_another_version_is_refused(world: World) -> None:
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    given = await rep.submits()
    for path in ("approve", "reject"):
        assert (await manager.decides(given, path, "Why", match='"7"')).outcome == (412, "record.stale")
    assert (await rep("POST", f"{given.path}/withdraw", match='"7"')).outcome == (412, "record.stale")
    assert await world.facts() == [(1, "submitted")]


@pytest.mark.requirement("BI-14", "PL-30")
async def test_for_everybody_else_the_approval_does_not_exist(world: World) -> None:
    given = await world.caller(world.rep).submits()
    nowhere = f"/approvals/{uuid.uuid4()}"
    # The superior's superior and the super administrators have no part in it either.
    for user in (world.colleague, world.director, world.boss):
        stranger = world.caller(user)
        for method, verb in (("GET", ""), ("POST", "/approve"), ("POST", "/reject"), ("POST", "/withdraw")):
            body = {"json": {"comment": "Mine"}} if verb in ("/approve", "/reject") else {}
            for match in (None, '"7"'):
                answer = await stranger(method, given.path + verb, match=match, **body)
                unknown = await stranger(method, nowhere + verb, match=match, **body)
                assert answer.outcome == unknown.outcome == (404, "record.not_found")
                assert {**answer.body, "trace_id": ""} == {**unknown.body, "trace_id": ""}
    assert await world.facts() == [(1, "submitted")]


async def test_each_operation_needs_its_permission(world: World) -> None:
    given = await world.caller(world.rep).submits()
    reader = world.caller(world.manager, "office.approval:read")
    decider = world.caller(world.manager, "office.approval:decide")
    assert (await reader("GET", given.path)).status == 200
    assert (await reader.decides(given, "approve")).outcome == (403, "permission.missing")
    assert (await decider("GET", given.path)).outcome == (403, "permission.missing")
    assert (await decider("GET", "/approvals", params={"role": "decided"})).outcome == (403, "permission.missing")
    assert (await decider.decides(given, "approve")).status == 200


@pytest.mark.requirement("PL-8")
async def test_a_decision_that_is_repeated_with_its_key_is_made_once(world: World) -> None:
    given = await world.caller(world.rep).submits()
    manager = world.caller(world.manager)
    key = {"idempotency-key": "once"}
    first = await manager.decides(given, "approve", headers=key)
    again = await manager.decides(given, "approve", headers=key)
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert await world.facts() == [(1, "submitted"), (2, "approved")]


@pytest.mark.parametrize("body", [{"comment": "x" * 2001}, {"comment": 7}, {"why": "x"}, [], {"comment": "a\u0000b"}])
async def test_bad_input_decides_nothing(world: World, body: object) -> None:
    given = await world.caller(world.rep).submits()
    manager = world.caller(world.manager)
    for verb in ("approve", "reject"):
        answer = await manager("POST", f"{given.path}/{verb}", json=body)
        assert answer.status in (400, 422), answer.body
    assert (await manager("GET", "/approvals/nonsense")).status in (400, 404, 422)
    assert await world.facts() == [(1, "submitted")]


@pytest.mark.requirement("BI-15")
async def test_events_tell_the_approval_and_of_what_was_submitted_only_the_digest(world: World) -> None:
    given = await world.caller(world.rep).submits("Chairs", sum=4321)
    await world.caller(world.manager).decides(given, "reject", "Too dear")
    rows = await world.rows("SELECT * FROM journal WHERE topic = 'crm.office.approval' ORDER BY event_id")
    submitted, rejected = (row["data"] for row in rows)
    assert [row["subject"] for row in rows] == [uuid.UUID(given.id)] * 2
    state = submitted["state"]
    assert (state["subject_type"], state["subject_id"], state["status"]) == ("office.memo", given.memo_id, "pending")
    assert (state["snapshot_digest"], state["submitted_by"]) == (given.digest, str(world.rep))
    assert "snapshot" not in state
    assert "4321" not in str([submitted, rejected])
    assert rejected["changes"] == {"status": {"old": "pending", "new": "rejected"}}
    assert rejected["actor"]["id"] == str(world.manager)
    step = rejected["state"]["steps"][0]
    assert (step["decision"], step["comment"], step["decided_on_digest"]) == ("reject", "Too dear", given.digest)
    for data in (submitted, rejected):
        assert data["access"]["owner_id"] == data["credit"]["user_id"] == str(world.rep)
        assert [member["user_id"] for member in data["access"]["members"]] == [str(world.manager)]
