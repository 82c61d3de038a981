import base64
import datetime as dt

import orjson
import pytest
from services.identity.tests.conftest import Caller, Identity


@pytest.mark.requirement("ID-26")
async def test_keys_rotate_without_a_refused_request(identity: Identity, admin: Caller) -> None:
    async def kids() -> list[str]:
        return [key["kid"] for key in (await identity.client.get("/oauth/jwks.json")).json()["keys"]]

    (first,) = await kids()
    rotated = await admin.post("/signing-keys")
    assert rotated.status_code == 200, rotated.text
    second = rotated.json()["items"][1]["kid"]
    assert await kids() == [first, second]
    # Published, but nobody signs with it before everybody can know it.
    await identity.pass_time(dt.timedelta(seconds=89))
    early = await identity.login()
    assert kid_of(early) == first
    await identity.pass_time(dt.timedelta(seconds=1))
    late = await identity.login()
    assert kid_of(late) == second
    for caller in (early, late):
        assert (await caller.get("/me")).status_code == 200
    # The old key counts until its last token has expired.
    await identity.pass_time(dt.timedelta(seconds=310))
    assert await kids() == [second]
    assert (await early.refresh()).status_code == 200
    events = [event["type"].split(".")[-2] for event in await identity.events("crm.identity.signing-key.%")]
    assert events == ["published", "published", "retired"]


async def test_keys_are_public_and_only_their_public_half(identity: Identity) -> None:
    answer = await identity.client.get("/oauth/jwks.json")
    assert answer.status_code == 200
    (key,) = answer.json()["keys"]
    assert set(key) >= {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert "d" not in key


async def test_discovery_names_where_things_are(identity: Identity) -> None:
    for name in ("oauth-authorization-server", "openid-configuration"):
        found = (await identity.client.get(f"/.well-known/{name}")).json()
        assert found["issuer"] == "https://crm.example"
        assert found["token_endpoint"] == "https://crm.example/oauth/token"
        assert found["jwks_uri"] == "https://crm.example/oauth/jwks.json"


def kid_of(caller: Caller) -> str:
    header = caller.tokens["access_token"].split(".")[0]
    found: str = orjson.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    return found
