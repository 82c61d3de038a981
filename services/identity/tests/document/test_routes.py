import base64
import hashlib
import re

import pytest
from services.identity.tests.conftest import Identity

from crm_contracts import registry
from crm_identity.app import SERVICE


@pytest.mark.requirement("PL-1")
async def test_the_merged_document_has_every_operation_with_id_summary_and_permission(identity: Identity) -> None:
    answer = await identity.client.get("/api/openapi.json")
    assert answer.status_code == 200
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    pages = {"/api/docs", "/api/events"}
    assert not pages & document["paths"].keys()
    for route in SERVICE.routes:
        if route.path in pages:
            continue
        operation = document["paths"][route.path][route.method.lower()]
        assert operation["summary"]
        assert operation["operationId"]
        assert operation.get("x-permission") == route.declared.permission


async def test_all_events_are_in_the_document_of_events(identity: Identity) -> None:
    answer = await identity.client.get("/api/asyncapi.json")
    assert answer.json()["asyncapi"].startswith("3.")
    assert all(name in answer.text for name in registry.events)


async def test_a_document_is_sent_once(identity: Identity) -> None:
    for path in ("/api/openapi.json", "/api/asyncapi.json", "/api/docs", "/api/events"):
        first = await identity.client.get(path)
        again = await identity.client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = await identity.client.get(path, headers={"if-none-match": '"other"'})
        assert other.status_code == 200


@pytest.mark.parametrize("path", ["/api/docs", "/api/events"])
async def test_the_pages_work_without_internet_and_run_only_their_own_script(identity: Identity, path: str) -> None:
    answer = await identity.client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.text
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert "@import" not in page
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    for kind in ("script", "style"):
        content = re.search(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
