"""What the contracts of all records share: the standard part of their state, and the facts that every record type has."""

import datetime as dt
import uuid
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field

from crm_contracts.events import Event, Part, StateT
from crm_contracts.examples import USER, owned
from crm_contracts.registry import Topic, registry


class ExternalRef(Part):
    """Where the record is known under which id in another system; unique per record type (PL-20)."""

    system: str
    id: str


class MoneyState(Part):
    """An amount as text, exact to the currency's minor unit (PL-10)."""

    amount: str
    currency: str


class LineState(Part):
    """One product on an opportunity. quantity: decimal text. discount_percent, tax_percent: decimal text."""

    id: uuid.UUID
    product_id: uuid.UUID
    quantity: str
    list_price: MoneyState
    unit_price: MoneyState
    discount_percent: str = "0"
    tax_percent: str = "0"
    net: MoneyState
    tax: MoneyState
    total: MoneyState


class TotalsState(Part):
    """What the lines come to together: exactly the sums of theirs."""

    net: MoneyState
    tax: MoneyState
    total: MoneyState


class RecordState(Part):
    """What the state of every record has."""

    external_ref: ExternalRef | None = None
    owner_id: uuid.UUID | None = None
    created_at: dt.datetime
    updated_at: dt.datetime
    deleted: bool = False
    custom: dict[str, Any] = Field(default_factory=dict)


class TransferredEvent(Event[StateT], Generic[StateT]):
    """The record changed hands (PL-22)."""

    from_user_id: uuid.UUID | None
    to_user_id: uuid.UUID | None
    reason: str | None = None


ModelT = TypeVar("ModelT", bound=RecordState)

#: The facts that every record type has, and the words that describe them.
STANDARD_FACTS: dict[str, str] = {
    "created": "A {record} was created.",
    "changed": "Fields of a {record} changed; `changes` says which.",
    "deleted": "A {record} was soft-deleted; it can be restored for 30 days.",
    "restored": "A soft-deleted {record} is back.",
    "transferred": "A {record} has another owner.",
    "members-changed": "Users were given or lost access to one {record}.",
}


class StandardEvents(Generic[ModelT]):
    """The event types of the standard facts of one record type."""

    def __init__(self, topic: Topic, types: dict[str, type[Event[Any]]]) -> None:
        self.topic = topic
        self.created = types["created"]
        self.changed = types["changed"]
        self.deleted = types["deleted"]
        self.restored = types["restored"]
        self.transferred: type[Event[Any]] | None = types.get("transferred")
        self.members_changed: type[Event[Any]] | None = types.get("members-changed")


Fact = Literal["created", "changed", "deleted", "restored", "transferred", "members-changed"]


def standard_events(
    topic: Topic,
    state: type[ModelT],
    example_state: dict[str, Any],
    *,
    has_owner: bool = True,
    version: int = 1,
    emitted: bool = True,
) -> StandardEvents[ModelT]:
    """Declare and register the standard facts of a record type on its topic.

    has_owner: False for records without an owner scope (products): they are never transferred or shared. version, emitted: of all of
    them (docs/architecture/event-versions.md).
    """
    record = topic.name.rsplit(".", 1)[-1]
    types: dict[str, type[Event[Any]]] = {}
    for fact, words in STANDARD_FACTS.items():
        extra: dict[str, Any] = {}
        if fact in ("transferred", "members-changed") and not has_owner:
            continue
        parent: type[Event[Any]] = Event[state]  # type: ignore[valid-type]
        if fact == "transferred":
            parent = TransferredEvent[state]  # type: ignore[valid-type]
            extra = {"from_user_id": None, "to_user_id": USER}
        name = "".join(part.capitalize() for part in f"{record}-{fact}".split("-"))
        model = type(
            name, (parent,), {"__doc__": words.format(record=record.replace("-", " ")), "__module__": __name__}
        )
        example = owned(
            {**example_state, "deleted": fact == "deleted"},
            owner=USER if has_owner else None,
            version=1 if fact == "created" else 2,
            **extra,
        )
        types[fact] = registry.event(f"{topic.name}.{fact}.v{version}", topic, example=example, emitted=emitted)(model)
    return StandardEvents(topic, types)
