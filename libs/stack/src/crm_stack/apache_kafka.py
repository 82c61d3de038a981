"""Apache Kafka without a container engine: one KRaft node from its Maven artifacts (`deploy/kafka/pom.xml`), for tests and benches.

Needs Java 17 or newer, and Maven the first time. The libraries (54 MB) are kept in a cache outside the repository:
`CRM_KAFKA_CACHE`, or `~/.cache/pelagic/kafka`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from crm_stack.child_server import ChildServer
from crm_stack.ports import LOOPBACK, free_port
from crm_stack.probes import KAFKA

POM = Path(__file__).resolve().parents[4] / "deploy" / "kafka" / "pom.xml"
# Kafka writes its index and closes its log on SIGTERM.
STOP_STEPS = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))
_HEAP_MB = 400


class KafkaDidNotStart(Exception):
    """Apache Kafka could not be fetched or started; the text tells which, with the last lines of the log."""


def why_unavailable() -> str | None:
    """Why Apache Kafka cannot be started on this machine; None when it can."""
    java = shutil.which("java")
    if java is None:
        return "there is no Java"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version.group(1)) < 17:
        return f"Java 17 or newer is needed, here is {said.splitlines()[0] if said else 'an unknown one'}"
    if not (_library_folder() / "complete").exists() and shutil.which("mvn") is None:
        return "there is no Maven to fetch it with"
    return None


def libraries() -> Path:
    """The folder with Kafka's jars, fetched by Maven if this version is not there yet.

    Raises:
        KafkaDidNotStart: Maven could not fetch them.
    """
    folder = _library_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
            try:
                answer = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)  # noqa: S603
            except subprocess.TimeoutExpired as late:
                raise KafkaDidNotStart("Maven did not fetch Apache Kafka within 10 minutes") from late
            if answer.returncode != 0:
                raise KafkaDidNotStart(
                    f"Maven could not fetch Apache Kafka:\n{(answer.stdout + answer.stderr)[-2000:]}"
                )
            (folder / "complete").touch()
    return folder


def _library_folder() -> Path:
    cache = os.environ.get("CRM_KAFKA_CACHE")
    root = Path(cache) if cache else Path.home() / ".cache" / "pelagic" / "kafka"
    return root / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]


class ApacheKafka(ChildServer):
    """One Kafka node, broker and controller in one, over `<folder>`; its log survives `stop` and `kill`."""

    title = "Apache Kafka"
    steps = STOP_STEPS
    did_not_start = KafkaDidNotStart

    def __init__(self, folder: Path, port: int | None = None, *, advertised: str | None = None) -> None:
        """Describe the node; nothing is started yet. `port` None takes a free one, for good.

        advertised: what it tells clients to connect to ("host:port"), where that is not itself but something that leads to it.
        """
        super().__init__(folder, port or free_port(), folder.absolute() / "kafka.log")
        self._advertised = advertised
        self._controller_port = free_port()

    @property
    def bootstrap(self) -> str:
        """The address for Kafka clients."""
        return self._advertised or f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Fetch the libraries, write the settings, and format the storage the first time.

        Raises:
            KafkaDidNotStart: it could not be fetched or formatted.
        """
        super().prepare()
        lines = (f"{name}={value}\n" for name, value in self.settings().items())
        self._settings.write_text("".join(lines), encoding="utf-8")
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(f"{libraries()}/*")

    def command(self) -> list[str]:
        """Kafka's command line."""
        command = ["java", f"-Xmx{_HEAP_MB}m", f"-Xms{_HEAP_MB // 4}m", "-XX:+UseSerialGC", "-Dlog4j2.level=INFO"]
        return [*command, "-cp", f"{libraries()}/*", "kafka.Kafka", str(self._settings)]

    def is_ready(self) -> bool:
        """Whether the node answers now."""
        return KAFKA.ask(self.port)

    def start(self, seconds: float = 90.0) -> str:
        """Start the node as our child and wait until it answers; returns `bootstrap`.

        Raises:
            KafkaDidNotStart: it could not be fetched, ended, or did not answer within `seconds`.
        """
        self._run(seconds)
        return self.bootstrap

    def wipe(self) -> None:
        """Start again with an empty log, on the same port."""
        self.kill()
        shutil.rmtree(self.folder / "data")
        self.start()

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"

    def settings(self) -> dict[str, str]:
        """What stands in its `server.properties`."""
        data = str(self.folder / "data").replace("\\", "\\\\")
        controller = f"{LOOPBACK}:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": data,
            "num.partitions": "1",
            # One node keeps one copy of everything, its own bookkeeping included.
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "2",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After a `kill` the controller waits this long before it lets the node in again (9 s unless told).
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            # Room for the log cleaner's threads costs heap that a test node does not have.
            "log.cleaner.dedupe.buffer.size": "16777216",
        }

    def _format(self, classpath: str) -> None:
        command = ["java", "-Xmx128m", "-cp", classpath, "kafka.tools.StorageTool", "format"]
        command += ["-t", uuid.uuid4().hex[:22], "-c", str(self._settings)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if answer.returncode != 0:
            raise KafkaDidNotStart(f"Kafka's storage was not formatted:\n{(answer.stdout + answer.stderr)[-2000:]}")
