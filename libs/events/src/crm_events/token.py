"""Consistency tokens (PL-13): what a write recorded, and waiting until this service has applied it.

A token is `base64url(body).base64url(HMAC-SHA256)`: opaque, ≤ 512 bytes, valid 10 minutes; afterwards it counts as satisfied. Who
depends on writes at several services sends their tokens together, as a list with commas. A token covers what consumers of kind
*projection* apply directly; effects of effects are not covered. Parked and dead-lettered events count as applied: waiting longer would
not help.
"""

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from crm_contracts import Registry, registry
from crm_database import Database, WriteSession
from crm_events.reaction import ConsumerGroup
from crm_kernel.clock import Clock
from crm_kernel.errors import Invalid, Unavailable

VALID = dt.timedelta(minutes=10)
MOST_BYTES = 512
#: How many tokens one request may wait for.
MOST_TOKENS = 8
WAIT_SECONDS = 2.0
_PAUSE_SECONDS = 0.01

# Raw SQL: one look-up by index per wait.
_APPLIED = """
SELECT write_id, group_name, topic, count(*) FROM inbox WHERE write_id = ANY($1) AND group_name = ANY($2)
GROUP BY write_id, group_name, topic
"""
#: (write id, group, topic).
_At = tuple[uuid.UUID, str, str]


class TokenInvalid(Invalid):
    """422: a token that we did not sign."""

    code = "consistency_token.invalid"
    title = "The Consistency-Token is not one of ours"


class NotAppliedYet(Unavailable):
    """503: the write has not arrived here within 2 s."""

    code = "consistency_token.not_applied"
    title = "What the token names has not arrived here yet"


def topic_of(event_type: str) -> str:
    """`crm.sales.opportunity` of `crm.sales.opportunity.won.v1`; the registry takes no types of another form."""
    return event_type.rsplit(".", 2)[0]


def sign(key: bytes, write_id: uuid.UUID, recorded: Mapping[str, int], now: dt.datetime) -> str:
    """A token for a transaction's events: type → how many. ValueError beyond 512 bytes."""
    topics: dict[str, dict[str, int]] = {}
    for name, count in sorted(recorded.items()):
        topic = topic_of(name)
        topics.setdefault(topic, {})[name.removeprefix(f"{topic}.")] = count
    body = orjson.dumps([write_id.hex, int(now.timestamp()), topics])
    made = f"{_text(body)}.{_text(_mac(key, body))}"
    if len(made) > MOST_BYTES:
        raise ValueError(f"a token of {len(made)} bytes: too many kinds of events in one transaction")
    return made


def read(key: bytes, token: str) -> tuple[uuid.UUID, dt.datetime, dict[str, int]]:
    """(write id, signed when, event type → how many). Raises TokenInvalid."""
    try:
        if len(token) > MOST_BYTES:
            raise ValueError("too long")
        body, mac = (_bytes(part) for part in token.split("."))
        if not hmac.compare_digest(mac, _mac(key, body)):
            raise ValueError("not signed by us")
        write_id, signed, topics = orjson.loads(body)
        recorded = {f"{topic}.{fact}": int(n) for topic, facts in topics.items() for fact, n in facts.items()}
        return uuid.UUID(write_id), dt.datetime.fromtimestamp(signed, dt.UTC), recorded
    except (ValueError, TypeError, AttributeError) as error:
        raise TokenInvalid from error


class ConsistencyTokens:
    """Tokens of one service; fits crm_web's protocol of that name."""

    def __init__(
        self, service: str, key: bytes, groups: Sequence[ConsumerGroup], clock: Clock, *, known: Registry = registry
    ) -> None:
        """key: CRM_SIGNING_KEY. groups: this service's, of which the projections count."""
        # A key of its own, derived: a signature made for another purpose must not pass here.
        self._key = hmac.digest(key, b"crm consistency token", hashlib.sha256)
        self._groups = [group for group in groups if group.projection]
        self._clock = clock
        self._known = known
        self.service = service

    def token(self, session: WriteSession) -> str | None:
        """The token of a transaction's events; None when it recorded none."""
        if not session.recorded:
            return None
        return sign(self._key, session.context.write_id, session.recorded, session.context.now)

    async def wait(self, tokens: str, database: Database) -> None:
        """Return when this service has applied what the tokens (a list with commas) name and its projections consume.

        Raises TokenInvalid, NotAppliedYet after 2 s.
        """
        given = tokens.split(",")
        if len(given) > MOST_TOKENS:
            raise TokenInvalid(f"At most {MOST_TOKENS} tokens are waited for")
        wanted: dict[_At, int] = {}
        for token in given:
            write_id, signed, recorded = read(self._key, token.strip(" \t"))
            if self._clock.now() - signed <= VALID:
                wanted |= self._wanted(write_id, recorded)
        if wanted:
            await applied(database, wanted)

    def _wanted(self, write_id: uuid.UUID, recorded: Mapping[str, int]) -> dict[_At, int]:
        wanted: dict[_At, int] = {}
        for group in self._groups:
            for name, count in recorded.items():
                topic = topic_of(name)
                # What a group doesn't want never stands in its inbox.
                if group.reaction(topic, name) is not None:
                    at = write_id, group.name, topic
                    wanted[at] = wanted.get(at, 0) + count
        return wanted


async def applied(database: Database, wanted: Mapping[_At, int]) -> None:
    """Wait until each group has so many events of that write and topic in its inbox. NotAppliedYet after 2 s."""
    writes, groups = sorted({at[0] for at in wanted}), sorted({at[1] for at in wanted})
    until = time.monotonic() + WAIT_SECONDS
    while True:
        async with database.read() as session:
            rows: list[Any] = await session.connection.fetch(_APPLIED, writes, groups)
        there = {(row[0], row[1], row[2]): row[3] for row in rows}
        if all(there.get(at, 0) >= count for at, count in wanted.items()):
            return
        if time.monotonic() >= until:
            raise NotAppliedYet
        await asyncio.sleep(_PAUSE_SECONDS)


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, hashlib.sha256)[:16]


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
