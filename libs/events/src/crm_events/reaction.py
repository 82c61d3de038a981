"""How a service says what it does with events: a list of reactions in its `worker.py`."""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from crm_contracts import Envelope
from crm_database import WriteSession

Handle = Callable[[WriteSession, Envelope], Awaitable[None]]
HandleBatch = Callable[[WriteSession, Sequence[Envelope]], Awaitable[None]]
#: async (session, topic, ids): records that their owner doesn't know go, with all that came with them.
Forget = Callable[[WriteSession, str, Sequence[uuid.UUID]], Awaitable[None]]
Resync = Literal["state", "journal"]


class GroupsDisagree(ValueError):
    """A programming error: two reactions of one group say different things of it, or want the same event."""


@dataclass(frozen=True)
class Held:
    """What a reaction keeps of other services' records: reconcile compares it with its owner, and gaps in it are noticed.

    tables: topic → the table with each of its records (columns `id`, `version`: that of the newest event). notices: an event that
    tells a version beyond the next one is noticed and asked about. forget: None where rows that the owner doesn't know stay.
    log: a table that keeps every event, by `id`; what it lacks is asked for as `journal`.
    """

    tables: Mapping[str, sa.Table]
    notices: bool = True
    forget: Forget | None = None
    log: sa.Table | None = None


@dataclass(frozen=True)
class Reaction:
    """What one group does with the events of some topics.

    group: `<service>.<purpose>` (`sales.directory`); reactions of one group share its watermarks and its transactions.
    topics: names. handle: async (session, envelope), or with `batch` async (session, envelopes): it writes into the session's
    transaction, may `record()` events of its own there, and must not commit, nor reach outside the database: it may run again
    after a crash. An event of a type it doesn't know is to be left alone.
    types: only these event types; None: all of the topics.
    projection: a replica or figure that readers wait for (PL-13) and that may be rebuilt. False: side effects (mail, webhooks).
    per_transaction: how many events may share a transaction; 1 where the effects of one must not be undone with another's.
    resync: what it takes when its service asks to be told again. `state`: of each record the newest event is enough. `journal`: it
    needs every event. Only for what comes to the same however often and in whatever order across records it is told; None: never.
    refill: takes what is told again in place of `handle`, as a batch: without publication number, and it may know it already.
    held: see there; only for reactions to all types.
    """

    group: str
    topics: tuple[str, ...]
    handle: Handle | None = None
    handle_batch: HandleBatch | None = None
    types: frozenset[str] | None = None
    projection: bool = True
    per_transaction: int = 200
    resync: Resync | None = None
    refill: HandleBatch | None = None
    held: Held | None = None

    def __post_init__(self) -> None:
        if (self.handle is None) == (self.handle_batch is None):
            raise GroupsDisagree(f"{self.group}: give either handle or handle_batch")
        if "." not in self.group:
            raise GroupsDisagree(f"{self.group}: a group's name is <service>.<purpose>")
        if self.resync is not None and not self.projection:
            raise GroupsDisagree(f"{self.group}: side effects are never repeated")
        if self.resync is None and (self.refill is not None or self.held is not None):
            raise GroupsDisagree(f"{self.group}: what takes no resync needs neither refill nor held")
        if self.held is not None and self.types is not None:
            raise GroupsDisagree(f"{self.group}: who hears only some types can't know each version")

    def takes(self, kind: Resync) -> bool:
        """Whether an answer of this kind is for this reaction. A journal tells each state too."""
        return self.resync is not None and (kind == "journal" or self.resync == "state")

    def wants(self, envelope_type: str) -> bool:
        """Whether events of this type are for this reaction."""
        return self.types is None or envelope_type in self.types


@dataclass(frozen=True)
class ConsumerGroup:
    """The reactions of one group."""

    name: str
    reactions: tuple[Reaction, ...]

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(sorted({topic for reaction in self.reactions for topic in reaction.topics}))

    @property
    def projection(self) -> bool:
        return self.reactions[0].projection

    @property
    def per_transaction(self) -> int:
        return min(reaction.per_transaction for reaction in self.reactions)

    def resync(self, topic: str) -> Resync | None:
        """What the group asks for when it is to be told a topic again; None: it never is."""
        kinds = {reaction.resync for reaction in self.reactions if topic in reaction.topics} - {None}
        return "journal" if "journal" in kinds else "state" if kinds else None

    def held(self, topic: str) -> Held | None:
        """What the group keeps of a topic's records."""
        found = [r.held for r in self.reactions if r.held is not None and topic in r.held.tables]
        return found[0] if found else None

    def reaction(self, topic: str, envelope_type: str) -> Reaction | None:
        """The reaction to an event; None: this group doesn't want it."""
        for reaction in self.reactions:
            if topic in reaction.topics and reaction.wants(envelope_type):
                return reaction
        return None


def groups_of(reactions: Iterable[Reaction]) -> list[ConsumerGroup]:
    """The groups, by name. GroupsDisagree when two reactions of one would get the same event, or differ in `projection`."""
    found: dict[str, list[Reaction]] = {}
    for reaction in reactions:
        found.setdefault(reaction.group, []).append(reaction)
    for name, mine in found.items():
        if len({reaction.projection for reaction in mine}) > 1:
            raise GroupsDisagree(f"{name}: projection or not?")
        for n, one in enumerate(mine):
            for other in mine[n + 1 :]:
                shared = set(one.topics) & set(other.topics)
                if shared and (one.types is None or other.types is None or one.types & other.types):
                    raise GroupsDisagree(f"{name}: two reactions want the same events of {', '.join(sorted(shared))}")
    return [ConsumerGroup(name, tuple(mine)) for name, mine in sorted(found.items())]
