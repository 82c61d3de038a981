import asyncio
import datetime as dt

import pytest
from services.identity.tests.conftest import PASSWORD, Identity, Organisation


@pytest.mark.requirement("ID-4")
async def test_a_user_logs_in_by_address_or_number_in_any_spelling(
    identity: Identity, organisation: Organisation
) -> None:
    body = {
        "name": "김철수",
        "email": "Cheolsu.Kim@Example.com",
        "mobile": "+82 10-1234-5678",
        "department_id": organisation.departments["north"],
        "locale": "ko",
        "time_zone": "Asia/Seoul",
    }
    made = await organisation.admin.post("/users", body)
    assert made.status_code == 201, made.text
    user = made.json()
    assert (user["status"], user["mobile"]) == ("pending_activation", "+821012345678")
    assert (await identity.token("cheolsu.kim@example.com")).status_code == 400
    done = await organisation.admin.post(f"/users/{user['id']}/activate", {"password": PASSWORD})
    assert done.json()["status"] == "active"
    for login in ("CHEOLSU.KIM@example.com", "+821012345678", "+82 10 1234 5678"):
        assert (await identity.token(login)).status_code == 200
    created, activated = await identity.events("crm.identity.user.%", user["id"])
    assert created["type"] == "crm.identity.user.created.v1"
    assert activated["data"]["changes"]["status"] == {"old": "pending_activation", "new": "active"}
    assert activated["data"]["state"]["epoch"] == 2
    assert "password" not in str(created) + str(activated)


@pytest.mark.requirement("ID-4")
async def test_addresses_and_numbers_belong_to_one_user(organisation: Organisation) -> None:
    admin = organisation.admin
    await organisation.user("kim")
    place = {"department_id": organisation.departments["north"]}
    double = await admin.post("/users", {"name": "Kim", "email": "KIM@example.com", **place})
    assert (double.status_code, double.json()["code"]) == (409, "user.email_taken")
    first = await admin.post("/users", {"name": "A", "mobile": "+821012345678", **place})
    assert first.status_code == 201
    second = await admin.post("/users", {"name": "B", "mobile": "+82 10 1234 5678", **place})
    assert second.json()["code"] == "user.mobile_taken"
    none = await admin.post("/users", {"name": "C", **place})
    assert (none.status_code, none.json()["code"]) == (422, "user.login_missing")


