import asyncio
import datetime as dt

import pytest
from services.identity.tests.conftest import ADMIN, PASSWORD, Caller, Identity, Organisation

SECOND = dt.timedelta(seconds=1)


async def exchange(caller: Caller, token: str, **more: str) -> int:
    form = {"grant_type": "refresh_token", "refresh_token": token, **more}
    return (await caller.client.post("/oauth/token", data=form)).status_code


@pytest.mark.requirement("ID-23")
async def test_a_refresh_token_that_comes_again_too_late_ends_the_session(identity: Identity, admin: Caller) -> None:
    stolen = admin.tokens["refresh_token"]
    assert (await admin.refresh()).status_code == 200
    await identity.pass_time(11 * SECOND)
    assert await exchange(admin, stolen) == 400
    # Thief and holder are out, with all that they had.
    assert await exchange(admin, admin.tokens["refresh_token"]) == 400
    assert (await admin.get("/me")).json()["code"] == "token.stale"
    ended = await identity.events("crm.identity.session.ended.v1")
    assert [event["data"]["state"]["reason"] for event in ended] == ["refresh_reuse"]


@pytest.mark.requirement("ID-23")
async def test_within_the_grace_a_repetition_is_answered(identity: Identity, admin: Caller) -> None:
    first = admin.tokens["refresh_token"]
    answers = await asyncio.gather(*(exchange(admin, first) for _ in range(8)))
    assert answers == [200] * 8
    await identity.pass_time(10 * SECOND)
    assert await exchange(admin, first) == 200


@pytest.mark.requirement("ID-23")
async def test_parallel_reuse_after_the_grace_revokes_every_time(identity: Identity) -> None:
    for _ in range(5):
        caller = await identity.login()
        old = caller.tokens["refresh_token"]
        assert (await caller.refresh()).status_code == 200
        await identity.pass_time(11 * SECOND)
        new = caller.tokens["refresh_token"]
        await asyncio.gather(exchange(caller, old), exchange(caller, new), exchange(caller, old))
        assert await exchange(caller, new) == 400
        session = await identity.value("SELECT count(*) FROM login_session WHERE ended_at IS NULL")
        assert session == 0


@pytest.mark.requirement("ID-23")
async def test_a_session_ends_when_it_is_not_used_and_at_the_latest_after_a_month(identity: Identity) -> None:
    idle = await identity.login()
    await identity.pass_time(dt.timedelta(days=7))
    assert (await idle.refresh()).status_code == 400
    busy = await identity.login()
    for _ in range(5):
        await identity.pass_time(dt.timedelta(days=5))
        assert (await busy.refresh()).status_code == 200
    await identity.pass_time(dt.timedelta(days=5))
    assert (await busy.refresh()).status_code == 400


@pytest.mark.requirement("ID-5")
async def test_only_active_users_refresh_even_if_a_session_were_left_open(
    identity: Identity, organisation: Organisation
) -> None:
    user = await organisation.user("kim")
    kim = await identity.login("kim@example.com")
    await identity.execute("UPDATE app_user SET status = 'inactive' WHERE id = $1", user)
    assert (await kim.refresh()).status_code == 400
    assert (await identity.token("kim@example.com")).status_code == 400
    await identity.execute("UPDATE app_user SET status = 'active' WHERE id = $1", user)
    assert (await kim.refresh()).status_code == 200


async def test_another_client_can_not_use_the_token(admin: Caller) -> None:
    assert await exchange(admin, admin.tokens["refresh_token"], client_id="console") == 400
    assert await exchange(admin, admin.tokens["refresh_token"]) == 200


async def test_refresh_tokens_are_not_in_the_database(identity: Identity, admin: Caller) -> None:
    found = await identity.value(
        "SELECT count(*) FROM refresh_token WHERE token_hash = $1", admin.tokens["refresh_token"].encode()
    )
    assert found == 0
    assert await identity.value("SELECT min(length(token_hash)) FROM refresh_token") == 32


@pytest.mark.requirement("ID-24")
async def test_logging_out_ends_the_session_at_once(identity: Identity, admin: Caller) -> None:
    other = await identity.login()
    assert (await admin.get("/me")).status_code == 200
    assert (await admin.call("POST", "/oauth/logout")).status_code == 204
    await admin.until_stale()
    assert (await admin.refresh()).status_code == 400
    assert (await other.get("/me")).status_code == 200


