"""A company whose parts are killed: on a stack of its own, with either broker."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from crm_stack.apache_kafka import ApacheKafka, why_unavailable
from crm_stack.local import Stack

from .company import ADMINISTRATOR, Company

SERVICES = ("identity", "customers", "sales", "billing", "support", "analytics")
#: App and worker of a service are apart where the broker is Apache Kafka.
KINDS = ("together-embedded-broker", "apart-apache-kafka")


@dataclass(frozen=True)
class Victim:
    """A company, and how its broker is killed and emptied; everything else is the stack's to kill."""

    company: Company
    kafka: ApacheKafka | None

    @property
    def processes(self) -> list[str]:
        """The parts that are programs of ours: a service, or its app and its worker."""
        return [part.name for part in self.company.stack.wait_ready().parts if part.name.split("-")[0] in SERVICES]

    def kill(self, part: str) -> None:
        """`kill -9`; what the stack doesn't start again by itself comes back here."""
        if part == "broker" and self.kafka is not None:
            self.kafka.kill()
            self.kafka.start()
        else:
            self.company.stack.kill(part)

    def wipe_broker(self) -> None:
        """The broker comes back with an empty log."""
        if self.kafka is not None:
            self.kafka.wipe()
        else:
            self.company.stack.wipe_broker()


@contextmanager
def victim_of(kind: str, folders: pytest.TempPathFactory, entry: tuple[Path, str] | None = None) -> Iterator[Victim]:
    """A company on a stack of one of KINDS. entry: what runs its services instead (Stack.start). Skips where Apache Kafka can't run."""
    with ExitStack() as closing:
        kafka = None
        if kind == "apart-apache-kafka":
            if (reason := why_unavailable()) is not None:
                pytest.skip(f"Apache Kafka can't run here: {reason}")
            kafka = closing.enter_context(ApacheKafka(folders.mktemp("kafka-victim")))
        stack = Stack.start(
            folders.mktemp("stack-victim"),
            administrator=ADMINISTRATOR,
            split=kafka is not None,
            broker="embedded" if kafka is None else "kafka",
            external_kafka=None if kafka is None else kafka.bootstrap,
            entry=entry,
        )
        closing.enter_context(stack)
        company = Company(stack)
        closing.callback(company.close)
        yield Victim(company, kafka)
