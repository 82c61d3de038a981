"""CloudEvents 1.0 in Kafka's binary mode: attributes in `ce_*` headers, data in the record's value."""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

Headers = list[tuple[str, bytes]]


class NotAnEnvelope(ValueError):
    """A record without the attributes that ours always have; says which is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as it travels.

    id: the event's id, the same for ever. type, source, subject: as in CloudEvents; the subject is the record's id and the
    record's key. time: when it was recorded. sequence: the publication number, dense per (topic, partition); 0 for control
    records. stream: which numbering it belongs to. write_id: the transaction it was recorded in. data: JSON bytes.
    tombstone: the number of an event that could never be sent; it carries nothing.
    """

    id: uuid.UUID
    type: str
    source: str
    subject: uuid.UUID
    time: dt.datetime
    data: bytes
    sequence: int = 0
    stream: str = ""
    write_id: uuid.UUID | None = None
    traceparent: str | None = None
    tombstone: bool = False
    topic: str = ""
    partition: int = -1
    offset: int = -1
    extensions: dict[str, str] = field(default_factory=dict)

    @property
    def payload(self) -> dict[str, Any]:
        """The data as Python values. ValueError when it is no JSON object."""
        value = orjson.loads(self.data)
        if not isinstance(value, dict):
            raise NotAnEnvelope("the data is no JSON object")
        return value

    @property
    def key(self) -> bytes:
        return str(self.subject).encode()

    def headers(self) -> Headers:
        """Kafka headers, CloudEvents binary mode."""
        pairs = {
            "ce_specversion": "1.0",
            "ce_id": str(self.id),
            "ce_type": self.type,
            "ce_source": self.source,
            "ce_subject": str(self.subject),
            "ce_time": self.time.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
            "ce_partitionkey": str(self.subject),
            "content-type": "application/json",
        }
        if self.sequence:
            pairs["ce_sequence"] = str(self.sequence)
        if self.stream:
            pairs["ce_stream"] = self.stream
        if self.write_id is not None:
            pairs["ce_writeid"] = str(self.write_id)
        if self.traceparent:
            pairs["traceparent"] = self.traceparent
        if self.tombstone:
            pairs["ce_tombstone"] = "true"
        return [(name, value.encode()) for name, value in pairs.items()]

    @classmethod
    def read(
        cls,
        headers: Iterable[tuple[str, bytes]],
        value: bytes | None,
        *,
        topic: str = "",
        partition: int = -1,
        offset: int = -1,
    ) -> "Envelope":
        """An envelope from a Kafka record. NotAnEnvelope when an attribute is missing or can't be read."""
        found = {name.lower(): content for name, content in headers}
        try:
            write_id = found.get("ce_writeid")
            traceparent = found.get("traceparent")
            return cls(
                id=uuid.UUID(found["ce_id"].decode()),
                type=found["ce_type"].decode(),
                source=found["ce_source"].decode(),
                subject=uuid.UUID(found["ce_subject"].decode()),
                time=dt.datetime.fromisoformat(found["ce_time"].decode()),
                data=value or b"{}",
                sequence=int(found.get("ce_sequence", b"0")),
                stream=found.get("ce_stream", b"").decode(),
                write_id=uuid.UUID(write_id.decode()) if write_id else None,
                traceparent=traceparent.decode() if traceparent else None,
                tombstone=found.get("ce_tombstone") == b"true",
                topic=topic,
                partition=partition,
                offset=offset,
            )
        except (KeyError, ValueError) as error:
            raise NotAnEnvelope(f"{type(error).__name__}: {error}") from error
