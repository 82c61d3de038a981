"""What actions and hooks work with: a record as it is, one to be made, one to be changed."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from crm_contracts import Credit, Member
from crm_kernel import FieldError, Invalid, Refusal


@dataclass(frozen=True)
class ExternalRef:
    """Where the record is known under which id in another system; unique per record type (PL-20)."""

    system: str
    id: str

    def json(self) -> dict[str, str]:
        return {"system": self.system, "id": self.id}


@dataclass(slots=True)
class Record:
    """A record as it was read.

    values: field → Python value (str, int, Money, date, UUID, …; see the field's kind). members: as read after the lock; empty when
    they were not asked for.
    """

    id: uuid.UUID
    version: int
    values: dict[str, Any]
    number: str | None
    owner_id: uuid.UUID | None
    external_ref: ExternalRef | None
    custom: dict[str, Any]
    created_at: dt.datetime
    updated_at: dt.datetime
    created_by: uuid.UUID | None
    deleted_at: dt.datetime | None
    members: Sequence[Member] = ()
    #: The parts as just written; None when the record was only read.
    parts: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        """The value of a field."""
        return self.values[name]


class Refusable:
    """A row that a hook may refuse, without refusing its neighbours."""

    refusal: Refusal | None

    def refuse(self, refusal: Refusal) -> None:
        """Leave this row out. The first refusal stays."""
        if self.refusal is None:
            self.refusal = refusal

    def refuse_field(self, name: str, code: str, detail: str) -> None:
        """Leave this row out, because of one member of the input."""
        self.refuse(Invalid(errors=[FieldError(f"/{name}", code, detail)]))


@dataclass(slots=True)
class Draft(Refusable):
    """A record that is about to be created. Hooks fill `values` and `parts`, or refuse.

    index: the row's place in the request. inputs: what the body said beyond the fields (`RecordType.inputs`). parts: what of the
    contract's state is no field (`RecordType.parts`), JSON values. occurred_at: None means now.
    """

    index: int
    id: uuid.UUID
    values: dict[str, Any]
    owner_id: uuid.UUID | None = None
    #: Whether the request named the owner; otherwise it is the caller, and a hook may choose another.
    owner_given: bool = False
    external_ref: ExternalRef | None = None
    occurred_at: dt.datetime | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    number: str | None = None
    refusal: Refusal | None = None

    def __getitem__(self, name: str) -> Any:
        """The value that a field will have."""
        return self.values.get(name)


@dataclass(slots=True)
class Change(Refusable):
    """A change of one locked record. Hooks add to `values` and `parts`, or refuse.

    values: only what is to change; a value equal to the present one is no change. extra: members that only this event type has.
    credit: to whom the fact counts; None: to nobody; "owner": to the owner after the change.
    """

    index: int
    record: Record
    values: dict[str, Any] = field(default_factory=dict)
    owner_id: uuid.UUID | None = None
    owner_changes: bool = False
    external_ref: ExternalRef | None = None
    external_ref_changes: bool = False
    deleted_at: dt.datetime | None = None
    deletion_changes: bool = False
    occurred_at: dt.datetime | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    noted: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    credit: Credit | Literal["owner"] | None = "owner"
    #: The members after the change; None: as they are.
    members: Sequence[Member] | None = None
    #: Record the event even when no value differs (a change of parts only, an action).
    always: bool = False
    #: The record as written; set by `write_changes`.
    after: Record | None = None
    refusal: Refusal | None = None

    @property
    def id(self) -> uuid.UUID:
        return self.record.id

    def __getitem__(self, name: str) -> Any:
        """The value that a field will have."""
        return self.values[name] if name in self.values else self.record.values[name]
