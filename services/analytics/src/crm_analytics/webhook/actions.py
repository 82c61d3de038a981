"""Making, changing and ending webhooks, and having something sent again."""

import datetime as dt
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from crm_analytics.access.store import heard_up_to
from crm_analytics.feed.rules import checked_types
from crm_analytics.feed.store import first_since, position_of
from crm_analytics.settings import AnalyticsSettings
from crm_analytics.webhook import store
from crm_analytics.webhook.addresses import check_url
from crm_analytics.webhook.rules import MAX_WEBHOOKS, OVERLAP, Reason, ReplayRefused, TooManyWebhooks
from crm_analytics.webhook.sealing import Seal
from crm_analytics.webhook.signing import SECRET_BYTES
from crm_analytics.webhook.store import Row
from crm_analytics.webhook.tables import webhook as webhook_table
from crm_authz import ActionClass
from crm_contracts import Access, Event, registry
from crm_contracts.analytics import WebhookChanged, WebhookCreated, WebhookDeleted, WebhookDisabled, WebhookState
from crm_database import WriteSession
from crm_events.record import Step, record
from crm_kernel import FieldError, NotFound, new_id
from crm_web import ReadUnit, SessionlessUnit, WriteUnit

Unit = ReadUnit | WriteUnit | SessionlessUnit

#: What is seen of a change in its event; addresses and secrets are not.
_TOLD = ("types", "description", "status")


@dataclass(frozen=True)
class Made:
    """A webhook as it was written, with the secret that is shown this once."""

    row: Mapping[str, Any]
    secret: bytes


def settings_of(unit: Unit) -> AnalyticsSettings:
    """This service's settings."""
    return cast(AnalyticsSettings, unit.runtime.settings)


def seal_of(unit: Unit) -> Seal:
    """What secrets are sealed with."""
    return Seal(settings_of(unit).key)


def whose(unit: Unit, action: ActionClass) -> uuid.UUID | None:
    """Whose webhooks the caller reaches: their own alone, or everybody's (None) when their scope reaches everything.

    Nothing between: who might change a subordinate's webhook would have that one's records sent to an address of their own.
    """
    return None if unit.scope("analytics.webhook", action).everything else unit.caller.user_id


def _within(row: Row | None, owner_id: uuid.UUID | None) -> Row:
    if row is None or (owner_id is not None and row["owner_id"] != owner_id):
        raise NotFound
    return row


async def read_webhook(unit: ReadUnit, webhook_id: uuid.UUID) -> Row:
    """A webhook that the caller reaches. Raises NotFound."""
    return _within(await store.read(unit.session, webhook_id), whose(unit, "read"))


async def create_webhook(unit: WriteUnit, values: Mapping[str, Any]) -> Made:
    """Make a webhook of the caller's; it begins with what is recorded from now on.

    Raises TooManyWebhooks, AddressRefused, TypeUnknown.
    """
    url, types = _address(unit, values["url"]), checked_types(values["types"], registry.events, "/types")
    owner_id = unit.caller.user_id
    if await store.how_many(unit.session, owner_id) >= MAX_WEBHOOKS:
        raise TooManyWebhooks(f"At most {MAX_WEBHOOKS}; delete one first")
    webhook_id, secret = new_id(), os.urandom(SECRET_BYTES)
    row = {
        "owner_id": owner_id,
        "url": url,
        "types": list(types),
        "description": values["description"],
        "status": "active",
        "reason": None,
        "status_since": unit.now,
        "secret_since": unit.now,
        "created_at": unit.now,
        "updated_at": unit.now,
    }
    sealed = seal_of(unit).close(webhook_id, secret)
    await record(
        unit.session,
        [
            Step(
                table=webhook_table,
                id=webhook_id,
                event=WebhookCreated,
                state=state_of(row),
                values={**row, "secret": _bytes(sealed)},
                new=True,
                access=Access(owner_id=owner_id),
                credit=unit.directory.credit_of(owner_id),
            )
        ],
    )
    await store.start_work(unit.session, webhook_id, await heard_up_to(unit.session), unit.now)
    return Made({**row, "id": webhook_id, "version": 1, "previous_until": None}, secret)


async def change_webhook(unit: WriteUnit, webhook_id: uuid.UUID, values: Mapping[str, Any]) -> None:
    """Change what is given: address, types, description, and whether it is active or paused. Raises NotFound, Stale, and as creating.

    A webhook made active again goes on where it stopped, and tries at once.
    """
    row = await _lock(unit, webhook_id)
    new = dict(values)
    if "url" in new:
        new["url"] = _address(unit, new["url"])
    if "types" in new:
        new["types"] = list(checked_types(new["types"], registry.events, "/types"))
    new = {name: value for name, value in new.items() if value != row[name]}
    if not new:
        return
    if "status" in new:
        new |= {"reason": None, "status_since": unit.now}
    await _write(unit.session, row, WebhookChanged, new)
    if new.get("status") == "active" or "url" in new:
        await store.wake(unit.session, webhook_id, unit.now)


