"""Servers of a measurement that needs no services: PostgreSQL alone, or with a broker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crm_stack.apache_kafka import ApacheKafka, why_unavailable
from crm_stack.broker import EmbeddedBroker
from crm_stack.postgres import PostgresServer


@dataclass(frozen=True)
class Bus:
    """A broker. title: which; idempotence: whether it knows idempotent producers."""

    title: str
    bootstrap: str
    idempotence: bool


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A durable server in a folder that is removed afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="crm-bench-") as folder,
        PostgresServer(Path(folder) / "postgres") as server,
    ):
        yield server


@contextmanager
def buses() -> Iterator[tuple[PostgresServer, Bus]]:
    """PostgreSQL and a broker: Apache Kafka where it can be had, else the embedded one."""
    with postgres() as server, tempfile.TemporaryDirectory(prefix="crm-bench-bus-") as folder:
        lacking = why_unavailable()
        if lacking is None:
            with ApacheKafka(Path(folder) / "kafka") as kafka:
                yield server, Bus("Apache Kafka", kafka.bootstrap, idempotence=True)
        else:
            with EmbeddedBroker(Path(folder) / "broker") as broker:
                yield server, Bus(f"embedded ({lacking})", broker.bootstrap, idempotence=False)
