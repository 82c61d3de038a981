"""Create, change, remove departments, one or many: the tree is changed as a value, then what differs is written and told."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from crm_contracts.identity import DepartmentChanged, DepartmentCreated, DepartmentDeleted
from crm_database import WriteSession
from crm_events.record import Step, changes_between
from crm_identity.announce import announce
from crm_identity.department import store
from crm_identity.department.rules import Department, DepartmentCycle, ExternalRef, Tree, UnknownDepartment
from crm_identity.department.tables import department
from crm_identity.organisation import store as organisation
from crm_kernel import Conflict, FieldError, Invalid, Refusal, new_id


class UnknownManager(Invalid):
    code = "department.unknown_manager"
    title = "The manager named is no active user"

    def __init__(self) -> None:
        super().__init__(errors=[FieldError("/manager_id", self.code, "There is no such active user.")])


class ExternalRefTaken(Conflict):
    code = "department.external_ref_taken"
    title = "Another department has this external reference"


class DoubleRow(Conflict):
    code = "batch.double_row"
    title = "An earlier row of the batch has the same reference"


@dataclass(frozen=True)
class Row:
    """One row of a batch. fields: what it gives. parent_ref: the parent, as the other system knows it."""

    ref: ExternalRef
    fields: Mapping[str, Any]
    parent_ref: ExternalRef | None = None


@dataclass(frozen=True)
class RowResult:
    """What became of a row: `created`, `changed`, `unchanged`, or `error` with the refusal."""

    status: str
    id: uuid.UUID | None = None
    refusal: Refusal | None = None


def _any_version(_: int) -> None:
    """No condition."""


async def create(session: WriteSession, fields: Mapping[str, Any]) -> uuid.UUID:
    """Add a department. Raises UnknownDepartment, UnknownManager."""
    await organisation.lock(session)
    tree, rows = await store.locked_tree(session)
    await _check_manager(session, fields)
    node = Department(id=new_id(), **fields)
    if node.external_ref and tree.by_ref(node.external_ref):
        raise ExternalRefTaken
    tree.add(node)
    await _write(session, tree, rows)
    return node.id


async def change(
    session: WriteSession,
    department_id: uuid.UUID,
    fields: Mapping[str, Any],
    *,
    admits: Callable[[int], None] = _any_version,
) -> None:
    """Rename, move with all below it, reorder. admits: raises when the present version is not the one expected.

    Raises DepartmentNotFound, DepartmentCycle, RootStays, UnknownManager, UnknownDepartment.
    """
    await organisation.lock(session)
    tree, rows = await store.locked_tree(session)
    tree.get(department_id)
    admits(rows[department_id]["version"])
    await _check_manager(session, fields)
    tree.change(department_id, **fields)
    await _write(session, tree, rows)


async def remove(
    session: WriteSession, department_id: uuid.UUID, *, admits: Callable[[int], None] = _any_version
) -> None:
    """Remove an empty department. Raises DepartmentNotFound, DepartmentNotEmpty, RootStays."""
    await organisation.lock(session)
    tree, rows = await store.locked_tree(session)
    path = tree.path(tree.get(department_id).id)
    admits(rows[department_id]["version"])
    gone = tree.remove(department_id, people=await organisation.people_in(session, department_id))
    now = session.context.now
    await announce(
        session,
        [
            Step(
                table=department,
                id=gone.id,
                event=DepartmentDeleted,
                state={**state(gone, path), "deleted": True},
                values={"deleted_at": now, "updated_at": now},
            )
        ],
    )


async def upsert(session: WriteSession, batch: list[Row]) -> list[RowResult]:
    """Create or change many by external reference; a row may name a parent that stands in the same batch, in any order.

    A refused row changes nothing and says why; rows that need it are refused too.
    """
    await organisation.lock(session)
    tree, rows = await store.locked_tree(session)
    managers = {row.fields["manager_id"] for row in batch if row.fields.get("manager_id")}
    active = await organisation.active_users(session, managers)
    results: dict[int, RowResult] = {}
    waiting: dict[int, Row] = {}
    seen: set[ExternalRef] = set()
    for index, row in enumerate(batch):
        if row.ref in seen:
            results[index] = RowResult("error", refusal=DoubleRow())
        else:
            seen.add(row.ref)
            waiting[index] = row
    # Parents first: each round takes the rows whose parent is known by now. What is left has no parent, or is a circle.
    while ready := {i: row for i, row in waiting.items() if _parent_known(tree, row, waiting)}:
        for index, row in ready.items():
            del waiting[index]
            results[index] = _apply(tree, row, active)
    left = {row.ref for row in waiting.values()}
    for index, row in waiting.items():
        refusal = DepartmentCycle() if row.parent_ref in left else UnknownDepartment("/parent_ref")
        results[index] = RowResult("error", refusal=refusal)
    await _write(session, tree, rows)
    return [results[index] for index in range(len(batch))]


def _parent_known(tree: Tree, row: Row, waiting: Mapping[int, Row]) -> bool:
    if row.parent_ref is None:
        return True
    # A parent that is itself still to be treated may be about to move: it goes first.
    return row.parent_ref not in {other.ref for other in waiting.values()} and tree.by_ref(row.parent_ref) is not None


def _apply(tree: Tree, row: Row, active: set[uuid.UUID]) -> RowResult:
    fields = dict(row.fields)
    if row.parent_ref is not None:
        parent = tree.by_ref(row.parent_ref)
        fields["parent_id"] = parent.id if parent else None
    try:
        if fields.get("manager_id") and fields["manager_id"] not in active:
            raise UnknownManager
        present = tree.by_ref(row.ref)
        if present is None:
            fields.setdefault("parent_id", tree.root.id)
            node = Department(id=new_id(), external_ref=row.ref, **fields)
            tree.add(node)
            return RowResult("created", node.id)
        changed = tree.change(present.id, **fields)
        return RowResult("unchanged" if changed == present else "changed", present.id)
    except Refusal as refusal:
        return RowResult("error", refusal=refusal)


async def _check_manager(session: WriteSession, fields: Mapping[str, Any]) -> None:
    manager = fields.get("manager_id")
    if manager is not None and not await organisation.active_users(session, [manager]):
        raise UnknownManager


async def _write(session: WriteSession, tree: Tree, rows: Mapping[uuid.UUID, Any]) -> None:
    """Write and tell what of the tree differs from the rows; departments below a moved one have another path, too."""
    now = session.context.now
    created, changed = [], []
    for node in tree:
        path = tree.path(node.id)
        row = rows.get(node.id)
        if row is None:
            created.append(
                Step(
                    table=department,
                    id=node.id,
                    event=DepartmentCreated,
                    state=state(node, path),
                    values={**store.values(node, path, now), "created_at": now},
                    new=True,
                )
            )
            continue
        before, after = state(store.as_department(row), tuple(row["path"])), state(node, path)
        if before != after:
            changed.append(
                Step(
                    table=department,
                    id=node.id,
                    event=DepartmentChanged,
                    state=after,
                    values=store.values(node, path, now),
                    changes=changes_between(before, after),
                )
            )
    # Parents before their children: whoever hears of a department has heard of what it stands in.
    created.sort(key=lambda step: len(step.values["path"]))
    changed.sort(key=lambda step: len(step.values["path"]))
    await announce(session, created)
    await announce(session, changed)


def state(node: Department, path: tuple[uuid.UUID, ...]) -> dict[str, Any]:
    """A department as events tell it."""
    return {
        "name": node.name,
        "parent_id": node.parent_id,
        "manager_id": node.manager_id,
        "business_area": node.business_area,
        "position": node.position,
        "path": list(path),
    }