async def test_parallel_creations_with_one_address_make_one_user(organisation: Organisation) -> None:
    body = {"name": "Kim", "email": "kim@example.com", "department_id": organisation.departments["north"]}
    answers = await asyncio.gather(*(organisation.admin.post("/users", body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


@pytest.mark.requirement("ID-4")
async def test_parallel_changes_never_make_people_each_others_superior(organisation: Organisation) -> None:
    admin = organisation.admin
    for number in range(4):
        first = await organisation.user(f"first{number}", active=False)
        second = await organisation.user(f"second{number}", active=False)
        answers = await asyncio.gather(
            admin.patch(f"/users/{first}", {"superior_id": second}),
            admin.patch(f"/users/{second}", {"superior_id": first}),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert refused.json()["code"] == "user.superior_cycle"
    itself = await admin.patch(f"/users/{first}", {"superior_id": first})
    assert itself.json()["code"] == "user.superior_cycle"


@pytest.mark.requirement("ID-1")
async def test_one_active_super_administrator_always_remains(identity: Identity, organisation: Organisation) -> None:
    await organisation.user("second", "super_administrator", active=False)
    user = (await organisation.admin.get("/users?q=second")).json()["items"][0]["id"]
    first = (await organisation.admin.get("/me")).json()["user"]["id"]
    lone = await organisation.admin.post(f"/users/{first}/deactivate")
    assert lone.json()["code"] == "user.last_super_admin"
    assert (await organisation.admin.patch(f"/users/{first}", {"role_ids": []})).json()[
        "code"
    ] == "user.last_super_admin"
    weak = await organisation.admin.post(f"/users/{user}/activate", {"password": "only eight"})
    assert weak.json()["code"] == "password.unacceptable"
    assert (await organisation.admin.post(f"/users/{user}/activate", {"password": PASSWORD})).status_code == 200
    second = await identity.login("second@example.com")
    answers = await asyncio.gather(
        organisation.admin.post(f"/users/{user}/deactivate"), second.post(f"/users/{first}/dismiss")
    )
    assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 409])
    active = await identity.value("SELECT count(*) FROM app_user WHERE super_admin AND status = 'active'")
    assert active == 1


@pytest.mark.requirement("ID-1", "ID-18")
async def test_nobody_else_touches_a_super_administrator(identity: Identity, organisation: Organisation) -> None:
    admin = organisation.admin
    everything = {
        "name": "Personnel",
        "permissions": ["identity.*:*"],
        "scopes": {"identity.*": {"*": {"scope": "all"}}},
    }
    role = await admin.post("/roles", everything)
    assert role.status_code == 201, role.text
    organisation.roles["personnel"] = role.json()["id"]
    target = (await admin.get("/me")).json()["user"]["id"]
    own = await organisation.user("kim", "personnel")
    kim = await identity.login("kim@example.com")
    assert (await kim.patch(f"/users/{target}", {"name": "Nobody"})).json()["code"] == "user.super_admin_only"
    taken = await kim.post(f"/users/{target}/password", {"password": "mine now, thank you"})
    assert taken.json()["code"] == "user.super_admin_only"
    assert (await kim.post(f"/users/{target}/dismiss")).json()["code"] in (
        "user.super_admin_only",
        "user.last_super_admin",
    )
    crowned = await kim.patch(f"/users/{own}", {"role_ids": [organisation.roles["super_administrator"]]})
    assert crowned.json()["code"] == "user.super_admin_only"
    wider = await kim.patch(f"/users/{own}", {"role_ids": [organisation.roles["executive"]]})
    assert wider.json()["code"] == "user.role_not_yours"
    new = await kim.post("/roles", {"name": "More", "permissions": ["customers.customer:read"]})
    assert new.json()["code"] == "role.rights_not_yours"
    assert (await kim.post("/roles", {"name": "Less", "permissions": ["identity.user:read"]})).status_code == 201


@pytest.mark.requirement("ID-8")
async def test_profiles_are_seen_by_those_above_and_by_oneself(identity: Identity, organisation: Organisation) -> None:
    boss = await organisation.user("boss", "supervisor")
    kim = await organisation.user("kim", "sales_representative", superior=boss)
    lee = await organisation.user("lee", "sales_representative")
    seen = (await (await identity.login("boss@example.com")).get("/users?count=exact")).json()
    assert ({item["id"] for item in seen["items"]}, seen["count"]) == ({boss, kim}, 2)
    assert (await (await identity.login("boss@example.com")).get(f"/users/{lee}")).status_code == 404
    assert (await organisation.admin.get("/users?count=exact")).json()["count"] == 4
    assert (await (await identity.login("kim@example.com")).get("/users")).status_code == 403
    assert (await (await identity.login("kim@example.com")).get("/me")).json()["user"]["id"] == kim


@pytest.mark.requirement("ID-12", "ID-18")
async def test_who_is_seen_is_not_therefore_changed(identity: Identity, organisation: Organisation) -> None:
    role = await organisation.admin.post(
        "/roles",
        {
            "name": "Personnel",
            "permissions": ["identity.user:*"],
            "scopes": {"identity.user": {"read": {"scope": "all"}, "*": {"scope": "subordinates"}}},
        },
    )
    organisation.roles["personnel"] = role.json()["id"]
    lead = await organisation.user("lead", "personnel")
    below = await organisation.user("below", superior=lead)
    beside = await organisation.user("beside")
    caller = await identity.login("lead@example.com")
    assert (await caller.patch(f"/users/{below}", {"name": "New"})).status_code == 200
    assert (await caller.get(f"/users/{beside}")).status_code == 200
    attempts = [
        await caller.patch(f"/users/{beside}", {"name": "New"}),
        await caller.post(f"/users/{beside}/dismiss"),
        await caller.post(f"/users/{beside}/password", {"password": "mine from now on"}),
        await caller.delete(f"/users/{beside}/sessions"),
        await caller.post("/users", {"name": "X", "email": "x@example.com", "department_id": organisation.root}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in attempts] == [(403, "user.out_of_reach")] * 5
    assert (await organisation.admin.get(f"/users/{beside}")).json()["version"] == 2


@pytest.mark.requirement("ID-8")
async def test_the_directory_shows_active_colleagues_and_no_more_of_them(
    identity: Identity, organisation: Organisation
) -> None:
    await organisation.user("kim", "general")
    await organisation.user("lee", active=False)
    found = (await (await identity.login("kim@example.com")).get("/directory")).json()["items"]
    assert [(item["name"], item["department_name"]) for item in found] == [
        ("First Administrator", "Example Ltd"),
        ("Kim", "North"),
    ]
    assert set(found[0]) == {"id", "name", "position", "department_id", "department_name"}


async def test_the_list_pages_by_name_and_searches_in_any_script(organisation: Organisation) -> None:
    admin, place = organisation.admin, {"department_id": organisation.departments["north"]}
    for number, name in enumerate(["김철수", "김영희", "Öztürk", "Иванов", "100% sure_thing"]):
        made = await admin.post("/users", {"name": name, "email": f"u{number}@example.com", **place})
        assert made.status_code == 201, made.text

    async def names(query: str) -> list[str]:
        return [item["name"] for item in (await admin.get(f"/users?{query}")).json()["items"]]

    assert await names("q=김") == ["김영희", "김철수"]
    assert await names("q=öZT") == ["Öztürk"]
    assert await names("q=иван") == ["Иванов"]
    assert await names("q=%25") == ["100% sure_thing"]
    assert await names("q=e_t") == ["100% sure_thing"]
    whole = await names("limit=200")
    page = (await admin.get("/users?limit=4")).json()
    rest = (await admin.get(f"/users?limit=4&cursor={page['next']}")).json()
    assert [item["name"] for item in page["items"] + rest["items"]] == whole
    assert rest["next"] is None
    foreign = await admin.get(f"/users?limit=4&status=active&cursor={page['next']}")
    assert foreign.json()["code"] == "cursor.invalid"


@pytest.mark.requirement("ID-5")
async def test_a_dismissed_user_is_out_at_once_and_only_a_super_administrator_takes_it_back(
    identity: Identity, organisation: Organisation
) -> None:
    user = await organisation.user("kim", "sales_representative")
    kim = await identity.login("kim@example.com")
    assert (await kim.get("/me")).status_code == 200
    assert (await organisation.admin.post(f"/users/{user}/dismiss")).json()["status"] == "dismissed"
    assert (await kim.refresh()).status_code == 400
    assert (await identity.token("kim@example.com")).status_code == 400
    await kim.until_stale()
    ended = await identity.events("crm.identity.session.ended.v1")
    assert [event["data"]["state"]["reason"] for event in ended] == ["dismissed"]
    again = await organisation.admin.post(f"/users/{user}/dismiss")
    assert again.json()["code"] == "user.status_forbids"
    assert (await organisation.admin.post(f"/users/{user}/activate")).json()["code"] == "user.status_forbids"
    assert (await organisation.admin.post(f"/users/{user}/reinstate")).json()["status"] == "active"
    assert (await kim.get("/me")).json()["code"] == "token.stale"
    assert (await kim.refresh()).status_code == 400
    assert (await identity.token("kim@example.com")).status_code == 200


@pytest.mark.requirement("ID-5")
async def test_a_code_lets_a_new_user_choose_a_password_once(identity: Identity, organisation: Organisation) -> None:
    user = await organisation.user("kim", active=False)
    no_password = await organisation.admin.post(f"/users/{user}/activate")
    assert no_password.json()["code"] == "user.password_missing"
    earlier = (await organisation.admin.post(f"/users/{user}/activation-code")).json()["code"]
    code = (await organisation.admin.post(f"/users/{user}/activation-code")).json()["code"]

    async def choose(given: str, password: str = PASSWORD) -> str:
        body = {"code": given, "password": password}
        answer = await identity.client.post("/api/identity/v1/activations", json=body)
        return str(answer.json()["code"]) if answer.content else "done"

    assert await choose(earlier) == "activation.refused"
    assert await choose(code, "password") == "password.unacceptable"
    assert sorted(await asyncio.gather(choose(code), choose(code))) == ["activation.refused", "done"]
    assert (await identity.token("kim@example.com")).status_code == 200
    assert await choose(code) == "activation.refused"


async def test_a_code_expires(identity: Identity, organisation: Organisation) -> None:
    user = await organisation.user("kim", active=False)
    code = (await organisation.admin.post(f"/users/{user}/activation-code")).json()["code"]
    await identity.pass_time(dt.timedelta(days=7))
    body = {"code": code, "password": PASSWORD}
    late = await identity.client.post("/api/identity/v1/activations", json=body)
    assert (late.status_code, late.json()["code"]) == (409, "activation.refused")


@pytest.mark.requirement("ID-24")
@pytest.mark.parametrize("change", ["role_ids", "department_id", "superior_id"])
async def test_a_new_place_or_role_makes_older_tokens_stale_and_refreshing_helps(
    identity: Identity, organisation: Organisation, change: str
) -> None:
    boss = await organisation.user("boss", "supervisor")
    user = await organisation.user("kim", "sales_representative")
    values = {
        "role_ids": [organisation.roles["supervisor"]],
        "department_id": organisation.departments["south"],
        "superior_id": boss,
    }
    kim = await identity.login("kim@example.com")
    assert (await kim.get("/me")).status_code == 200
    assert (await organisation.admin.patch(f"/users/{user}", {change: values[change]})).status_code == 200
    await kim.until_stale()
    assert (await kim.refresh()).status_code == 200
    assert (await kim.get("/me")).status_code == 200
    renamed = await organisation.admin.patch(f"/users/{user}", {"name": "Kim Cheolsu"})
    assert renamed.status_code == 200
    assert (await kim.get("/me")).json()["user"]["name"] == "Kim Cheolsu"
