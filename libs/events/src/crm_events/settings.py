"""What relay and consumers need to know of their surroundings."""

from dataclasses import dataclass, field
from typing import Any

from crm_events.login import Login


@dataclass(frozen=True)
class BusSettings:
    """service: its name, as in the registry. bootstrap: the broker's address. dsn: the service's own database, direct (no
    pooler in transaction mode): the relay's lock belongs to a session. idempotence: off only for the embedded broker, which has
    no idempotent producer.

    fetch_wait_ms: how long the broker may hold a fetch back when nothing is there. Apache Kafka answers as soon as something
    comes; the embedded broker looks again only in steps that grow with this, and each look costs it. Measured with 6 readers of 60
    partitions, at rest: 50 ms 73 % of a processor, 200 ms 22 %, 500 ms 11 %; until a record arrives: 8, 19, 50 ms at the median.

    takes_all: each worker process reads all partitions instead of sharing them with others. None: on the embedded broker, which
    takes 3 to 11 s to let a member into a group (0.1 s without one, measured) and serves one worker per service. It is a
    question of speed only: what two processes read twice is applied once (rule 5).
    """

    service: str
    bootstrap: str
    dsn: str
    idempotence: bool = True
    session_timeout_ms: int = 10_000
    takes_all: bool | None = None
    #: After so long without an answer a connection to the broker is given up, and the request made on another one; a broker that
    #: fell silent is lost for so long. More than a member of a group may need to leave its partitions (half of session_timeout_ms).
    request_timeout_ms: int = 15_000
    #: Rule 9; tests with no other services make it short.
    gate_seconds: float = 5.0
    #: Services whose reports a new leader waits for; None: all that the registry names as consumers. Others are heard all the same.
    expected_services: frozenset[str] | None = None

    #: How it logs in at the broker.
    login: Login = field(default_factory=Login)

    #: After so much silence a resync that is under way is asked for again.
    resync_seconds: float = 10.0

    @property
    def fetch_wait_ms(self) -> int:
        return 500 if self.idempotence else 200

    @property
    def shares_partitions(self) -> bool:
        """Whether the processes of a group share its partitions by the broker's group protocol."""
        return self.idempotence if self.takes_all is None else not self.takes_all

    @property
    def client(self) -> dict[str, Any]:
        """The arguments with which every client of the bus reaches it and logs in."""
        return self.login.client(self.bootstrap)

    @property
    def client_id(self) -> str:
        return f"crm-{self.service}"
