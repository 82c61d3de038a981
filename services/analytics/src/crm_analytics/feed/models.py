"""What the feed answers."""

import datetime as dt
import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EVENT_EXAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "01900000-0000-7000-8000-000000000099",
    "type": "crm.sales.opportunity.won.v1",
    "source": "/crm/sales",
    "subject": "01900000-0000-7000-8000-000000000010",
    "time": "2026-03-01T09:00:00Z",
    "datacontenttype": "application/json",
    "position": 4711,
    "data": {"version": 7, "state": {"name": "Example"}},
}
PAGE_EXAMPLE: dict[str, Any] = {"items": [EVENT_EXAMPLE], "cursor": "bm9uc2Vuc2U", "more": False}


class CloudEvent(BaseModel):
    """An event as CloudEvents 1.0. subject: the record. time: when it was recorded. position: its place in the log, ascending.

    data: as in the schema of its type (`/api/events`). One event has the same `id` wherever and however often it is told.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EVENT_EXAMPLE]})

    specversion: Literal["1.0"]
    id: uuid.UUID
    type: str
    source: str
    subject: uuid.UUID
    time: dt.datetime
    datacontenttype: Literal["application/json"]
    position: int
    data: dict[str, Any]


class FeedPage(BaseModel):
    """Events in the order of the log. It may have none although there are more: then the part looked at had none for you."""

    items: list[CloudEvent]
    cursor: str = Field(description="Where this ends: ask with it as `after` for what comes next, now or later")
    more: bool = Field(description="Whether the log goes on behind the cursor already; false: come back later")
