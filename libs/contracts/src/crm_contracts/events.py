"""What every event carries, and how a contract declares an event type (docs/architecture/events.md).

An event's data says what happened to one record: who, when, which fields from what to what, the record afterwards, who may see
it now (`access`), and to whom it is credited for good (`credit`). Consumers ignore members that they don't know.
"""

import datetime as dt
import uuid
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema


class Part(BaseModel):
    """A part of an event. Unknown members are ignored, so that producers may add some."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Open:
    """Marks a choice of texts that may grow: `Annotated[Literal["a", "b"], Open()]`.

    Readers take a text that they don't know as it is, so adding one breaks nobody. A choice without it is closed: readers refuse other
    values, so neither more nor fewer of them are compatible (crm_contracts.compatibility).
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.union_schema([handler(source), core_schema.str_schema()], mode="left_to_right")

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A text, with the values of this release beside it."""
        known, _ = handler(schema)["anyOf"]
        return {"type": "string", "x-extensible-enum": known.get("enum", [known.get("const")])}


class Actor(Part):
    """Who did it. `id` is the user or service account; a rule or migration of the product itself is `system`."""

    kind: Literal["user", "service_account", "system"]
    id: uuid.UUID | None = None


class Origin(Part):
    """Through which door it came, and from which network address."""

    channel: Annotated[Literal["api", "import", "job", "rule", "event", "system"], Open()]
    address: str | None = None


class Change(Part):
    """One field's value before and after; JSON values as the API shows them."""

    old: Any = None
    new: Any = None


class Member(Part):
    """A user given access to one record (PL-21); `expires_at`: from that instant on no access."""

    user_id: uuid.UUID
    right: Literal["read", "write"]
    expires_at: dt.datetime | None = None


class Access(Part):
    """Who may reach the record by ownership or membership, after the event."""

    owner_id: uuid.UUID | None = None
    members: list[Member] = Field(default_factory=list)


class Credit(Part):
    """To whom the fact counts, as it was when it happened (AN-6): later transfers and moves change nothing.

    department_path: from the root down to the department, both included.
    """

    user_id: uuid.UUID
    department_id: uuid.UUID | None = None
    department_path: list[uuid.UUID] = Field(default_factory=list)


StateT = TypeVar("StateT", bound=Part)


class Event(Part, Generic[StateT]):
    """The data of an event about one record.

    version: the record's, raised by one with each event. occurred_at: business time; may lie before the envelope's `time`
    (backdated entry, import). state: the record afterwards (also of a deleted one, so that a consumer can say what is gone).
    """

    #: `crm.<service>.<record>.<fact>.v<n>`; set by the `event` decorator.
    type: ClassVar[str]
    #: The topic's name; set by the `event` decorator.
    topic: ClassVar[str]
    #: Whether this release records it; set by the `event` decorator. An announced or a superseded version is read only.
    emitted: ClassVar[bool] = True

    version: int = Field(ge=1)
    occurred_at: dt.datetime
    actor: Actor
    origin: Origin
    changes: dict[str, Change] = Field(default_factory=dict)
    state: StateT
    access: Access | None = None
    credit: Credit | None = None