async def rotate_secret(unit: WriteUnit, webhook_id: uuid.UUID) -> Made:
    """Give a webhook a new secret; the one before signs as well for a day. Raises NotFound, Stale."""
    row = await _lock(unit, webhook_id)
    secret, seal = os.urandom(SECRET_BYTES), seal_of(unit)
    usable = seal.opens(row["id"], row["secret"])
    new = {
        "secret": _bytes(seal.close(webhook_id, secret)),
        "secret_since": unit.now,
        "previous_secret": _bytes(row["secret"]) if usable else None,
        "previous_until": unit.now + OVERLAP if usable else None,
    }
    await _write(
        unit.session, row, WebhookChanged, new, {"secret_since": (_text(row["secret_since"]), _text(unit.now))}
    )
    return Made({**row, **new, "version": row["version"] + 1}, secret)


async def delete_webhook(unit: WriteUnit, webhook_id: uuid.UUID) -> None:
    """End a webhook for good; its secrets are forgotten. Raises NotFound, Stale."""
    row = await _lock(unit, webhook_id, "delete")
    new = {"deleted_at": unit.now, "secret": _bytes(b""), "previous_secret": None, "previous_until": None}
    await _write(unit.session, row, WebhookDeleted, new)
    await store.forget_work(unit.session, webhook_id)


async def replay(
    unit: WriteUnit,
    webhook_id: uuid.UUID,
    *,
    event_id: uuid.UUID | None = None,
    position: int | None = None,
    since: dt.datetime | None = None,
) -> tuple[int, int]:
    """Have everything sent again from an event, a position of the log, or an instant on; answers the first and last position.

    Raises NotFound, ReplayRefused when nothing is there.
    """
    row = await _lock(unit, webhook_id)
    pointer = "/event_id" if event_id is not None else "/position" if position is not None else "/since"
    first = position
    if event_id is not None:
        first = await position_of(unit.session, event_id)
    elif since is not None:
        first = await first_since(unit.session, since)
    until = await heard_up_to(unit.session)
    if first is None or first > until:
        detail = "The log has nothing from there on"
        raise ReplayRefused(detail, errors=[FieldError(pointer, ReplayRefused.code, detail)])
    await _write(unit.session, row, WebhookChanged, {}, {"replayed_from": (None, first)})
    await store.replay(unit.session, webhook_id, first - 1, until, unit.now)
    return first, until


async def disable(session: WriteSession, row: Row, reason: Reason) -> None:
    """Stop sending, and say why. The row is locked."""
    new = {"status": "disabled", "reason": reason, "status_since": session.context.now}
    await _write(session, row, WebhookDisabled, new)


async def _lock(unit: WriteUnit, webhook_id: uuid.UUID, action: ActionClass = "write") -> Row:
    row = _within(await store.lock(unit.session, webhook_id), whose(unit, action))
    unit.require_match(row["version"])
    return row


async def _write(
    session: WriteSession,
    row: Row,
    event: type[Event[WebhookState]],
    new: Mapping[str, Any],
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    values = {**new, "updated_at": session.context.now}
    after = {**row, **values}
    told: dict[str, tuple[Any, Any]] = {name: (row[name], new[name]) for name in _TOLD if name in new}
    if "url" in new:
        told["url"] = (None, None)
    await record(
        session,
        [
            Step(
                table=webhook_table,
                id=row["id"],
                event=event,
                state=state_of(after),
                values=values,
                changes={**told, **(changes or {})},
                access=Access(owner_id=row["owner_id"]),
            )
        ],
    )


def state_of(row: Mapping[str, Any]) -> WebhookState:
    """A webhook's row as events tell it."""
    parts = urlsplit(row["url"])
    return WebhookState(
        owner_id=row["owner_id"],
        scheme=parts.scheme,
        host=parts.hostname or "",
        types=row["types"],
        description=row["description"],
        status=row["status"],
        reason=row["reason"],
        status_since=row["status_since"],
        secret_since=row["secret_since"],
        deleted=row.get("deleted_at") is not None,
    )


def secrets_of(seal: Seal, row: Mapping[str, Any], now: dt.datetime) -> Sequence[bytes]:
    """What a message is signed with at an instant: the newest secret first."""
    found = [seal.open(row["id"], row["secret"])]
    if row["previous_secret"] is not None and row["previous_until"] > now:
        found.append(seal.open(row["id"], row["previous_secret"]))
    return found


def _address(unit: WriteUnit, url: str) -> str:
    settings = settings_of(unit)
    check_url(url, allow_http=settings.webhook_allow_http, allowed=settings.allowed_networks, pointer="/url")
    return url


def _bytes(sealed: bytes) -> str:
    """Bytes in the form that a row's JSON brings them to PostgreSQL in."""
    return f"\\x{sealed.hex()}"


def _text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
