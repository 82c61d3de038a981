"""A process that keeps one server running for as long as a test session uses it, however many processes that has.

Workers of pytest-xdist start and end in any order, and can be killed; so none of them owns the server. Each user holds
a shared lock on a file. The keeper waits for the exclusive one: it gets it when the last user is gone, because the
kernel gives up the locks of a process that ended, however it ended. Then it stops the server and removes its folder.

Run as `python -m crm_testing.keeper KIND FOLDER`; called through `share`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from crm_stack.layout import workspace
from crm_stack.ports import LOOPBACK, free_port
from crm_stack.probes import KAFKA
from crm_stack.process import ProcessIdentity, spawn, tail, wait_until

DATABASE_OWNER = "crm_test"


class SharedServerFailed(Exception):
    """A server that tests share did not start; the text ends with its log."""


@contextmanager
def share(kind: str, folder: Path, seconds: float = 180.0) -> Iterator[dict[str, str]]:
    """Use the server `kind` of this test session, starting it if nobody did; yields what it tells of itself.

    Args:
        kind: one of `KINDS`.
        folder: the same for every process of the session; the server lives in `<folder>/<kind>`.

    Raises:
        SharedServerFailed: it did not start within `seconds`.
    """
    place = folder / kind
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{kind}.users").open("a") as users:
        with (folder / f"{kind}.start").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)  # Waits while an earlier keeper is just closing down.
            state = folder / f"{kind}.json"
            told = _read(state)
            if told is None:
                told = _start(kind, folder, place, state, seconds)
        yield told


def _read(state: Path) -> dict[str, str] | None:
    """What a living keeper wrote; None when there is none."""
    try:
        told: dict[str, str] = json.loads(state.read_text())
    except FileNotFoundError:
        return None
    keeper = ProcessIdentity(int(told["keeper_pid"]), int(told["keeper_started"]))
    return told if keeper.alive() else None


def _start(kind: str, folder: Path, place: Path, state: Path, seconds: float) -> dict[str, str]:
    shutil.rmtree(place, ignore_errors=True)
    state.unlink(missing_ok=True)
    log = folder / f"{kind}.log"
    keeper = spawn([sys.executable, "-m", "crm_testing.keeper", kind, str(folder)], log=log, death_signal=None)
    if not wait_until(lambda: state.exists() or keeper.poll() is not None, seconds) or not state.exists():
        keeper.kill()
        keeper.wait()
        raise SharedServerFailed(f"The shared {kind} did not start:\n{tail(log, 30)}")
    told = _read(state)
    if told is None:
        raise SharedServerFailed(f"The shared {kind} ended at once:\n{tail(log, 30)}")
    return told


@contextmanager
def _postgres(folder: Path) -> Iterator[Mapping[str, str]]:
    from crm_stack.postgres import PostgresServer

    with PostgresServer(folder, volatile=True) as server:
        # One owner for all databases of the session: a copy of a database keeps the owner of what is in it.
        owner = server.create_database(DATABASE_OWNER, DATABASE_OWNER)
        yield {"dsn": server.dsn, "owner_dsn": owner, "password": server.password, "port": str(server.port)}


@contextmanager
def _embedded_broker(folder: Path) -> Iterator[Mapping[str, str]]:
    from crm_stack.broker import EmbeddedBroker

    with EmbeddedBroker(folder) as broker:
        yield {"bootstrap": broker.bootstrap}


@contextmanager
def _apache_kafka(folder: Path) -> Iterator[Mapping[str, str]]:
    from crm_stack.apache_kafka import ApacheKafka

    with ApacheKafka(folder) as kafka:
        yield {"bootstrap": kafka.bootstrap}


@contextmanager
def _guarded_kafka(folder: Path) -> Iterator[Mapping[str, str]]:
    from crm_stack.guarded_kafka import GuardedKafka

    secrets = folder / "secrets"
    make = workspace() / "deploy" / "docker" / "make-secrets"
    subprocess.run([str(make), str(secrets)], check=True, capture_output=True, timeout=60)  # noqa: S603
    # So short that every test of a subscriber meets it.
    changed = {"listener.name.subscribers.scram-sha-512.connections.max.reauth.ms": "3000"}
    with GuardedKafka(folder / "node", secrets, changed) as kafka:
        yield {
            "bootstrap": kafka.bootstrap,
            "administration": kafka.administration,
            "outside": kafka.outside,
            "secrets": str(secrets),
        }


@contextmanager
def _kafka_container(_folder: Path) -> Iterator[Mapping[str, str]]:
    from testcontainers.core.container import DockerContainer

    port = free_port()
    # The library's interface takes a port only, the engine also an address: tests listen on loopback.
    container = DockerContainer("apache/kafka:4.1.0")
    container.ports["9092/tcp"] = (LOOPBACK, port)  # type: ignore[assignment]
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    for name, value in settings.items():
        container = container.with_env(name, value)
    with container:
        bootstrap = f"{LOOPBACK}:{port}"
        if not wait_until(lambda: KAFKA.ask(port), 120.0, pause=0.2):
            raise SharedServerFailed("Kafka in its container did not answer within 120 s")
        yield {"bootstrap": bootstrap}


KINDS: Mapping[str, Callable[[Path], AbstractContextManager[Mapping[str, str]]]] = {
    "postgres": _postgres,
    "embedded-broker": _embedded_broker,
    "apache-kafka": _apache_kafka,
    "guarded-kafka": _guarded_kafka,
    "kafka-container": _kafka_container,
}


def keep(kind: str, folder: Path) -> None:
    """Run the server until its last user is gone."""
    place = folder / kind
    identity = ProcessIdentity.of(os.getpid())
    assert identity is not None  # noqa: S101  (we are alive)
    # The lock is given up last, so that the next server of this name starts when this one is gone.
    with (folder / f"{kind}.users").open("a") as users:
        with KINDS[kind](place) as told:
            state = folder / f"{kind}.json"
            written = state.with_suffix(".new")
            own = {"keeper_pid": str(identity.pid), "keeper_started": str(identity.started)}
            written.touch(mode=0o600)
            written.write_text(json.dumps({**told, **own}))
            written.rename(state)
            _wait_for_last_user(users)
            # New users wait for our exclusive lock from here on, and find no state when they get theirs.
            state.unlink()
        shutil.rmtree(place)


def _wait_for_last_user(users: IO[str]) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)


if __name__ == "__main__":
    keep(sys.argv[1], Path(sys.argv[2]))
