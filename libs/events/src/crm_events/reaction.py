"""How a service says what it does with events: a list of reactions in its `worker.py`."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from crm_contracts import Envelope
from crm_database import WriteSession

Handle = Callable[[WriteSession, Envelope], Awaitable[None]]
HandleBatch = Callable[[WriteSession, Sequence[Envelope]], Awaitable[None]]


class GroupsDisagree(ValueError):
    """A programming error: two reactions of one group say different things of it, or want the same event."""


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
    """

    group: str
    topics: tuple[str, ...]
    handle: Handle | None = None
    handle_batch: HandleBatch | None = None
    types: frozenset[str] | None = None
    projection: bool = True
    per_transaction: int = 200

    def __post_init__(self) -> None:
        if (self.handle is None) == (self.handle_batch is None):
            raise GroupsDisagree(f"{self.group}: give either handle or handle_batch")
        if "." not in self.group:
            raise GroupsDisagree(f"{self.group}: a group's name is <service>.<purpose>")

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
