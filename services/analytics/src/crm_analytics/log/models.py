"""What the feed answers."""

import datetime as dt
import uuid
from typing import Any

from pydantic import BaseModel, Field


class LoggedEvent(BaseModel):
    """One event. position: its place in the log, ascending; time: when it was recorded; data: as in its schema (see /api/events)."""

    id: uuid.UUID
    position: int
    topic: str
    type: str
    source: str
    subject: uuid.UUID
    version: int
    time: dt.datetime
    occurred_at: dt.datetime
    actor_id: uuid.UUID | None
    write_id: uuid.UUID | None
    data: dict[str, Any]


class EventPage(BaseModel):
    """Events in the order of the log."""

    items: list[LoggedEvent]
    next: str | None = Field(description="Cursor of the next page; null when there is nothing more now")
    resume: str | None = Field(
        description="Cursor behind the last of these events, also at the end: ask with it for what comes later. "
        "Null when nothing was ever found"
    )
