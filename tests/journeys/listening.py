"""A program outside of the product that subscribes to its events, with an ordinary Kafka client and a group of its own."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer


@dataclass(frozen=True)
class Received:
    """One record as it came. number: the publication number; None where there is none."""

    topic: str
    partition: int
    key: str
    headers: dict[str, str]
    data: Any

    @property
    def number(self) -> int | None:
        """Its place in the numbering of topic, partition and stream."""
        return int(self.headers["ce_sequence"]) if "ce_sequence" in self.headers else None

    @property
    def type(self) -> str:
        """Its event type."""
        return self.headers["ce_type"]


@dataclass
class Listener:
    """Reads topics from their beginning, or from where its group stopped."""

    bootstrap: str
    topics: list[str]
    group: str = field(default_factory=lambda: f"journey-{uuid.uuid4().hex}")
    received: list[Received] = field(default_factory=list)

    async def __aenter__(self) -> "Listener":
        self._consumer = AIOKafkaConsumer(
            *self.topics,
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await self._consumer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.wait_for(self._consumer.stop(), 20)

    async def until(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Read on until the condition's answer is true; that answer. Fails the test after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            if time.monotonic() >= deadline:
                pytest.fail(f"not within {seconds:g} s: {what}; {len(self.received)} records came")
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                self.received += [_received(record) for record in records]
        return answer

    async def commit(self) -> None:
        """The group has done with all that was received."""
        await self._consumer.commit()

    def about(self, subject: str) -> list[Received]:
        """What was received about one record, in the order in which it came."""
        return [record for record in self.received if record.headers.get("ce_subject") == subject]

    def numbered(self) -> Iterator[Received]:
        """The facts: what has a number, without repetitions."""
        seen: dict[tuple[str, int, str], int] = {}
        for record in self.received:
            place = (record.topic, record.partition, record.headers.get("ce_stream", ""))
            if record.number is not None and record.number > seen.get(place, 0):
                seen[place] = record.number
                yield record


def _received(record: Any) -> Received:
    headers = {name: value.decode() for name, value in record.headers}
    key = (record.key or b"").decode()
    return Received(record.topic, record.partition, key, headers, orjson.loads(record.value or b"null"))
