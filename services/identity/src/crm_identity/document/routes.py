"""The merged API documents over HTTP, and the pages that show them. They work without internet: everything is in them."""

import base64
import hashlib
import re
from functools import lru_cache
from importlib import resources

import orjson

from crm_contracts.asyncapi import asyncapi
from crm_identity.desk import desk_of
from crm_identity.document.files import Document, DocumentMissing, of
from crm_web import Answer, Router, SessionlessUnit
from crm_web.documents import product_version

router = Router("identity", prefix="/api", tag="Documents")

_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)


@router.get("/openapi.json", access="public", errors=[DocumentMissing], example={"openapi": "3.1.0"})
async def get_openapi(unit: SessionlessUnit) -> Answer:
    """All services' operations: OpenAPI 3.1."""
    return _answer(unit, desk_of(unit).documents.read("openapi.json"), "application/json")


@router.get("/asyncapi.json", access="public", example={"asyncapi": "3.0.0"})
async def get_asyncapi(unit: SessionlessUnit) -> Answer:
    """All events of all services: AsyncAPI 3. Made from the contracts, which every service has."""
    return _answer(unit, _asyncapi(), "application/json")


@lru_cache(maxsize=1)
def _asyncapi() -> Document:
    return of(orjson.dumps(asyncapi(version=product_version())))


@router.get("/docs", access="public", include_in_schema=False)
async def show_operations(unit: SessionlessUnit) -> Answer:
    """A page of all operations, to read and to try."""
    return _page(unit, "operations.html")


@router.get("/events", access="public", include_in_schema=False)
async def show_events(unit: SessionlessUnit) -> Answer:
    """A page of all events."""
    return _page(unit, "events.html")


def _page(unit: SessionlessUnit, name: str) -> Answer:
    document = of(resources.files("crm_identity.document").joinpath(name).read_bytes())
    answer = _answer(unit, document, "text/html; charset=utf-8")
    scripts, styles = (_hashes(pattern, document.content) for pattern in (_SCRIPT, _STYLE))
    answer.headers["content-security-policy"] = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return answer


def _answer(unit: SessionlessUnit, document: Document, media_type: str) -> Answer:
    headers = {"etag": document.etag, "cache-control": "public, max-age=60", "x-content-type-options": "nosniff"}
    known = unit.incoming.header(b"if-none-match") or ""
    if document.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Answer(304, b"", None, headers)
    return Answer(200, document.content, media_type, headers)


def _hashes(pattern: re.Pattern[bytes], page: bytes) -> str:
    """The page's own scripts or styles by their hashes: nothing else runs, whatever a document says."""
    found = [hashlib.sha256(content).digest() for content in pattern.findall(page)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in found) or "'none'"
