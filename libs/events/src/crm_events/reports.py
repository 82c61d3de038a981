"""Reports of consumer groups on the control topic (rule 7): small JSON records, neither journalled nor reported on."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from crm_events.relay.rules import Report


@dataclass(frozen=True)
class GroupReport:
    """One group's reports on the partitions that one of its processes reads.

    service: whose group it is. peers: all groups of that service that read these topics: who else is waited for (rule 9).
    """

    service: str
    group: str
    peers: tuple[str, ...]
    partitions: Sequence[tuple[str, int, Report]]

    def encode(self) -> bytes:
        return orjson.dumps(
            {
                "service": self.service,
                "group": self.group,
                "peers": self.peers,
                "partitions": [
                    [topic, partition, r.stream, r.watermark, r.position, r.lacking]
                    for topic, partition, r in self.partitions
                ],
            }
        )

    @classmethod
    def decode(cls, value: bytes | None) -> "GroupReport":
        """Raises ValueError (KeyError, TypeError) for what is no report."""
        said = orjson.loads(value or b"")
        group = str(said["group"])
        return cls(
            service=str(said["service"]),
            group=group,
            peers=tuple(str(peer) for peer in said["peers"]),
            partitions=[
                (
                    str(topic),
                    int(partition),
                    Report(group, str(stream), int(number), None if position is None else int(position), bool(lacking)),
                )
                for topic, partition, stream, number, position, lacking in said["partitions"]
            ],
        )
