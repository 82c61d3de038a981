"""Create and change many users by external reference (PL-9): one statement per table, an answer per row."""

import asyncio
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crm_database import WriteSession
from crm_identity.credential import store as credentials
from crm_identity.credential.hashing import Hasher
from crm_identity.credential.rules import check_password
from crm_identity.department import store as departments
from crm_identity.department.rules import Tree, UnknownDepartment
from crm_identity.organisation import store as organisation
from crm_identity.user import store
from crm_identity.user.actions import Settled, people, write
from crm_identity.user.people import Authority, ExternalRef, People, User
from crm_identity.user.rules import NotActivated, SuperiorCycle, UnknownSuperior
from crm_kernel import Conflict, Forbidden, Refusal, new_id


class DoubleRow(Conflict):
    code = "batch.double_row"
    title = "An earlier row of the batch has the same reference"


class OutOfReach(Forbidden):
    code = "user.out_of_reach"
    title = "The user is outside the people you may change"


@dataclass(frozen=True)
class Row:
    """fields: members of User that the row gives. department_ref, superior_ref: named as the other system knows them; the superior
    may stand in the same batch, in any order. password: for new users only; who is there already keeps their own.
    """

    ref: ExternalRef
    fields: Mapping[str, Any]
    department_ref: ExternalRef | None = None
    superior_ref: ExternalRef | None = None
    password: str | None = None


@dataclass(frozen=True)
class RowResult:
    """What became of a row: `created`, `changed`, `unchanged`, or `error` with the refusal."""

    status: str
    id: uuid.UUID | None = None
    refusal: Refusal | None = None


async def hash_passwords(session: WriteSession, hasher: Hasher, rows: Sequence[Row]) -> dict[int, str | Refusal]:
    """Row number → hash of its password, or why it is refused; for rows that will be new users.

    Before any lock is taken: it takes about 25 ms per row and core.
    """
    present = await store.by_refs(session, [row.ref for row in rows])
    found: dict[int, str | Refusal] = {}
    good: dict[int, str] = {}
    for index, row in enumerate(rows):
        if row.password is None or row.ref in present:
            continue
        own = [text for text in (row.fields.get("name"), row.fields.get("email"), row.fields.get("mobile")) if text]
        try:
            check_password(row.password, own=own)
        except Refusal as refusal:
            found[index] = refusal
        else:
            good[index] = row.password
    # Raw SQL: the transaction stands idle meanwhile, and on a busy machine for longer than it otherwise may; the request's own time limit
    # (60 s) still ends it.
    await session.connection.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")
    hashes = await asyncio.gather(*(hasher.hash(password) for password in good.values()))
    return {**found, **dict(zip(good, hashes, strict=True))}


async def upsert(
    session: WriteSession,
    authority: Authority,
    rows: Sequence[Row],
    hashes: Mapping[int, str | Refusal],
    *,
    reached: Collection[uuid.UUID] | None,
) -> list[RowResult]:
    """Create or change; a refused row changes nothing and says why, and rows that need it are refused, too.

    reached: the users whom the caller may change; None: all.
    """
    await organisation.lock(session)
    everybody = await people(session)
    present = await store.by_refs(session, [row.ref for row in rows])
    tree = await departments.tree(session)
    before = {row_id: store.as_user(row) for row_id, row in (await store.locked(session, present.values())).items()}
    batch = _Batch(authority, everybody, present, before, tree, reached, hashes)
    batch.run(rows)
    await write(session, batch.settled)
    await credentials.add_passwords(session, batch.passwords)
    return [batch.results[index] for index in range(len(rows))]


class _Batch:
    """One run: superiors before those who report to them, each row settled against everybody and the rows before."""

    def __init__(
        self,
        authority: Authority,
        everybody: People,
        present: Mapping[ExternalRef, uuid.UUID],
        before: Mapping[uuid.UUID, User],
        tree: Tree,
        reached: Collection[uuid.UUID] | None,
        hashes: Mapping[int, str | Refusal],
    ) -> None:
        self._authority = authority
        self._everybody = everybody
        self._known = dict(present)
        self._before = before
        self._tree = tree
        self._reached = reached
        self._hashes = hashes
        self.results: dict[int, RowResult] = {}
        self.settled: list[Settled] = []
        self.passwords: dict[uuid.UUID, str] = {}

    def run(self, rows: Sequence[Row]) -> None:
        waiting = self._without_doubles(rows)
        while ready := self._ready(waiting):
            for index in ready:
                row = waiting.pop(index)
                try:
                    self.results[index] = self._settle(index, row)
                except Refusal as refusal:
                    self.results[index] = RowResult("error", refusal=refusal)
        open_refs = {row.ref for row in waiting.values()}
        for index, row in waiting.items():
            circle = row.superior_ref in open_refs
            self.results[index] = RowResult("error", refusal=SuperiorCycle() if circle else UnknownSuperior())

    def _without_doubles(self, rows: Sequence[Row]) -> dict[int, Row]:
        waiting: dict[int, Row] = {}
        seen: set[ExternalRef] = set()
        for index, row in enumerate(rows):
            if row.ref in seen:
                self.results[index] = RowResult("error", refusal=DoubleRow())
            else:
                seen.add(row.ref)
                waiting[index] = row
        return waiting

    def _ready(self, waiting: Mapping[int, Row]) -> list[int]:
        """The rows whose superior is settled or stands outside the batch."""
        open_refs = {row.ref for row in waiting.values()}
        return [
            index
            for index, row in waiting.items()
            if row.superior_ref is None or (row.superior_ref not in open_refs and row.superior_ref in self._known)
        ]

    def _settle(self, index: int, row: Row) -> RowResult:
        fields = dict(row.fields)
        if row.department_ref is not None:
            department = self._tree.by_ref(row.department_ref)
            # An id that no department has: settling refuses it with the right pointer.
            fields["department_id"] = department.id if department else new_id()
        if row.superior_ref is not None:
            fields["superior_id"] = self._known[row.superior_ref]
        present = self._known.get(row.ref)
        if present is not None:
            return self._change(self._before[present], fields)
        return self._create(index, row, fields)

    def _change(self, before: User, fields: dict[str, Any]) -> RowResult:
        # A second load of the same file must not undo what people did since: status and password are for new users.
        fields.pop("status", None)
        if self._reached is not None and before.id not in self._reached:
            raise OutOfReach
        after = self._everybody.settle(self._authority, before, replace(before, **fields))
        if after == before:
            return RowResult("unchanged", before.id)
        self.settled.append(Settled(before, after))
        return RowResult("changed", before.id)

    def _create(self, index: int, row: Row, fields: dict[str, Any]) -> RowResult:
        hashed = self._hashes.get(index)
        if isinstance(hashed, Refusal):
            raise hashed
        if fields.get("status") == "active" and hashed is None:
            raise NotActivated
        if self._reached is not None and fields.get("superior_id") not in self._reached:
            raise OutOfReach
        if "department_id" not in fields:
            raise UnknownDepartment("/department_id")
        user = self._everybody.settle(self._authority, None, User(id=new_id(), external_ref=row.ref, **fields))
        self._known[row.ref] = user.id
        self.settled.append(Settled(None, user))
        if hashed is not None:
            self.passwords[user.id] = hashed
        return RowResult("created", user.id)
