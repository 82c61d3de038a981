"""What a relay hears: before it leads it keeps the groups' last reports, then it hands everything to the leader."""

from dataclasses import replace

from crm_events.relay import rules
from crm_events.relay.leader import Leader
from crm_events.relay.ledger import Slot
from crm_events.reports import GroupReport
from crm_events.resync.answerer import Answerer


class Ears:
    """Those of one connection to the database, and gone with it: what was heard before another connection says nothing about this one's
    database, which may have been set back in between (rule 12).
    """

    def __init__(self, gate_seconds: float) -> None:
        """gate_seconds: how long a new leader waits for reports (rule 9)."""
        self.leader: Leader | None = None
        self.answerer: Answerer | None = None
        self.kept: dict[tuple[str, Slot], tuple[float, GroupReport]] = {}
        self._gate_seconds = gate_seconds

    async def hear(self, said: GroupReport, now: float) -> None:
        """A group's reports arrived; now: monotonic seconds. Whoever stands by keeps the last of each partition."""
        if self.leader is not None:
            await self.leader.hear(said)
            return
        for at in said.partitions:
            self.kept[said.group, at[:2]] = (now, replace(said, partitions=[at]))

    def lead(self, leader: Leader, now: float) -> list[GroupReport]:
        """From here on the leader hears; the answer is what it should hear first."""
        self.leader, kept = leader, self.kept.values()
        found = [said for heard_at, said in kept if rules.still_counts(heard_at, now, self._gate_seconds)]
        self.kept = {}
        return found
