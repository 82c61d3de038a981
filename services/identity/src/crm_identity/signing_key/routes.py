"""Signing keys over HTTP: seen and rotated (ID-26)."""

import datetime as dt
from typing import Any

from pydantic import BaseModel

from crm_identity.desk import desk_of
from crm_identity.signing_key import actions, store
from crm_web import ReadUnit, Router, WriteUnit

router = Router("identity", tag="Signing keys")

_EXAMPLE = {
    "kid": "2026-03-01-1a2b3c4d",
    "created_at": "2026-03-01T09:00:00Z",
    "signs_from": "2026-03-01T09:01:30Z",
    "not_after": None,
}


class SigningKey(BaseModel):
    """signs_from: when it begins to sign. not_after: from then on nothing that it signed is accepted."""

    kid: str
    created_at: dt.datetime
    signs_from: dt.datetime
    not_after: dt.datetime | None


class SigningKeyList(BaseModel):
    """The keys whose tokens count, or will count, oldest first."""

    items: list[SigningKey]
    next: None = None


@router.get("/signing-keys", permission="identity.signing_key:rotate", example={"items": [_EXAMPLE], "next": None})
async def list_signing_keys(unit: ReadUnit) -> SigningKeyList:
    """The keys in use."""
    return _list(await store.published(unit.session, unit.now))


@router.post("/signing-keys", permission="identity.signing_key:rotate", example={"items": [_EXAMPLE], "next": None})
async def rotate_signing_key(unit: WriteUnit) -> SigningKeyList:
    """Publish a new key, which signs in 90 s; the present one stops counting when its last token has expired."""
    await actions.publish_next(unit.session, desk_of(unit).key_secret)
    return _list(await store.published(unit.session, unit.now))


def _list(rows: list[Any]) -> SigningKeyList:
    return SigningKeyList(items=[SigningKey(**{n: row[n] for n in SigningKey.model_fields}) for row in rows])
