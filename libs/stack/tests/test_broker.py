"""The embedded broker, alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from crm_stack.broker import BrokerDidNotStart, EmbeddedBroker
from crm_stack.probes import KAFKA


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path) as running:
        yield running


async def _send(broker: EmbeddedBroker, topic: str) -> int:
    """Send one message; returns its offset."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        return int((await producer.send_and_wait(topic, b"x", partition=0)).offset)


async def test_a_wipe_empties_the_log_and_keeps_the_address(broker: EmbeddedBroker) -> None:
    topic = f"t-{uuid.uuid4().hex}"
    assert [await _send(broker, topic) for _ in range(3)] == [0, 1, 2]
    before = broker.bootstrap
    broker.wipe()
    assert broker.bootstrap == before
    assert await _send(broker, topic) == 0
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
        partition = TopicPartition(topic, 0)
        assert await consumer.end_offsets([partition]) == {partition: 1}


def test_settings_of_the_persons_shell_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENER_URL", "tcp://127.0.0.1:1")
    monkeypatch.setenv("STORAGE_ENGINE", "nonsense://")
    with EmbeddedBroker(tmp_path) as broker:
        assert broker.is_ready()


def test_a_taken_port_is_told_with_the_log(broker: EmbeddedBroker, tmp_path: Path) -> None:
    with pytest.raises(BrokerDidNotStart, match=str(broker.port)):
        EmbeddedBroker(tmp_path / "second", broker.port).start(10)


def test_it_does_not_answer_when_stopped(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    assert KAFKA.ask(broker.port)
    broker.stop()
    assert not KAFKA.ask(broker.port)
    assert broker.pid is None
