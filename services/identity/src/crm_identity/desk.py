"""What identity holds for the life of a process beyond what every service has: keys, hasher, catalogue, documents."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from crm_authz import TokenIssuer
from crm_database import WriteContext
from crm_identity.credential.hashing import Hasher
from crm_identity.document.files import Documents
from crm_identity.role.catalogue import Catalogue
from crm_identity.session.login import Desk as LoginDesk
from crm_identity.session.rules import SessionLife
from crm_identity.settings import IdentitySettings
from crm_identity.signing_key.actions import KeyRing
from crm_web.runtime import Runtime
from crm_web.units import Unit


@dataclass
class Desk:
    """key_secret: what private keys are encrypted with."""

    login: LoginDesk
    catalogue: Catalogue
    documents: Documents
    key_secret: str

    @property
    def hasher(self) -> Hasher:
        return self.login.hasher


@asynccontextmanager
async def open_desk(runtime: Runtime) -> AsyncIterator[Desk]:
    """For Service.opened."""
    settings = cast(IdentitySettings, runtime.settings)
    secret = settings.private_key_secret
    hasher = Hasher()
    try:
        yield Desk(
            login=LoginDesk(
                keys=KeyRing(secret),
                issuer=TokenIssuer(settings.public_url),
                hasher=hasher,
                life=SessionLife(
                    idle=dt.timedelta(days=settings.session_idle_days),
                    absolute=dt.timedelta(days=settings.session_absolute_days),
                ),
            ),
            catalogue=Catalogue.load(settings.documents_dir),
            documents=Documents(settings.documents_dir),
            key_secret=secret,
        )
    finally:
        hasher.close()


def desk_of(unit: Unit[Any]) -> Desk:
    """The desk of the process that handles this request."""
    return cast(Desk, unit.runtime.own)


def context_of(unit: Unit[Any]) -> WriteContext:
    """When, from where: for handlers that open their own sessions, before anybody is known."""
    return WriteContext(now=unit.now, channel="api", address=unit.address, traceparent=unit.incoming.traceparent)


def system_context(unit: Unit[Any]) -> WriteContext:
    """For what the product does by itself while it handles a request."""
    return WriteContext(now=unit.now, traceparent=unit.incoming.traceparent)
