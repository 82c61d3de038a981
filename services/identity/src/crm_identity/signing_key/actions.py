"""Make, use and rotate signing keys. Private parts are decrypted in memory only."""

import datetime as dt
import uuid
from typing import Any

from joserfc.jwk import ECKey

from crm_authz.issuer import SigningKey
from crm_contracts.identity import SigningKeyPublished, SigningKeyRetired
from crm_database import Database, ReadSession, WriteContext, WriteSession
from crm_events.record import Step
from crm_identity.announce import announce
from crm_identity.company import store as companies
from crm_identity.organisation import store as organisation
from crm_identity.signing_key import store
from crm_identity.signing_key.rules import first_signs_from, next_signs_from, not_after
from crm_identity.signing_key.tables import signing_key
from crm_kernel import Unavailable, new_id


class NoSigningKey(Unavailable):
    code = "identity.not_set_up"
    title = "The company is not set up yet"


class KeyRing:
    """Private keys of one process, decrypted once each. secret: what they are encrypted with."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._known: dict[str, SigningKey] = {}

    async def ensure(self, database: Database, context: WriteContext) -> None:
        """See ensure_first; looks only until there was a key once."""
        if not self._known:
            await ensure_first(database, self._secret, context)

    async def current(self, session: ReadSession, now: dt.datetime) -> SigningKey:
        """The key that signs now. Raises NoSigningKey."""
        kid = await store.signing_kid(session, now)
        if kid is None:
            raise NoSigningKey
        known = self._known.get(kid)
        if known is None:
            pem = await store.private_pem(session, kid)
            known = SigningKey(kid, ECKey.import_key(pem, password=self._secret))
            self._known = {kid: known}
        return known


async def ensure_first(database: Database, secret: str, context: WriteContext) -> None:
    """Make the first key as soon as there is a company: whoever asks for the keys or for a token finds one.

    The first start can't do it: the secret is the service's.
    """
    async with database.read() as reading:
        if await store.published(reading, context.now) or await companies.find(reading) is None:
            return
    async with database.write(context) as session:
        await organisation.lock(session)
        if not await store.published(session, context.now):
            await publish_next(session, secret)


async def publish_next(session: WriteSession, secret: str) -> uuid.UUID:
    """Make a key that signs soon (the first one: at once) and let the present one run out. Rotation without downtime."""
    await organisation.lock(session)
    now = session.context.now
    current = await store.locked_current(session)
    signs_from = next_signs_from(now) if current else first_signs_from(now)
    key_id = new_id()
    key = SigningKey.generate(f"{now:%Y-%m-%d}-{key_id.hex[-8:]}")
    state = {"kid": key.kid, "jwk": key.public_jwk()}
    await announce(
        session,
        [
            Step(
                table=signing_key,
                id=key_id,
                event=SigningKeyPublished,
                state=state,
                values={
                    **state,
                    "private_pem": key.key.as_pem(private=True, password=secret).decode(),
                    "created_at": now,
                    "signs_from": signs_from,
                    "not_after": None,
                },
                new=True,
            )
        ],
    )
    await announce(session, [_retired(row, not_after(signs_from)) for row in current])
    return key_id


def _retired(row: Any, end: dt.datetime) -> Step:
    return Step(
        table=signing_key,
        id=row["id"],
        event=SigningKeyRetired,
        state={"kid": row["kid"], "jwk": row["jwk"], "not_after": end},
        values={"not_after": end},
        changes={"not_after": (None, end.isoformat())},
    )