@pytest.mark.requirement("ID-20")
async def test_revoking_either_token_ends_the_session_and_unknown_ones_are_answered_alike(identity: Identity) -> None:
    for kind in ("refresh_token", "access_token"):
        caller = await identity.login()
        for token in ("unknown", "a.b.c", caller.tokens[kind]):
            answer = await identity.client.post("/oauth/revoke", data={"token": token, "token_type_hint": kind})
            assert (answer.status_code, answer.json()) == (200, {})
        assert (await caller.refresh()).status_code == 400
    missing = await identity.client.post("/oauth/revoke", data={})
    assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")


@pytest.mark.requirement("ID-23")
async def test_one_sees_and_ends_ones_own_sessions_and_an_administrator_anyones(
    identity: Identity, organisation: Organisation
) -> None:
    user = await organisation.user("kim", "sales_representative")
    first, second = await identity.login("kim@example.com"), await identity.login("kim@example.com")
    sessions = (await first.get("/sessions")).json()["items"]
    assert sorted(session["current"] for session in sessions) == [False, True]
    foreign = (await organisation.admin.get("/sessions")).json()["items"][0]["id"]
    assert (await first.delete(f"/sessions/{foreign}")).status_code == 404
    other = next(session["id"] for session in sessions if not session["current"])
    assert (await first.delete(f"/sessions/{other}")).status_code == 204
    assert (await second.refresh()).status_code == 400
    assert (await first.delete(f"/users/{user}/sessions")).status_code == 403
    assert len((await organisation.admin.get(f"/users/{user}/sessions")).json()["items"]) == 1
    assert (await organisation.admin.delete(f"/users/{user}/sessions")).status_code == 204
    assert (await first.refresh()).status_code == 400


@pytest.mark.requirement("ID-24")
async def test_a_new_password_ends_the_other_sessions_and_this_one_refreshes(
    identity: Identity, organisation: Organisation
) -> None:
    await organisation.user("kim", "sales_representative")
    here, elsewhere = await identity.login("kim@example.com"), await identity.login("kim@example.com")

    async def change(current: str, new: str) -> tuple[int, str]:
        answer = await here.post("/me/password", {"current_password": current, "new_password": new})
        return answer.status_code, answer.json()["code"] if answer.content else ""

    assert await change("wrong one", "another good one") == (403, "password.wrong")
    assert await change(PASSWORD, "password") == (422, "password.unacceptable")
    assert await change(PASSWORD, "another good one") == (204, "")
    assert (await elsewhere.refresh()).status_code == 400
    await here.until_stale()
    assert (await here.refresh()).status_code == 200
    assert (await here.get("/me")).status_code == 200
    assert (await identity.token("kim@example.com")).status_code == 400
    assert (await identity.token("kim@example.com", "another good one")).status_code == 200
    revoked = await identity.events("crm.identity.user.sessions-revoked.v1")
    assert len(revoked) == 1


@pytest.mark.requirement("ID-25")
async def test_the_present_password_can_not_be_guessed_with_a_stolen_token(
    identity: Identity, organisation: Organisation
) -> None:
    await organisation.user("kim")
    kim = await identity.login("kim@example.com")
    answers = await asyncio.gather(
        *(kim.post("/me/password", {"current_password": f"guess {n}", "new_password": "x" * 9}) for n in range(30))
    )
    assert sum(answer.status_code == 403 for answer in answers) <= 11
    assert {answer.status_code for answer in answers} == {403, 429}


async def test_a_password_set_by_an_administrator_ends_all_sessions(
    identity: Identity, organisation: Organisation
) -> None:
    user = await organisation.user("kim")
    kim = await identity.login("kim@example.com")
    done = await organisation.admin.post(f"/users/{user}/password", {"password": "a brand new one"})
    assert done.status_code == 204
    assert (await kim.refresh()).status_code == 400
    assert (await identity.token("kim@example.com", "a brand new one")).status_code == 200
    assert (await identity.token(ADMIN)).status_code == 200
