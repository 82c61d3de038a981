"""The same request twice does its work once (PL-8): the first answer is kept in the transaction that it reports.

No "running" rows exist: a lock that ends with the transaction says that a key is at work. So a process that dies in the middle
leaves nothing behind, and the next try starts afresh. Only 2xx is kept: a refusal changed nothing and may be asked again.

What is kept is sealed (AES-256-GCM), each answer with a key of its own that its Idempotency-Key is a part of: an answer may hold what the
database otherwise never does, an activation code for instance.
"""

import datetime as dt
import hashlib
import hmac
import os

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.dialects.postgresql import JSONB

from crm_database import WriteSession, instant, platform, query
from crm_kernel import Conflict, FieldError, Invalid
from crm_web.answers import Answer

#: Kept at least this long; the purge may take longer.
KEPT = dt.timedelta(hours=24)
MAX_KEY = 255
PURGED_AT_ONCE = 1000


#: What stands before a sealed answer: made anew each time, as AES-GCM demands; bytes.
_NONCE = 12


class KeyRunning(Conflict):
    """409: a request with the same key is being worked on."""

    code = "idempotency.running"
    title = "A request with the same key is still running"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class KeyReused(Invalid):
    """422: the key was used for another request."""

    code = "idempotency.key_reused"
    title = "The key was used for another request"

    def __init__(self) -> None:
        detail = "A key stands for one request: same method, address and body"
        super().__init__(detail, errors=[FieldError("header:Idempotency-Key", self.code, detail)])


class AnswerLost(Conflict):
    """409: the work was done, but the answer can't be read any more: the deployment's signing key was replaced since."""

    code = "idempotency.answer_lost"
    title = "This request was carried out; its answer is not available any more"


class KeyInvalid(Invalid):
    """422: no usable key."""

    code = "idempotency.key_invalid"
    title = "The idempotency key is not usable"

    def __init__(self) -> None:
        detail = f"1 to {MAX_KEY} printable ASCII characters"
        super().__init__(detail, errors=[FieldError("header:Idempotency-Key", self.code, detail)])


idempotent_answer = sa.Table(
    "idempotent_answer",
    platform,
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("media_type", sa.Text),
    sa.Column("headers", JSONB, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    instant("kept_at", nullable=False),
    sa.Index("ix_idempotent_answer_kept_at", "kept_at"),
)

#: The table as DDL, for a service's migration.
IDEMPOTENCY_1: tuple[str, ...] = (
    """
    CREATE TABLE idempotent_answer (
      caller text NOT NULL,
      key text NOT NULL,
      request bytea NOT NULL,
      status smallint NOT NULL,
      media_type text,
      headers jsonb NOT NULL,
      body bytea NOT NULL,
      kept_at timestamptz NOT NULL,
      CONSTRAINT pk_idempotent_answer PRIMARY KEY (caller, key)
    )
    """,
    "CREATE INDEX ix_idempotent_answer_kept_at ON idempotent_answer (kept_at)",
)

_LOCK = query(sa.select(sa.func.pg_try_advisory_xact_lock(sa.bindparam("lock", type_=sa.BigInteger))))
_FIND = query(
    sa.select(
        idempotent_answer.c.request,
        idempotent_answer.c.status,
        idempotent_answer.c.media_type,
        idempotent_answer.c.headers,
        idempotent_answer.c.body,
    ).where(
        idempotent_answer.c.caller == sa.bindparam("caller"),
        idempotent_answer.c.key == sa.bindparam("key"),
    )
)
_KEEP = query(
    sa.insert(idempotent_answer).values(
        {
            name: sa.bindparam(name)
            for name in ("caller", "key", "request", "status", "media_type", "headers", "body", "kept_at")
        }
    )
)
_PURGE = query(
    sa.delete(idempotent_answer).where(
        sa.tuple_(idempotent_answer.c.caller, idempotent_answer.c.key).in_(
            sa.select(idempotent_answer.c.caller, idempotent_answer.c.key)
            .where(idempotent_answer.c.kept_at < sa.bindparam("before"))
            .order_by(idempotent_answer.c.kept_at)
            .limit(sa.bindparam("most"))
        )
    )
)


class Key:
    """One caller's key for one request.

    caller: subject and client, so that nobody ever gets another's answer. secret: what kept answers are sealed with.
    Raises KeyInvalid.
    """

    __slots__ = ("_seal", "caller", "key", "request")

    def __init__(self, caller: str, key: str, method: str, target: str, body: bytes, *, secret: bytes) -> None:
        if not 0 < len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
            raise KeyInvalid
        self.caller = caller
        self.key = key
        self.request = hashlib.sha256(f"{method} {target}\n".encode("utf-8", "surrogatepass") + body).digest()
        self._seal = AESGCM(hmac.digest(secret, f"crm kept answer\n{caller}\n{key}".encode(), "sha256"))

    async def earlier(self, session: WriteSession) -> Answer | None:
        """The kept answer; None means: go on, the key is ours until the transaction ends.

        Raises KeyRunning, KeyReused, AnswerLost.
        """
        lock = hashlib.blake2b(f"{self.caller}\n{self.key}".encode(), digest_size=8, person=b"crm-idem").digest()
        if not await session.value(_LOCK, lock=int.from_bytes(lock, "big", signed=True)):
            raise KeyRunning
        # After the lock, in a statement of its own: only a later snapshot sees what the lock's last holder committed.
        row = await session.first(_FIND, caller=self.caller, key=self.key)
        if row is None:
            return None
        if row["request"] != self.request:
            raise KeyReused
        headers: dict[str, str] = {**row["headers"], "idempotency-replayed": "true"}
        try:
            body = self._seal.decrypt(row["body"][:_NONCE], row["body"][_NONCE:], self.request)
        except InvalidTag as error:
            raise AnswerLost from error
        return Answer(row["status"], body, row["media_type"], headers)

    async def keep(self, session: WriteSession, answer: Answer, now: dt.datetime) -> None:
        """Keep a 2xx answer, in the transaction whose work it reports."""
        nonce = os.urandom(_NONCE)
        await session.execute(
            _KEEP,
            caller=self.caller,
            key=self.key,
            request=self.request,
            status=answer.status,
            media_type=answer.media_type,
            headers=answer.headers,
            body=nonce + self._seal.encrypt(nonce, answer.body, self.request),
            kept_at=now,
        )


async def purge(session: WriteSession, now: dt.datetime) -> int:
    """Forget answers older than KEPT, at most 1,000 a call; answers how many. Call it again while it is that many."""
    return await session.execute(_PURGE, before=now - KEPT, most=PURGED_AT_ONCE)
