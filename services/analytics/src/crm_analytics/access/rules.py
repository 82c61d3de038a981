"""Who hears the events of a topic, and what one person hears. Pure.

An event is told to whoever may read the record that it is about *now*. There is one table for all topics; what isn't in it is told to
nobody, and a test fails when a topic of the registry is missing.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from crm_authz import Directory, Scope
from crm_authz.grants import Holder
from crm_contracts import Member

#: What it needs to hear the events that are open to nobody in particular.
LOG_PERMISSION: Final = "analytics.event:read"
_LOG: Final = "analytics.event"


@dataclass(frozen=True)
class Audience:
    """Who hears the events of one topic.

    `record`: whoever may read records of the type, within the data scope for it. `named`: whoever may read the type, and is the owner or a
    member of the record itself, whatever their scope. `open`: whoever may read the type: such records are nobody's. `everything`: those
    alone whose scope for the log of all events reaches everything. record: the type, as permissions and scopes know it.
    """

    kind: Literal["record", "named", "open", "everything"]
    record: str = _LOG

    @property
    def permission(self) -> str:
        """Without which nothing of it is heard."""
        return f"{self.record}:read"


_EVERYTHING: Final = Audience("everything")

AUDIENCES: Final[Mapping[str, Audience]] = {
    "crm.customers.customer": Audience("record", "customers.customer"),
    "crm.customers.contact": Audience("record", "customers.contact"),
    "crm.sales.opportunity": Audience("record", "sales.opportunity"),
    "crm.sales.activity": Audience("record", "sales.activity"),
    "crm.billing.contract": Audience("record", "billing.contract"),
    "crm.billing.payment": Audience("record", "billing.payment"),
    "crm.support.ticket": Audience("record", "support.ticket"),
    "crm.analytics.webhook": Audience("record", "analytics.webhook"),
    # An approval is its submitter's and its approvers' affair, also before those who reach everything.
    "crm.billing.approval": Audience("named", "billing.approval"),
    # Lists of everybody's: read by all who may read them at all.
    "crm.customers.pool": Audience("open", "customers.pool"),
    "crm.sales.product": Audience("open", "sales.product"),
    "crm.sales.pipeline": Audience("open", "sales.pipeline"),
    "crm.support.queue": Audience("open", "support.queue"),
    # People, rights and log-ins: the directory's own operations show colleagues what is theirs to see.
    "crm.identity.company": _EVERYTHING,
    "crm.identity.department": _EVERYTHING,
    "crm.identity.department-set": _EVERYTHING,
    "crm.identity.role": _EVERYTHING,
    "crm.identity.session": _EVERYTHING,
    "crm.identity.signing-key": _EVERYTHING,
    "crm.identity.user": _EVERYTHING,
    # A leaver's records on their way, told by each service.
    "crm.identity.hand-over": _EVERYTHING,
    "crm.billing.hand-over": _EVERYTHING,
    "crm.customers.hand-over": _EVERYTHING,
    "crm.sales.hand-over": _EVERYTHING,
    "crm.support.hand-over": _EVERYTHING,
    # What operators did.
    "crm.analytics.operation": _EVERYTHING,
    "crm.billing.operation": _EVERYTHING,
    "crm.customers.operation": _EVERYTHING,
    "crm.identity.operation": _EVERYTHING,
    "crm.sales.operation": _EVERYTHING,
    "crm.support.operation": _EVERYTHING,
}


@dataclass(frozen=True)
class Part:
    """Topics of which only some records are heard: those of these owners, and those that `member_of` shares in (None: of none)."""

    topics: tuple[str, ...]
    owners: frozenset[uuid.UUID]
    member_of: uuid.UUID | None


@dataclass(frozen=True)
class Hearing:
    """What somebody hears at an instant: the events of some topics whole, of others in part; of the rest nothing."""

    now: dt.datetime
    whole: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether no event at all is heard."""
        return not self.whole and not self.parts

    def hears(self, topic: str, owner_id: uuid.UUID | None, members: Iterable[Member]) -> bool:
        """The same decision for one event in hand. owner_id, members: of its record, now."""
        if topic in self.whole:
            return True
        for part in self.parts:
            if topic in part.topics:
                if owner_id is not None and owner_id in part.owners:
                    return True
                return part.member_of is not None and any(
                    member.user_id == part.member_of and (member.expires_at is None or member.expires_at > self.now)
                    for member in members
                )
        return False


def hearing_of(holder: Holder, directory: Directory, now: dt.datetime) -> Hearing:
    """What the holder of a token, or the owner of a webhook, hears by the organisation as it is now."""
    whole: list[str] = []
    parts: dict[tuple[frozenset[uuid.UUID], uuid.UUID | None], list[str]] = {}
    for topic, audience in AUDIENCES.items():
        if not holder.allows(audience.permission):
            continue
        if audience.kind == "open":
            whole.append(topic)
            continue
        if audience.kind == "named":
            owners, member_of = frozenset({holder.user_id}), holder.user_id
            parts.setdefault((owners, member_of), []).append(topic)
            continue
        scope = Scope.of(holder, directory, audience.record, "read", now=now)
        if scope.everything:
            whole.append(topic)
        elif audience.kind == "record" and not scope.nothing:
            parts.setdefault((frozenset(scope.owners), scope.member_of), []).append(topic)
    return Hearing(now, tuple(whole), tuple(Part(tuple(topics), *key) for key, topics in parts.items()))
