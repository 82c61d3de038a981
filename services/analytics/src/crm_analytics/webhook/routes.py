"""Webhooks over HTTP."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from crm_analytics.access.store import heard_up_to
from crm_analytics.feed.rules import TypeUnknown
from crm_analytics.webhook import actions, signing, store
from crm_analytics.webhook.models import (
    MADE_EXAMPLE,
    AttemptView,
    DeliveryDetail,
    DeliveryItem,
    DeliveryList,
    ReplayBody,
    Replayed,
    Tested,
    WebhookBody,
    WebhookList,
    WebhookMade,
    WebhookPatch,
    WebhookStanding,
    WebhookView,
)
from crm_analytics.webhook.rules import AddressRefused, ReplayRefused, State, TooManyWebhooks
from crm_analytics.webhook.sealing import SecretLost
from crm_analytics.webhook.sending import TIME_LIMIT, Sender
from crm_kernel import Conflict, NotFound, Stale, new_id
from crm_web import CursorInvalid, Json, Limits, ReadUnit, Router, SessionlessUnit, WriteUnit
from crm_web.answers import to_json

router = Router("analytics", tag="webhooks", module="analytics", scoped=True)

Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=2048)]
_READ, _UPDATE = "analytics.webhook:read", "analytics.webhook:update"
#: What a test message is; no event of the product has this type.
TEST_TYPE = "crm.analytics.webhook.test.v1"


class SecretUnusable(Conflict):
    """409: the secret can't be opened any more, because the deployment's key was replaced."""

    code = "webhook.secret_lost"
    title = "The webhook needs a new secret"


@router.post(
    "/webhooks",
    permission="analytics.webhook:create",
    summary="Have events sent to an address, from now on; the answer shows the secret, this once",
    status=201,
    errors=[AddressRefused, TypeUnknown, TooManyWebhooks],
    response=WebhookMade,
    example=MADE_EXAMPLE,
)
async def create_webhook(body: WebhookBody, unit: WriteUnit) -> Json:
    """Events are sent as far as you may read the records they are about, at the time of sending, by permission and data scope.

    Each request is signed as Standard Webhooks says; its body is the event as in the feed. A record's events come in order, the next one
    when the one before was answered with 2xx; what fails is tried for three days.
    """
    made = await actions.create_webhook(unit, body.model_dump())
    place = f"/api/analytics/v1/webhooks/{made.row['id']}"
    return Json(_made(made), status=201, etag=1, location=place)


@router.get("/webhooks", permission=_READ, summary="List your webhooks, the newest first", errors=[CursorInvalid])
async def list_webhooks(unit: ReadUnit, limit: Limit = 50, cursor: Cursor = None) -> WebhookList:
    """Everybody's, for those whose data scope for `analytics.webhook` reaches everything."""
    bound = ["webhooks"]
    after = None if cursor is None else uuid.UUID(unit.open_cursor(cursor, query=bound)[0])
    rows = await store.page(unit.session, actions.whose(unit, "read"), after, limit + 1)
    following = unit.sign_cursor([str(rows[limit - 1]["id"])], query=bound) if len(rows) > limit else None
    return WebhookList(items=[WebhookView(**_view(row)) for row in rows[:limit]], next=following)


@router.get(
    "/webhooks/{id}",
    permission=_READ,
    summary="Read a webhook and how far it is",
    errors=[NotFound],
    response=WebhookStanding,
)
async def read_webhook(id: uuid.UUID, unit: ReadUnit) -> Json:
    return await _standing(unit, id)


@router.patch(
    "/webhooks/{id}",
    permission=_UPDATE,
    summary="Change, pause or go on with a webhook",
    errors=[NotFound, Stale, AddressRefused, TypeUnknown],
    response=WebhookStanding,
)
async def change_webhook(id: uuid.UUID, body: WebhookPatch, unit: WriteUnit) -> Json:
    await actions.change_webhook(unit, id, body.model_dump(exclude_unset=True))
    return await _standing(unit, id)


@router.delete(
    "/webhooks/{id}",
    permission="analytics.webhook:delete",
    summary="End a webhook for good",
    status=204,
    errors=[NotFound, Stale],
)
async def delete_webhook(id: uuid.UUID, unit: WriteUnit) -> None:
    await actions.delete_webhook(unit, id)


@router.post(
    "/webhooks/{id}/rotate-secret",
    permission=_UPDATE,
    summary="Give a webhook a new secret, shown this once; for 24 hours messages are signed with the one before as well",
    errors=[NotFound, Stale],
    response=WebhookMade,
    example=MADE_EXAMPLE,
)
async def rotate_webhook_secret(id: uuid.UUID, unit: WriteUnit) -> Json:
    made = await actions.rotate_secret(unit, id)
    return Json(_made(made), etag=made.row["version"])


