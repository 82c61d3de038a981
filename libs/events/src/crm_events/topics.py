"""Topics on the broker as the registry declares them."""

import functools
from collections.abc import Iterable

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidPartitionsError, KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from crm_contracts import Topic
from crm_events.login import Login

_log = structlog.get_logger("crm_events")


class TopicRefused(Exception):
    """The broker would not make a topic as the registry says."""


async def ensure(bootstrap: str, topics: Iterable[Topic], login: Login | None = None) -> list[str]:
    """Make the topics that the broker lacks, with partitions and retention; answers their names.

    Facts are never compacted (`cleanup.policy=delete`). As many copies as there are brokers, at most three. KafkaError when the broker is
    away, TopicRefused when it won't. A topic that has too few partitions gets the others: a broker that lost its topics, and makes
    them itself when somebody asks for them (Apache Kafka does unless told otherwise), makes them with one. Where an event
    goes is not the broker's to say: see `relay.rules.partitions_in_force`. login: how the broker is told who asks; None: it isn't.
    """
    declared = {topic.name: topic for topic in topics}
    admin = AIOKafkaAdminClient(**(login or Login()).client(bootstrap), request_timeout_ms=10_000)
    await admin.start()
    try:
        found = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        small = [t for t in declared.values() if 0 < found.get(t.name, 0) < t.partitions]
        if small:
            await _grow(admin, small)
        missing = sorted(declared.keys() - found.keys())
        if not missing:
            return []
        copies = min(3, len((await admin.describe_cluster())["brokers"]))
        answer = await admin.create_topics([_new(declared[name], copies) for name in missing], timeout_ms=10_000)
        for error in answer.topic_errors:
            kind = for_code(error[1])
            if error[1] and kind is not TopicAlreadyExistsError:
                raise TopicRefused(f"{error[0]}: {kind.__name__} {error[2] if len(error) > 2 else ''}")
        _log.info("topics made", topics=missing)
        return missing
    finally:
        await admin.close()


async def _grow(admin: AIOKafkaAdminClient, small: Iterable[Topic]) -> None:
    """More partitions, and the settings that a topic has which the broker made by itself doesn't have."""
    for topic in small:
        # The settings first: a topic that could not get them is still small, and met again the next time.
        (answer,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, _settings(topic))])
        for code, message, *_ in answer.resources:
            if code:
                raise TopicRefused(f"{topic.name}: {for_code(code).__name__} {message or ''}")
        try:
            await admin.create_partitions({topic.name: NewPartitions(topic.partitions)})
        except InvalidPartitionsError:
            continue  # Another process was faster.
        _log.warning("partitions added", topic=topic.name, partitions=topic.partitions)


def _new(topic: Topic, copies: int) -> NewTopic:
    return NewTopic(topic.name, topic.partitions, copies, topic_configs=_settings(topic))


def _settings(topic: Topic) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}


@functools.lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: Kafka's default partitioner (murmur2), as every other client computes it."""
    if partitions == 1:
        return 0
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


__all__ = ["KafkaError", "TopicRefused", "ensure", "partition_of"]
