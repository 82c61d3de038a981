import asyncio
from collections.abc import Awaitable, Callable

import pytest
from services.identity.tests.conftest import Identity, Organisation


async def test_everybody_chooses_their_own_language_and_zone_and_nothing_else(
    identity: Identity, organisation: Organisation
) -> None:
    await organisation.user("kim", "general")
    kim = await identity.login("kim@example.com")
    changed = await kim.patch("/me", {"locale": "ru", "time_zone": "Europe/Moscow"})
    assert (changed.json()["user"]["locale"], changed.json()["user"]["time_zone"]) == ("ru", "Europe/Moscow")
    assert (await kim.get("/me")).status_code == 200
    for body in ({"role_ids": []}, {"locale": "tlh"}, {"time_zone": "Mars/Olympus"}, {"status": "active"}):
        refused = await kim.patch("/me", body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{next(iter(body))}")


@pytest.mark.requirement("ID-16")
async def test_explaining_names_what_decides(identity: Identity, organisation: Organisation) -> None:
    boss = await organisation.user("boss", "supervisor")
    kim = await organisation.user("kim", "sales_representative", superior=boss)

    async def explain(user: str, action: str, owner: str | None) -> dict[str, object]:
        query = f"user={user}&record_type=customers.customer&action={action}" + (f"&owner_id={owner}" if owner else "")
        answer = await organisation.admin.get(f"/access/explain?{query}")
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    # Who was made last is known: so is everybody.
    await until_known(lambda: explain(kim, "update", kim))
    above = await explain(boss, "update", kim)
    assert (above["allowed"], above["decided_by"], above["granted_by"]) == (True, "scope", ["Supervisor"])
    below = await explain(kim, "update", boss)
    assert (below["allowed"], below["decided_by"], below["missing"]) == (False, "scope", "customers.customer:write")
    export = await explain(kim, "export", kim)
    assert (export["allowed"], export["missing"]) == (False, "customers.customer:export")
    await organisation.admin.post(f"/users/{kim}/deactivate")
    async with asyncio.timeout(10):
        while (await explain(kim, "update", kim))["decided_by"] != "status":  # noqa: ASYNC110  (a condition with a deadline)
            await asyncio.sleep(0.02)
    nobody = await organisation.admin.get(
        "/access/explain?user=01900000-0000-7000-8000-000000000009&record_type=customers.customer&action=read"
    )
    assert nobody.status_code == 404
    own = await (await identity.login("boss@example.com")).get(
        f"/access/explain?user={kim}&record_type=customers.customer&action=read"
    )
    assert own.json()["permission"] == "identity.user:explain"


async def until_known(ask: Callable[[], Awaitable[dict[str, object]]]) -> dict[str, object]:
    """The explanation once this process has looked at the directory, every 200 ms."""
    async with asyncio.timeout(10):
        while (found := await ask())["decided_by"] == "status":  # noqa: ASYNC110  (a condition with a deadline)
            await asyncio.sleep(0.02)
    return found
