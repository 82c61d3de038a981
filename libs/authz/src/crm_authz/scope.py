"""The data scope of one caller, for one record type and action class (ID-12): an explicit argument of every store function."""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy.sql.selectable import FromClause

from crm_authz.directory import Directory
from crm_authz.grants import Holder
from crm_authz.organisation import NOBODY, Everybody, Ids
from crm_authz.predicate import (
    Binds,
    Branches,
    bind_prefix,
    branches,
    owned_by,
    parameter_values,
    shared_with,
)
from crm_authz.refusals import TargetOutOfScope
from crm_authz.rules import ActionClass
from crm_contracts import Member
from crm_database import ScopeMark

#: Up to so many owners a list reads each owner's newest rows on their own; with more it walks the common index (measured).
FEW_OWNERS: Final = 16

#: The action classes to which team membership adds (PL-21).
_SHARED: Final[frozenset[ActionClass]] = frozenset({"read", "write"})


class Width(Enum):
    """How wide a scope is, as far as the shape of its query goes."""

    NOTHING = "nothing"
    FEW = "few"
    MANY = "many"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Shape:
    """All that the text of a scope's SQL depends on, besides the table: the key under which a compiled statement may be kept.

    members: whether memberships count. Statements of different widths may differ; of one shape they only differ in parameters.
    """

    record_type: str
    action: ActionClass
    width: Width
    members: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose records the caller reaches.

    everything: all, also those without owner. owners: the owners whose records are reached. member_of: whose memberships add to it;
    None when they don't. Reaching nothing is a scope too: it gives empty results, never no filter. reason: of a system scope.
    """

    record_type: str
    action: ActionClass
    everything: bool
    owners: Ids
    member_of: uuid.UUID | None
    now: dt.datetime
    reason: str | None = None

    @classmethod
    def of(
        cls, holder: Holder, directory: Directory, record_type: str, action: ActionClass, *, now: dt.datetime
    ) -> Self:
        """The scope of a Principal, or of Grants in a job. now: the request's instant, at which memberships are judged.

        Who has no rule, or only rules that reach nobody, reaches nothing at all, shared records included.
        """
        owners: Ids = NOBODY
        everything = False
        for rule in holder.rules(record_type, action):
            reach = directory.owners(rule, holder.user_id)
            if isinstance(reach, Everybody):
                everything = True
            else:
                owners = owners | reach if owners else reach
        if everything:
            return cls(record_type, action, True, NOBODY, None, now)
        member_of = holder.user_id if owners and action in _SHARED else None
        return cls(record_type, action, False, owners, member_of, now)

    @classmethod
    def system(cls, reason: str, *, record_type: str = "system.any", action: ActionClass = "read") -> Self:
        """The scope of workers, which reaches everything. reason: why no person's scope applies, in words."""
        if not reason.strip():
            raise ValueError("a system scope says why it is needed")
        return cls(record_type, action, True, NOBODY, None, dt.datetime.min.replace(tzinfo=dt.UTC), reason)

    @property
    def nothing(self) -> bool:
        """Whether no record at all is reached."""
        return not self.everything and not self.owners

    @property
    def shape(self) -> Shape:
        """What the query's text depends on; the list engine chooses by `shape.width`."""
        if self.everything:
            width = Width.EVERYTHING
        elif not self.owners:
            width = Width.NOTHING
        else:
            width = Width.FEW if len(self.owners) <= FEW_OWNERS else Width.MANY
        return Shape(self.record_type, self.action, width, self.member_of is not None)

    def predicate(self, table: sa.Table, alias: FromClause | None = None) -> ScopeMark:
        """The rows of a table (or of an alias of it) that the scope reaches. The table has `id` and `owner_id`.

        The values are bound in it. Compile such a statement for one use; to keep one, use `open_predicate`.
        """
        return self._predicate(table, alias, self._values())

    def open_predicate(self, table: sa.Table, alias: FromClause | None = None) -> ScopeMark:
        """The same without values, for statements that are compiled once per `shape`: give `parameters(…)` at each use."""
        return self._predicate(table, alias, None)

    def branches(self, table: sa.Table, alias: FromClause | None = None, *, open_values: bool = False) -> Branches:
        """The parts of the query by owner, for `Width.FEW`. ValueError when there are no owners to go by."""
        if self.everything or not self.owners:
            raise ValueError("a scope without owners has no branches")
        selected = table if alias is None else alias
        binds = Binds.of(self.action, selected, None if open_values else self._values())
        return branches(table, selected, self.record_type, self.action, binds, members=self.member_of is not None)

    def parameters(self, table: sa.Table, alias: FromClause | None = None) -> dict[str, Any]:
        """The values for a statement with `open_predicate` or open branches."""
        if self.everything or not self.owners:
            return {}
        prefix = bind_prefix(self.action, table if alias is None else alias)
        return {prefix + name: value for name, value in self._values().items()}

    def reaches(self, owner_id: uuid.UUID | None, members: Iterable[Member] = ()) -> bool:
        """The same decision for one row in hand."""
        if self.everything:
            return True
        if owner_id is not None and owner_id in self.owners:
            return True
        return self.member_of is not None and any(self._counts(member) for member in members)

    def require_target(self, owner_id: uuid.UUID | None) -> None:
        """Raise TargetOutOfScope when a record may not go to this owner (create for whom, transfer to whom).

        Memberships don't count: a record is shared, not its owner. Without owner (None): only for `all`.
        """
        if not self.everything and (owner_id is None or owner_id not in self.owners):
            raise TargetOutOfScope

    def _counts(self, member: Member) -> bool:
        return (
            member.user_id == self.member_of
            and (self.action != "write" or member.right == "write")
            and (member.expires_at is None or member.expires_at > self.now)
        )

    def _values(self) -> dict[str, Any]:
        return parameter_values(list(self.owners), self.member_of, self.now)

    def _predicate(self, table: sa.Table, alias: FromClause | None, values: dict[str, Any] | None) -> ScopeMark:
        if self.everything:
            return ScopeMark(table, sa.true())
        if not self.owners:
            return ScopeMark(table, sa.false())
        selected = table if alias is None else alias
        binds = Binds.of(self.action, selected, values)
        clause = owned_by(selected, binds)
        if self.member_of is not None:
            clause = sa.or_(clause, shared_with(selected, self.record_type, self.action, binds))
        return ScopeMark(table, clause)


__all__ = ["FEW_OWNERS", "Branches", "Scope", "Shape", "Width"]
