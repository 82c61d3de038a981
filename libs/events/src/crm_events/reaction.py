"""How a service says what it does with events: a list of reactions in its `worker.py`."""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa

from crm_contracts import Envelope, Registry, registry
from crm_contracts.versions import NewerThanKnown
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
    types: only these event types, each in the newest version that this release knows; None: all of the topics. Older versions come
    upcast (docs/architecture/event-versions.md).
    as_recorded: events come in the version in which they were recorded, also in one that this release doesn't know yet: for logs,
    which keep what was told.
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
    as_recorded: bool = False
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
        if self.as_recorded and self.types is not None:
            raise GroupsDisagree(f"{self.group}: a type names one version, and as_recorded takes all")

    def takes(self, kind: Resync) -> bool:
        """Whether an answer of this kind is for this reaction. A journal tells each state too."""
        return self.resync is not None and (kind == "journal" or self.resync == "state")

    def wants(self, envelope_type: str) -> bool:
        """Whether events of this type, in the newest version, are for this reaction."""
        return self.types is None or envelope_type in self.types


@dataclass(frozen=True)
class ConsumerGroup:
    """The reactions of one group. known: which versions of event types this release knows."""

    name: str
    reactions: tuple[Reaction, ...]
    known: Registry = field(default_factory=lambda: registry, repr=False, compare=False)

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
        """The reaction to an event, in whatever version it was recorded; None: this group doesn't want it."""
        newest = self.known.newest(envelope_type)
        for reaction in self.reactions:
            if topic in reaction.topics and reaction.wants(newest):
                return reaction
        return None

    def given(self, reaction: Reaction, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """Events as a reaction is given them: in the newest version known. Raises NewerThanKnown, UpcastFailed."""
        if reaction.as_recorded:
            return list(envelopes)
        for envelope in envelopes:
            self.require_known(reaction, envelope)
        return [self.known.in_newest_version(envelope) for envelope in envelopes]

    def require_known(self, reaction: Reaction, envelope: Envelope) -> None:
        """NewerThanKnown when an event tells a fact that this release knows, in a version that it doesn't, and the reaction needs it."""
        if not reaction.as_recorded and self.known.is_later(envelope.type):
            raise NewerThanKnown(
                f"{envelope.type} comes from a later release; this one knows {self.known.newest(envelope.type)}"
            )


def groups_of(reactions: Iterable[Reaction], known: Registry = registry) -> list[ConsumerGroup]:
    """The groups, by name. GroupsDisagree when two reactions of one would get the same event, differ in `projection`, or one names a
    version that is not the newest: it would never be given it."""
    found: dict[str, list[Reaction]] = {}
    for reaction in reactions:
        for old in sorted(name for name in reaction.types or () if known.newest(name) != name):
            raise GroupsDisagree(f"{reaction.group}: {old} comes upcast: name {known.newest(old)}")
        found.setdefault(reaction.group, []).append(reaction)
    for name, mine in found.items():
        if len({reaction.projection for reaction in mine}) > 1:
            raise GroupsDisagree(f"{name}: projection or not?")
        for n, one in enumerate(mine):
            for other in mine[n + 1 :]:
                shared = set(one.topics) & set(other.topics)
                if shared and (one.types is None or other.types is None or one.types & other.types):
                    raise GroupsDisagree(f"{name}: two reactions want the same events of {', '.join(sorted(shared))}")
    return [ConsumerGroup(name, tuple(mine), known) for name, mine in sorted(found.items())]
