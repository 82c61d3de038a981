"""Where a slice's rules come in, and what they get to work with."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from crm_authz import Directory, Scope, keeper_of
from crm_authz.rules import ActionClass
from crm_database import ReadSession, WriteSession
from crm_kernel import CompanyCalendar
from crm_kernel.errors import Refusal
from crm_records.drafts import Change, Draft
from crm_web import ReadUnit


@dataclass(frozen=True)
class Beside:
    """A member of answers that is no field: what the caller may see of the record that a field names.

    field: the Reference. annotation: of the JSON, None aside. example: the JSON, for the documents.
    """

    field: str
    annotation: Any
    example: Any


#: What the standard routes do with a record; a revert is a change.
HookedAction = Literal["create", "change", "delete", "restore", "transfer"]


class Writing(Protocol):
    """The unit of work that actions and hooks get: crm_web's WriteUnit, or a SystemUnit in reactions and schedules."""

    @property
    def session(self) -> WriteSession: ...

    @property
    def now(self) -> dt.datetime: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def calendar(self) -> CompanyCalendar: ...

    def scope(self, record: str, action: Any) -> Scope: ...

    def require(self, permission: str) -> None: ...

    def require_match(self, version: int) -> None: ...


@dataclass(frozen=True)
class SystemUnit:
    """A unit of work of the product itself: it may do everything, and says why.

    reason: in words ("SA-8: the first deal was won"). Its session's context says channel and cause.
    """

    session: WriteSession
    directory: Directory
    calendar: CompanyCalendar
    reason: str

    @classmethod
    async def within(cls, session: WriteSession, reason: str) -> "SystemUnit":
        """The unit of a reaction or schedule: the directory and the company's calendar as the database has them now."""
        directory = await keeper_of(session.database).current(session.database)
        zone = "UTC" if directory.company is None else directory.company.time_zone
        return cls(session, directory, CompanyCalendar(zone), reason)

    @property
    def now(self) -> dt.datetime:
        return self.session.context.now

    def scope(self, record: str, action: ActionClass) -> Scope:
        return Scope.system(self.reason, record_type=record, action=action)

    def require(self, permission: str) -> None:
        """Nothing is refused to the product itself."""

    def require_match(self, version: int) -> None:
        """No caller, no condition."""


class RecordHooks:
    """A record type's own rules. Subclass it, and override what differs; each gets all rows of a request at once.

    In all of them: refuse single rows with `row.refuse(…)`, fill `row.values`, `row.parts`. Raise only what concerns the whole
    request. Rows that are refused already are not given.

    refusals: what they refuse by, for the documents of the standard routes.
    """

    refusals: ClassVar[Mapping[HookedAction, Sequence[type[Refusal]]]] = {}

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        """Before records are created. Fields, owner and number are settled; nothing is written yet."""

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        """Before fields of locked records change."""

    async def prepare_delete(self, unit: Writing, changes: Sequence[Change]) -> None:
        """Before locked records are deleted."""

    async def prepare_restore(self, unit: Writing, changes: Sequence[Change]) -> None:
        """Before deleted, locked records come back."""

    async def prepare_transfer(self, unit: Writing, changes: Sequence[Change]) -> None:
        """Before locked records change hands; `change.owner_id` is the new owner."""

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        """After rows and events are written, in the same transaction: the place for child rows."""

    async def read_parts(
        self,
        session: ReadSession,  # noqa: ARG002  (for those who override it)
        ids: Sequence[uuid.UUID],  # noqa: ARG002
    ) -> Mapping[uuid.UUID, dict[str, Any]]:
        """`RecordType.parts` of records, as JSON values; for the state of events, and for the answer about one record.

        Asked for records whose parts no hook has set, and only when the record type has parts. Every part must be there.
        """
        return {}

    async def read_beside(
        self,
        unit: ReadUnit,  # noqa: ARG002  (for those who override it)
        name: str,  # noqa: ARG002
        ids: Sequence[uuid.UUID],  # noqa: ARG002
    ) -> Mapping[uuid.UUID, Any]:
        """`RecordType.beside[name]` of the records that its field names, as JSON; those that the caller doesn't see are not in it.

        Asked once per page, in one statement at most.
        """
        return {}
