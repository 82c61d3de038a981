"""Every event: models, topics, examples, generated schemas. Importing this package fills the registry."""

from crm_contracts import analytics, billing, control, customers, identity, sales, support
from crm_contracts.envelope import Envelope, NotAnEnvelope
from crm_contracts.events import Access, Actor, Change, Credit, Event, Member, Open, Origin, Part
from crm_contracts.registry import Registry, Topic, registry

__all__ = [
    "Access",
    "Actor",
    "Change",
    "Credit",
    "Envelope",
    "Event",
    "Member",
    "NotAnEnvelope",
    "Open",
    "Origin",
    "Part",
    "Registry",
    "Topic",
    "analytics",
    "billing",
    "control",
    "customers",
    "identity",
    "registry",
    "sales",
    "support",
]