@router.post(
    "/webhooks/{id}/test",
    permission=_UPDATE,
    summary="Send a signed message now and tell what came of it",
    errors=[NotFound, SecretUnusable],
    limits=Limits(timeout_seconds=TIME_LIMIT + 5),
)
async def test_webhook(id: uuid.UUID, unit: SessionlessUnit) -> Tested:
    """The message has the type `crm.analytics.webhook.test.v1` and no data. It is tried once, whatever the webhook's status."""
    async with unit.database.read() as session:
        row = await store.read(session, id)
    owner_id = actions.whose(unit, "write")
    if row is None or owner_id not in (None, row["owner_id"]):
        raise NotFound
    try:
        secrets = actions.secrets_of(actions.seal_of(unit), row, unit.now)
    except SecretLost as error:
        raise SecretUnusable from error
    message_id = new_id()
    body = to_json(
        {
            "specversion": "1.0",
            "id": message_id,
            "type": TEST_TYPE,
            "source": "/crm/analytics",
            "subject": row["id"],
            "time": unit.now,
            "datacontenttype": "application/json",
            "data": {},
        }
    )
    # No connection of the database is held while it is sent.
    sender = Sender(actions.settings_of(unit).allowed_networks)
    made = await sender.send(row["url"], signing.headers(str(message_id), unit.now, body, secrets), body, unit.now)
    return Tested(
        succeeded=made.succeeded, seconds=made.seconds, status=made.status, answer=made.answer, error=made.error
    )


@router.post(
    "/webhooks/{id}/replay",
    permission=_UPDATE,
    summary="Have everything from an event, a position or an instant on sent again",
    status=202,
    errors=[NotFound, Stale, ReplayRefused],
    response=Replayed,
)
async def replay_webhook(id: uuid.UUID, body: ReplayBody, unit: WriteUnit) -> Json:
    """Messages have the same ids as the first time. What the owner may not read now isn't sent, even if it was then."""
    first, last = await actions.replay(unit, id, **body.model_dump())
    return Json(Replayed(first=first, last=last), status=202)


@router.get(
    "/webhooks/{id}/deliveries",
    permission=_READ,
    summary="List what was and is to be sent, those of the newest events first; kept for 30 days",
    errors=[NotFound, CursorInvalid],
)
async def list_deliveries(
    id: uuid.UUID, unit: ReadUnit, state: State | None = None, limit: Limit = 50, cursor: Cursor = None
) -> DeliveryList:
    row = await actions.read_webhook(unit, id)
    bound = ["deliveries", str(id), state]
    after = None
    if cursor is not None:
        seq, last = unit.open_cursor(cursor, query=bound)
        after = (int(seq), uuid.UUID(last))
    rows = await store.deliveries(unit.session, row["id"], state, after, limit + 1)
    following = None
    if len(rows) > limit:
        end = rows[limit - 1]
        following = unit.sign_cursor([end["seq"], str(end["event_id"])], query=bound)
    items = [DeliveryItem(**_delivery(one), status=one["status"], error=one["error"]) for one in rows[:limit]]
    return DeliveryList(items=items, next=following)


@router.get(
    "/webhooks/{id}/deliveries/{event_id}",
    permission=_READ,
    summary="Read a delivery with its attempts",
    errors=[NotFound],
)
async def read_delivery(id: uuid.UUID, event_id: uuid.UUID, unit: ReadUnit) -> DeliveryDetail:
    row = await actions.read_webhook(unit, id)
    found = await store.delivery(unit.session, row["id"], event_id)
    if found is None:
        raise NotFound
    attempts = await store.attempts(unit.session, row["id"], event_id)
    return DeliveryDetail(
        **_delivery(found),
        log=[AttemptView(**{name: one[name] for name in AttemptView.model_fields}) for one in attempts],
    )


async def _standing(unit: ReadUnit | WriteUnit, webhook_id: uuid.UUID) -> Json:
    row = await store.read(unit.session, webhook_id)
    work = await store.read_work(unit.session, webhook_id)
    if row is None or work is None or actions.whose(unit, "read") not in (None, row["owner_id"]):
        raise NotFound
    standing = {
        "pending": await store.pending(unit.session, webhook_id),
        "position": work.position,
        "head": await heard_up_to(unit.session),
    }
    return Json(WebhookStanding(**_view(row), **standing), etag=row["version"])


def _made(made: actions.Made) -> WebhookMade:
    return WebhookMade(**_view(made.row), secret=signing.shown(made.secret))


def _view(row: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name in WebhookView.model_fields if name != "previous_secret_until"]
    return {**{name: row[name] for name in names}, "previous_secret_until": row["previous_until"]}


def _delivery(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("event_id", "subject", "type", "state", "attempts", "taken_at", "first_attempt_at", "next_attempt_at")
    return {**{name: row[name] for name in names}, "position": row["seq"], "settled_at": row["settled_at"]}
