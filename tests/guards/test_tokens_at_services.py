"""A service that is called past the gateway believes no token that it did not verify itself (G6), on any of its operations."""

import base64
import json
import re
import uuid
from typing import Any

import pytest

from crm_authz import Place, SigningKey, TokenIssuer, TokenVerifier, unite
from crm_authz.shipped import SUPER_ADMINISTRATOR
from crm_contracts.control import ALL
from crm_kernel import new_id
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import URL, Running, migrated, running
from crm_web.routes import installed
from crm_web.service import load_service

#: What identity needs beyond what every service does.
SETTINGS: dict[str, dict[str, Any]] = {"identity": {"key_secret": "k" * 32}}


@pytest.fixture
def dsn_of(make_database: MakeDatabase, postgres_server: SharedPostgres, service: str) -> str:
    return make_database(migrated(service, postgres_server))


def b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def forged(service: Running) -> dict[str, str | None]:
    """Tokens of a super administrator that nobody may believe; None: no token at all."""
    good = service.token(service.people.administrator)
    head, body, signature = good.split(".")
    claims = claims_of(good)

    def by_another(name: str, url: str = URL) -> str:
        return TokenIssuer(url).issue(
            SigningKey.generate(name),
            unite(service.people.administrator.id, [SUPER_ADMINISTRATOR], ALL),
            now=service.clock.now(),
            token_id=new_id(),
            session_id=new_id(),
            client_id="test",
            epoch=1,
            role_epochs={},
            modules=list(ALL),
            place=Place(),
        )

    return {
        "no token": None,
        "no JWT": "super-administrator",
        "unsigned": f"{b64({'alg': 'none', 'typ': 'at+jwt', 'kid': service.key.kid})}.{body}.",
        "another subject under the same signature": f"{head}.{b64({**claims, 'sub': str(uuid.uuid4())})}.{signature}",
        "another key of the same name": by_another(service.key.kid),
        "another key": by_another("k9"),
        "a refresh token": f"{head}.{b64({**claims, 'use': 'refresh'})}.{signature}",
    }


async def believed(service: Running) -> list[str]:
    """The operations that answer a forged token with anything but 401, and the tokens."""
    found = []
    tokens = forged(service)
    for route in service.service.routes:
        if route.declared.access == "public":
            continue
        path = re.sub(r"\{version\}", "1", route.path)
        path = re.sub(r"\{\w+\}", str(uuid.uuid4()), path)
        for name, token in tokens.items():
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            # What only a gateway could know must not help either.
            headers |= {"x-crm-user-id": str(service.people.administrator.id), "x-crm-permissions": "*"}
            answer = await service.client.request(route.method, path, headers=headers)
            if answer.status_code != 401 or answer.headers["content-type"] != "application/problem+json":
                found.append(f"{route.method} {route.path}: {name}: {answer.status_code}")
    return found


@pytest.mark.requirement("ID-20", "ID-24")
@pytest.mark.parametrize("service", installed())
async def test_no_operation_of_a_service_believes_a_forged_token(service: str, dsn_of: str) -> None:
    async with running(load_service(service), dsn_of, **SETTINGS.get(service, {})) as found:
        before = await found.position()
        assert await believed(found) == []
        assert await found.position() == before, "nothing happened either"


@pytest.mark.parametrize("service", ["customers"])
async def test_guard_without_verification_forged_tokens_are_believed(
    service: str, dsn_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verifier taken out: it believes whatever the token says."""
    async with running(load_service(service), dsn_of) as found:
        verify = TokenVerifier.verify
        good = found.token(found.people.administrator)

        def believing(self: TokenVerifier, token: str, keys: Any, now: Any) -> Any:
            return verify(self, good, keys, now)

        monkeypatch.setattr(TokenVerifier, "verify", believing)
        assert len(await believed(found)) > 100
