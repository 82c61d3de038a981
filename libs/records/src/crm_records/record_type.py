"""The declaration of a record type: what it is called, its fields, its contract, its rules. Everything else follows from it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from crm_contracts.records import RecordState, StandardEvents
from crm_kernel.errors import Refusal
from crm_records.fields import Field
from crm_records.hooks import Beside, HookedAction, RecordHooks
from crm_records.models import Models, build_models
from crm_records.openness import Open

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_STANDARD_STATE = frozenset({"external_ref", "owner_id", "created_at", "updated_at", "deleted", "custom"})


class DeclarationError(TypeError):
    """A programming error in a record type's declaration; raised when it is imported."""


@dataclass(frozen=True, eq=False)
class RecordType:
    """One kind of record.

    service, name: together its key in permissions and scopes, `customers.customer`; kebab-case. plural: in paths. title: for people,
    in English; titles: the same in `ko`, `zh`, `ru`. table: by `record_table`, over the same fields. events, state: the contract.
    number: pattern of the numbers that people see, with `{n}` (`{n:04}`) and `{yyyy}`, `{yy}`, `{mm}`, `{dd}` of the day of creation;
    None: no numbers. hooks: its own rules. parts: members of the contract's state that are no fields, with the annotation of their
    JSON; hooks provide them. beside: members of the answers to reading (one, a list, a search) that show what a field names, as far as the
    caller sees it; hooks read it. inputs: members of create and change bodies that are no fields; hooks deal with them.
    open: which records are still to be worked on; every type with owners that a leaver hands on says so (`HandOvers`).

    Raises DeclarationError when table, fields and contract don't fit each other.
    """

    service: str
    name: str
    plural: str
    title: str
    table: sa.Table
    events: StandardEvents[Any]
    state: type[RecordState]
    fields: Sequence[Field]
    number: str | None = None
    hooks: RecordHooks = field(default_factory=RecordHooks)
    parts: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Beside] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    default_sort: str = "-updated_at"
    open: Open | None = None

    def __post_init__(self) -> None:
        for word in (self.service, self.name, self.plural):
            if not _NAME.fullmatch(word):
                raise DeclarationError(f"{word!r} is not kebab-case")
        declared = self.table.info.get("record_fields")
        if declared is None or [f.name for f in declared] != [f.name for f in self.fields]:
            raise DeclarationError(f"{self.key}: the table was not made by record_table() from these fields")
        provided = {f.name for f in self.fields} | set(self.parts) | _STANDARD_STATE
        if self.number:
            provided.add("number")
        missing = sorted(set(self.state.model_fields) - provided)
        if missing:
            raise DeclarationError(f"{self.key}: nothing provides {', '.join(missing)} of the contract's state")
        if self.scoped != (self.events.transferred is not None):
            raise DeclarationError(f"{self.key}: table and contract don't agree on whether records have owners")
        doubled = (set(self.parts) | set(self.inputs)) & {f.name for f in self.fields}
        if doubled:
            raise DeclarationError(f"{self.key}: {', '.join(sorted(doubled))} is both a field and a part or input")
        lost = sorted({one.field for one in self.beside.values()} - {f.name for f in self.fields})
        if lost:
            raise DeclarationError(f"{self.key}: no field {', '.join(lost)}, of which something is to be shown")
        if self.number and "{n" not in self.number:
            raise DeclarationError(f"{self.key}: the pattern of its numbers has no {{n}}")

    @property
    def key(self) -> str:
        """`customers.customer`: in permissions, scopes and memberships."""
        return f"{self.service}.{self.name}"

    @property
    def scoped(self) -> bool:
        """Whether records have owners and a data scope limits who reaches them."""
        return bool(self.table.info.get("scoped"))

    def permission(self, action: str) -> str:
        """`customers.customer:update`."""
        return f"{self.key}:{action}"

    def refusals(self, action: HookedAction) -> tuple[type[Refusal], ...]:
        """What its own rules refuse this action by."""
        return tuple(self.hooks.refusals.get(action, ()))

    @property
    def path(self) -> str:
        """Below the service's prefix: `/customers`."""
        return f"/{self.plural}"

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by their names."""
        return {f.name: f for f in self.fields}

    @cached_property
    def writable(self) -> tuple[Field, ...]:
        """The fields that the standard routes may set."""
        return tuple(f for f in self.fields if not f.read_only)

    @cached_property
    def models(self) -> Models:
        """The request and answer models: `models.create`, `.patch`, `.view`, …"""
        return build_models(self)
