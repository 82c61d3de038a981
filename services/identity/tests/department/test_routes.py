import asyncio

import pytest
from services.identity.tests.conftest import Caller, Identity, Organisation


async def make(admin: Caller, name: str, parent: str) -> str:
    answer = await admin.post("/departments", {"name": name, "parent_id": parent, "business_area": "sales"})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].endswith(answer.json()["id"])
    made: str = answer.json()["id"]
    return made


@pytest.mark.requirement("ID-2")
async def test_moving_a_subtree_tells_the_new_path_of_everything_below(organisation: Organisation) -> None:
    admin, north, south = organisation.admin, organisation.departments["north"], organisation.departments["south"]
    team = await make(admin, "Team", north)
    desk = await make(admin, "Desk", team)
    moved = await admin.patch(f"/departments/{team}", {"parent_id": south})
    assert moved.status_code == 200
    assert moved.json()["path"] == [organisation.root, south, team]
    assert (await admin.get(f"/departments/{desk}")).json()["path"] == [organisation.root, south, team, desk]
    events = await organisation.identity.events("crm.identity.department.changed.v1")
    assert [str(event["subject"]) for event in events] == [team, desk]
    assert events[0]["data"]["changes"]["parent_id"] == {"old": north, "new": south}
    assert events[1]["data"]["changes"] == {
        "path": {
            "old": [organisation.root, north, team, desk],
            "new": [organisation.root, south, team, desk],
        }
    }
    assert events[1]["data"]["state"]["path"] == [organisation.root, south, team, desk]


@pytest.mark.requirement("ID-2")
async def test_parallel_moves_never_close_a_circle(organisation: Organisation) -> None:
    """Each move is fine alone; together they would be a circle. Exactly one of each pair may happen."""
    admin, root = organisation.admin, organisation.root
    for _ in range(5):
        first, second = await make(admin, "First", root), await make(admin, "Second", root)
        answers = await asyncio.gather(
            admin.patch(f"/departments/{first}", {"parent_id": second}),
            admin.patch(f"/departments/{second}", {"parent_id": first}),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert refused.json()["code"] == "department.cycle"
    items = (await admin.get("/departments")).json()["items"]
    paths = {item["id"]: item["path"] for item in items}
    assert all(item["parent_id"] is None or item["path"][:-1] == paths[item["parent_id"]] for item in items)


@pytest.mark.requirement("ID-2")
async def test_only_an_empty_department_is_deleted(organisation: Organisation) -> None:
    admin, north = organisation.admin, organisation.departments["north"]
    team = await make(admin, "Team", north)
    assert (await admin.delete(f"/departments/{north}")).json()["code"] == "department.not_empty"
    await organisation.user("kim", department="south")
    south = organisation.departments["south"]
    assert (await admin.delete(f"/departments/{south}")).json()["code"] == "department.not_empty"
    assert (await admin.delete(f"/departments/{team}")).status_code == 204
    assert (await admin.get(f"/departments/{team}")).status_code == 404
    deleted = await organisation.identity.events("crm.identity.department.deleted.v1", team)
    assert deleted[0]["data"]["state"]["deleted"] is True
    assert (await admin.delete(f"/departments/{organisation.root}")).json()["code"] == "department.root_stays"


async def test_nobody_joins_a_department_that_is_being_deleted(organisation: Organisation) -> None:
    admin = organisation.admin
    for number in range(3):
        team = await make(admin, "Team", organisation.root)
        body = {"name": "Kim", "email": f"kim{number}@example.com", "department_id": team}
        joined, deleted = await asyncio.gather(admin.post("/users", body), admin.delete(f"/departments/{team}"))
        assert (joined.status_code, deleted.status_code) in {(201, 409), (422, 204)}


async def test_a_stale_version_is_refused_and_changes_nothing(organisation: Organisation) -> None:
    admin, north = organisation.admin, organisation.departments["north"]
    first = await admin.get(f"/departments/{north}")
    assert (await admin.patch(f"/departments/{north}", {"name": "Far north"})).status_code == 200
    stale = await admin.patch(f"/departments/{north}", {"name": "Lost"}, if_match=first.headers["etag"])
    assert stale.status_code == 412
    assert stale.json()["version"] == 2
    assert (await admin.get(f"/departments/{north}")).json()["name"] == "Far north"


async def test_a_batch_finds_parents_in_any_order_and_twice_is_once(organisation: Organisation) -> None:
    admin = organisation.admin
    rows = [
        {
            "external_ref": {"system": "demo", "id": "team"},
            "name": "Team",
            "business_area": "sales",
            "parent_ref": {"system": "demo", "id": "office"},
        },
        {"external_ref": {"system": "demo", "id": "office"}, "name": "Office", "business_area": "sales"},
        {
            "external_ref": {"system": "demo", "id": "lost"},
            "name": "Lost",
            "business_area": "sales",
            "parent_ref": {"system": "demo", "id": "nowhere"},
        },
        {
            "external_ref": {"system": "demo", "id": "a"},
            "name": "A",
            "business_area": "sales",
            "parent_ref": {"system": "demo", "id": "b"},
        },
        {
            "external_ref": {"system": "demo", "id": "b"},
            "name": "B",
            "business_area": "sales",
            "parent_ref": {"system": "demo", "id": "a"},
        },
        {"external_ref": {"system": "demo", "id": "office"}, "name": "Double", "business_area": "sales"},
        {"external_ref": {"system": "demo", "id": "wrong"}, "name": "", "business_area": "magic", "more": 1},
    ]
    first = (await admin.post("/departments/batch", {"rows": rows})).json()
    assert [row.get("done") or row["code"] for row in first["rows"]] == [
        "created",
        "created",
        "department.unknown",
        "department.cycle",
        "department.cycle",
        "batch.double_row",
        "request.invalid",
    ]
    assert {error["pointer"] for error in first["rows"][6]["errors"]} == {
        "/rows/6/name",
        "/rows/6/business_area",
        "/rows/6/more",
    }
    team = (await admin.get(f"/departments/{first['rows'][0]['id']}")).json()
    assert team["path"] == [organisation.root, first["rows"][1]["id"], team["id"]]
    before = len(await organisation.identity.events())
    again = (await admin.post("/departments/batch", {"rows": rows[:2]})).json()
    assert [row["done"] for row in again["rows"]] == ["unchanged", "unchanged"]
    assert len(await organisation.identity.events()) == before


async def test_the_list_goes_on_where_it_ended(organisation: Organisation) -> None:
    admin = organisation.admin
    for number in range(4):
        await make(admin, f"Team {number}", organisation.departments["north"])
    whole = (await admin.get("/departments")).json()["items"]
    pages, cursor = [], ""
    while cursor is not None:
        page = (await admin.get(f"/departments?limit=3{'&cursor=' + cursor if cursor else ''}")).json()
        pages += page["items"]
        cursor = page["next"]
    assert pages == whole
    assert len(whole) == 7


async def test_structure_is_changed_only_with_the_permission(identity: Identity, organisation: Organisation) -> None:
    await organisation.user("kim", "supervisor")
    kim = await identity.login("kim@example.com")
    refused = await kim.post("/departments", {"name": "Mine", "parent_id": organisation.root, "business_area": "sales"})
    assert refused.status_code == 403
    assert refused.json()["permission"] == "identity.department:create"
