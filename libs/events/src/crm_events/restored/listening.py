"""Waiting until a group has heard everything that lies on the bus of some topics. It says so in its reports (rule 7)."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from crm_contracts import Topic, control
from crm_events.closing import closed
from crm_events.login import Login
from crm_events.reports import GroupReport


async def unheard(
    bootstrap: str, group: str, topics: Sequence[Topic], seconds: float, login: Login | None = None
) -> list[tuple[str, int]]:
    """Wait until the group has said of every partition that it is at the end of the log; answers those of which it hasn't within `seconds`.

    Only for topics that nobody writes meanwhile. login: who may read the reports. KafkaError when the broker is away.
    """
    wanted = {(topic.name, partition) for topic in topics for partition in range(topic.partitions)}
    at = TopicPartition(control.REPORTS.name, 0)
    client = (login or Login()).client(bootstrap)
    consumer = AIOKafkaConsumer(**client, enable_auto_commit=False, auto_offset_reset="latest")
    await consumer.start()
    try:
        consumer.assign([at])
        await consumer.seek_to_end(at)
        until = asyncio.get_running_loop().time() + seconds
        while wanted and (left := until - asyncio.get_running_loop().time()) > 0:
            got = await consumer.getmany(at, timeout_ms=int(min(left, 0.5) * 1000))
            for record in (record for records in got.values() for record in records):
                try:
                    said = GroupReport.decode(record.value)
                except (ValueError, KeyError, TypeError):
                    continue  # Not a report: there is nothing to hear of it.
                if said.group == group:
                    ended = {
                        (topic, n)
                        for topic, n, report in said.partitions
                        if report.position is not None and report.lacking
                    }
                    wanted -= ended
        return sorted(wanted)
    finally:
        await closed(consumer, "the reader of reports")
