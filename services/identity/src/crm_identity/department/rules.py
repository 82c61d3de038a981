"""The organisation tree as a value: what may be added, moved and removed, and which paths follow (ID-2)."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from crm_kernel import Conflict, FieldError, Invalid, NotFound

BusinessArea = Literal["sales", "collections", "other"]
ExternalRef = tuple[str, str]


class DepartmentNotFound(NotFound):
    code = "department.not_found"
    title = "There is no such department"


class UnknownDepartment(Invalid):
    """422: the input names a department that does not exist."""

    code = "department.unknown"
    title = "The department named does not exist"

    def __init__(self, pointer: str) -> None:
        super().__init__(errors=[FieldError(pointer, "department.unknown", "There is no such department.")])


class DepartmentCycle(Conflict):
    code = "department.cycle"
    title = "A department can't stand below itself"


class RootStays(Conflict):
    code = "department.root_stays"
    title = "The root department can be renamed, but neither moved nor removed"


class DepartmentNotEmpty(Conflict):
    code = "department.not_empty"
    title = "The department still has departments below it, or people"


@dataclass(frozen=True)
class Department:
    """A node of the tree. parent_id None: the root. position: order among its siblings, smallest first."""

    id: uuid.UUID
    name: str
    parent_id: uuid.UUID | None
    business_area: BusinessArea
    manager_id: uuid.UUID | None = None
    position: int = 0
    external_ref: ExternalRef | None = None


class Tree:
    """All departments of the company. Changing it changes this value only; the caller writes what became different."""

    def __init__(self, departments: Iterable[Department]) -> None:
        self._nodes = {department.id: department for department in departments}
        self._children: dict[uuid.UUID, set[uuid.UUID]] = {}
        for department in self._nodes.values():
            if department.parent_id is not None:
                self._children.setdefault(department.parent_id, set()).add(department.id)
        self._by_ref = {node.external_ref: node.id for node in self._nodes.values() if node.external_ref}

    def __contains__(self, department_id: uuid.UUID) -> bool:
        return department_id in self._nodes

    def __iter__(self) -> Iterator[Department]:
        return iter(self._nodes.values())

    @property
    def root(self) -> Department:
        """The one department without a parent."""
        return next(node for node in self._nodes.values() if node.parent_id is None)

    def get(self, department_id: uuid.UUID) -> Department:
        """Raises DepartmentNotFound."""
        try:
            return self._nodes[department_id]
        except KeyError:
            raise DepartmentNotFound from None

    def by_ref(self, ref: ExternalRef) -> Department | None:
        """The department that another system knows by this reference."""
        found = self._by_ref.get(ref)
        return None if found is None else self._nodes[found]

    def path(self, department_id: uuid.UUID) -> tuple[uuid.UUID, ...]:
        """From the root down to the department, both included."""
        path = []
        at: uuid.UUID | None = department_id
        while at is not None:
            path.append(at)
            at = self._nodes[at].parent_id
        return tuple(reversed(path))

    def below(self, department_id: uuid.UUID) -> list[uuid.UUID]:
        """All departments below one, parents before their children."""
        found: list[uuid.UUID] = []
        level = sorted(self._children.get(department_id, ()))
        while level:
            found += level
            level = [child for node in level for child in sorted(self._children.get(node, ()))]
        return found

    def add(self, department: Department) -> None:
        """Put a department below an existing one. Raises UnknownDepartment; RootStays for a second root."""
        if department.parent_id is None:
            raise RootStays("There is one root already; name a parent.")
        if department.parent_id not in self._nodes:
            raise UnknownDepartment("/parent_id")
        self._nodes[department.id] = department
        self._children.setdefault(department.parent_id, set()).add(department.id)
        if department.external_ref:
            self._by_ref[department.external_ref] = department.id

    def change(self, department_id: uuid.UUID, **fields: Any) -> Department:
        """Rename, move, reorder. Raises DepartmentNotFound, UnknownDepartment, RootStays, DepartmentCycle."""
        old = self.get(department_id)
        new = replace(old, **fields)
        if new.parent_id != old.parent_id:
            self._check_move(old, new.parent_id)
            if old.parent_id is not None and new.parent_id is not None:
                self._children[old.parent_id].discard(old.id)
                self._children.setdefault(new.parent_id, set()).add(old.id)
        self._nodes[department_id] = new
        return new

    def _check_move(self, moved: Department, parent_id: uuid.UUID | None) -> None:
        if moved.parent_id is None or parent_id is None:
            raise RootStays
        if parent_id not in self._nodes:
            raise UnknownDepartment("/parent_id")
        if moved.id in self.path(parent_id):
            raise DepartmentCycle

    def remove(self, department_id: uuid.UUID, *, people: int) -> Department:
        """Take an empty department out. people: how many users it has. Raises RootStays, DepartmentNotEmpty."""
        gone = self.get(department_id)
        if gone.parent_id is None:
            raise RootStays
        if self._children.get(department_id) or people:
            raise DepartmentNotEmpty
        del self._nodes[department_id]
        self._children[gone.parent_id].discard(department_id)
        if gone.external_ref:
            del self._by_ref[gone.external_ref]
        return gone
