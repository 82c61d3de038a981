import pytest
from services.identity.tests.conftest import Caller, Identity


@pytest.mark.requirement("ID-1")
async def test_settings_are_changed_told_and_checked(identity: Identity, admin: Caller) -> None:
    first = await admin.get("/company")
    changed = await admin.patch("/company", {"currency": "EUR"}, if_match=first.headers["etag"])
    assert (changed.json()["currency"], changed.json()["time_zone"]) == ("EUR", "Asia/Seoul")
    assert (await admin.patch("/company", {"currency": "USD"}, if_match=first.headers["etag"])).status_code == 412
    for name, value in (("currency", "EURO"), ("time_zone", "../etc/passwd"), ("locale", "xx"), ("name", "")):
        refused = await admin.patch("/company", {name: value})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{name}")
    events = await identity.events("crm.identity.company.changed.v1")
    assert [event["data"]["changes"] for event in events] == [{"currency": {"old": "KRW", "new": "EUR"}}]
