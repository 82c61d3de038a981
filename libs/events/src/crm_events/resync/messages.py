"""What travels: requests as JSON on one control topic, answers as the original events with a few more headers on another."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from crm_contracts import Envelope
from crm_events.resync.rules import Asked, Page

Kind = Literal["state", "journal"]

#: The headers of an answer's records, besides the event's own.
REQUEST, GROUP, ATTEMPT, AFTER, TO = "crm_resync", "crm_group", "crm_attempt", "crm_page_after", "crm_page_to"
PAGE, PLACE, BEFORE, COUNT = "crm_page", "crm_page_place", "crm_page_before", "crm_page_records"
TOTAL, REFUSAL, UNKNOWN = "crm_complete", "crm_refusal", "crm_unknown"


@dataclass(frozen=True)
class Request:
    """What a group asks for, and where it stands.

    kind: `state`: of each record the newest event; `journal`: all its events, in order. ids: of these records only. since: only events
    with this id or a later one. types: only these.
    """

    id: uuid.UUID
    service: str
    group: str
    topic: str
    kind: Kind
    asked: Asked
    ids: tuple[uuid.UUID, ...] | None = None
    since: uuid.UUID | None = None
    types: tuple[str, ...] | None = None

    def encode(self) -> bytes:
        return orjson.dumps(
            {
                "id": self.id,
                "service": self.service,
                "group": self.group,
                "topic": self.topic,
                "kind": self.kind,
                "ids": self.ids,
                "since": self.since,
                "types": self.types,
                "attempt": self.asked.attempt,
                "cursor": self.asked.cursor,
                "applied": self.asked.applied,
            }
        )

    @classmethod
    def decode(cls, value: bytes | None) -> "Request":
        """Raises ValueError (KeyError, TypeError) for what is no request."""
        told = orjson.loads(value or b"")
        cursor = told["cursor"]
        return cls(
            id=uuid.UUID(told["id"]),
            service=str(told["service"]),
            group=str(told["group"]),
            topic=str(told["topic"]),
            kind="journal" if told["kind"] == "journal" else "state",
            asked=Asked(int(told["attempt"]), None if cursor is None else str(cursor), int(told["applied"])),
            ids=None if told["ids"] is None else tuple(uuid.UUID(one) for one in told["ids"]),
            since=None if told["since"] is None else uuid.UUID(told["since"]),
            types=None if told["types"] is None else tuple(str(one) for one in told["types"]),
        )


@dataclass(frozen=True)
class Part:
    """One record of a page. event: None on the last page and on refusals; `unknown` names a record that the owner doesn't know."""

    request: uuid.UUID
    group: str
    page_id: str
    place: int
    page: Page
    event: Envelope | None = None
    unknown: uuid.UUID | None = None

    @property
    def key(self) -> bytes:
        return self.event.key if self.event is not None else str(self.unknown or self.request).encode()

    @property
    def value(self) -> bytes:
        return self.event.data if self.event is not None else b"{}"

    def headers(self) -> list[tuple[str, bytes]]:
        """Without publication number: to everybody but the asker it is nothing (rule 2)."""
        page = self.page
        own = {
            REQUEST: str(self.request),
            GROUP: self.group,
            PAGE: self.page_id,
            PLACE: str(self.place),
            BEFORE: str(page.before),
            COUNT: str(page.count),
            ATTEMPT: str(page.attempt),
            AFTER: page.after,
            TO: page.to,
            TOTAL: None if page.total is None else str(page.total),
            REFUSAL: page.refusal,
            UNKNOWN: None if self.unknown is None else str(self.unknown),
        }
        pairs = [(name, value.encode()) for name, value in own.items() if value is not None]
        return [*(self.event.headers() if self.event is not None else ()), *pairs]

    @classmethod
    def read(cls, headers: Sequence[tuple[str, bytes]], value: bytes | None, topic: str = "") -> "Part":
        """Raises KeyError, ValueError (NotAnEnvelope too) for what is no answer."""
        found = {name: content.decode() for name, content in headers}
        total, unknown = found.get(TOTAL), found.get(UNKNOWN)
        page = Page(
            attempt=int(found[ATTEMPT]),
            after=found.get(AFTER),
            to=found.get(TO),
            before=int(found[BEFORE]),
            count=int(found[COUNT]),
            total=None if total is None else int(total),
            refusal=found.get(REFUSAL),
        )
        return cls(
            request=uuid.UUID(found[REQUEST]),
            group=found[GROUP],
            page_id=found[PAGE],
            place=int(found[PLACE]),
            page=page,
            event=Envelope.read(headers, value, topic=topic) if "ce_id" in found else None,
            unknown=None if unknown is None else uuid.UUID(unknown),
        )


@dataclass
class Pages:
    """Puts the records of pages together, as they come; keeps one unfinished page per request."""

    _open: dict[uuid.UUID, tuple[str, dict[int, Part]]] = field(default_factory=dict)

    def add(self, part: Part) -> list[Part] | None:
        """All records of the part's page when it was the last one that was missing; else None."""
        if part.page.count == 0:
            return [part]
        page_id, parts = self._open.get(part.request, ("", {}))
        if page_id != part.page_id:
            parts = {}
            self._open[part.request] = (part.page_id, parts)
        parts[part.place] = part
        if len(parts) < part.page.count:
            return None
        del self._open[part.request]
        return [parts[place] for place in sorted(parts)]

    def clear(self) -> None:
        """Forget what is unfinished."""
        self._open.clear()
