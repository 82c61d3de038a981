"""Who stands where: departments and superior chains, indexed, and whom each data scope reaches (ID-12).

An Organisation never changes; `moved` gives the next one and shares with this one what stayed the same. Events of different
records come in any order, so a user may stand in a department that is not known yet, and for a moment chains may run in a circle:
everything here ends and reaches too little rather than too much.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, Literal, Self

from crm_authz.people import Department, DepartmentSet, User
from crm_authz.rules import Rule

Ids = frozenset[uuid.UUID]
Index = Mapping[uuid.UUID, Ids]


class Everybody(Enum):
    """The reach of `all`: everybody's records, and those without owner."""

    EVERYBODY = "everybody"


EVERYBODY: Final = Everybody.EVERYBODY
Reach = Ids | Literal[Everybody.EVERYBODY]
NOBODY: Final[Ids] = frozenset()

#: The most owner ids that remembered reaches may hold together (some 100 MB at worst); beyond that they are forgotten.
MAX_REMEMBERED_IDS: Final = 1_000_000


class _Remembered:
    """Reaches that were computed, and how many ids they hold."""

    def __init__(self) -> None:
        self.reaches: dict[tuple[str, uuid.UUID], Ids] = {}
        self._ids = 0

    def put(self, key: tuple[str, uuid.UUID], reach: Ids) -> None:
        if self._ids + len(reach) > MAX_REMEMBERED_IDS:
            self.reaches.clear()
            self._ids = 0
        self.reaches[key] = reach
        self._ids += len(reach)


class Organisation:
    """Users and departments of one moment."""

    def __init__(
        self,
        users: Mapping[uuid.UUID, User],
        departments: Mapping[uuid.UUID, Department],
        sets: Mapping[uuid.UUID, DepartmentSet],
        *,
        in_department: Index,
        reports: Index,
        children: Index,
    ) -> None:
        self.users = users
        self.departments = departments
        self.sets = sets
        self._in_department = in_department
        self._reports = reports
        self._children = children
        self._remembered = _Remembered()

    @classmethod
    def empty(cls) -> Self:
        """Nobody yet."""
        return cls({}, {}, {}, in_department={}, reports={}, children={})

    def moved(
        self, users: Iterable[User], departments: Iterable[Department], sets: Iterable[DepartmentSet]
    ) -> "Organisation":
        """The organisation after these rows changed. Keeps what was computed when nobody's reach can have changed."""
        changed_users = [user for user in users if self.users.get(user.id) != user]
        changed_departments = [d for d in departments if self.departments.get(d.id) != d]
        changed_sets = [s for s in sets if self.sets.get(s.id) != s]
        if not (changed_users or changed_departments or changed_sets):
            return self
        now = Organisation(
            {**self.users, **{user.id: user for user in changed_users}} if changed_users else self.users,
            {**self.departments, **{d.id: d for d in changed_departments}} if changed_departments else self.departments,
            {**self.sets, **{s.id: s for s in changed_sets}} if changed_sets else self.sets,
            in_department=_moved(self._in_department, changed_users, self.users, lambda user: user.department_id),
            reports=_moved(self._reports, changed_users, self.users, lambda user: user.superior_id),
            children=_moved(self._children, changed_departments, self.departments, _parent),
        )
        if (
            not changed_sets
            and now._in_department is self._in_department
            and now._reports is self._reports
            and now._children is self._children
        ):
            now._remembered = self._remembered
        return now

    def child_departments(self, department_id: uuid.UUID) -> Ids:
        """The departments directly below; not those that were removed."""
        return self._children.get(department_id, NOBODY)

    def people_in(self, department_id: uuid.UUID) -> Ids:
        """The users of a department itself, of any status."""
        return self._in_department.get(department_id, NOBODY)

    def path(self, department_id: uuid.UUID) -> list[uuid.UUID]:
        """From the root down to the department, both included. What lies above an unknown parent is taken from identity's path."""
        way: list[uuid.UUID] = []
        at: uuid.UUID | None = department_id
        while at is not None and at not in way:
            way.append(at)
            department = self.departments.get(at)
            if department is None:
                # Not here yet: the child below knew its path when it was announced.
                below = self.departments.get(way[-2]) if len(way) > 1 else None
                known = list(below.path) if below is not None else []
                return [*(known[: known.index(at)] if at in known else []), *reversed(way)]
            at = department.parent_id
        return list(reversed(way))

    def owners(self, rule: Rule, user_id: uuid.UUID) -> Reach:
        """Whose records a rule reaches for a user; the seven scopes of ID-12. A user who is not known reaches nobody."""
        user = self.users.get(user_id)
        if user is None:
            return NOBODY
        if rule.scope == "all":
            return EVERYBODY
        if rule.scope == "self":
            return frozenset({user_id})
        if rule.scope == "peers":
            return self._peers(user)
        if rule.scope == "subordinates":
            return self._once("subordinates", user_id, self._subordinates)
        if rule.scope == "department":
            return self.people_in(user.department_id)
        if rule.scope == "department_tree":
            return self._once("department_tree", user.department_id, self._people_in_tree)
        return self._chosen(rule, user_id)

    def _peers(self, user: User) -> Ids:
        superior = None if user.superior_id is None else self.users.get(user.superior_id)
        if superior is None or superior.super_admin:
            return frozenset({user.id})
        # Nobody is their own superior; should a broken event say so, the superior still is no peer.
        return (self._reports.get(superior.id, NOBODY) - {superior.id}) | {user.id}

    def _subordinates(self, user_id: uuid.UUID) -> Ids:
        return _reachable({user_id}, self._reports)

    def _people_in_tree(self, department_id: uuid.UUID) -> Ids:
        return self._people_of(_reachable({department_id}, self._children))

    def _chosen(self, rule: Rule, user_id: uuid.UUID) -> Ids:
        if rule.set_id is None or (chosen := self.sets.get(rule.set_id)) is None or chosen.deleted:
            return NOBODY
        people = self._once("departments", rule.set_id, lambda _: self._people_chosen(chosen))
        return people if user_id in people else people | {user_id}

    def _people_chosen(self, chosen: DepartmentSet) -> Ids:
        return self._people_of(chosen.departments | _reachable(chosen.subtrees, self._children))

    def _people_of(self, departments: Iterable[uuid.UUID]) -> Ids:
        return frozenset(user for department in departments for user in self.people_in(department))

    def _once(self, kind: str, place: uuid.UUID, compute: Callable[[uuid.UUID], Ids]) -> Ids:
        """Computed once per rule and place for as long as the organisation stays as it is."""
        found = self._remembered.reaches.get((kind, place))
        if found is None:
            found = compute(place)
            self._remembered.put((kind, place), found)
        return found


def _parent(department: Department) -> uuid.UUID | None:
    return None if department.deleted else department.parent_id


def _reachable(start: Iterable[uuid.UUID], below: Index) -> Ids:
    """The starting points and everything below them; each is visited once, so a circle ends."""
    seen = set(start)
    waiting = list(seen)
    while waiting:
        for found in below.get(waiting.pop(), NOBODY):
            if found not in seen:
                seen.add(found)
                waiting.append(found)
    return frozenset(seen)


def _moved(
    index: Index,
    changed: Iterable[User] | Iterable[Department],
    before: Mapping[uuid.UUID, User] | Mapping[uuid.UUID, Department],
    place: Callable[..., uuid.UUID | None],
) -> Index:
    """An index `place → ids` after some entries changed place; the same object when none did."""
    touched: dict[uuid.UUID, set[uuid.UUID]] = {}
    for entry in changed:
        old = before.get(entry.id)
        left, entered = None if old is None else place(old), place(entry)
        if left == entered:
            continue
        if left is not None:
            touched.setdefault(left, set(index.get(left, NOBODY))).discard(entry.id)
        if entered is not None:
            touched.setdefault(entered, set(index.get(entered, NOBODY))).add(entry.id)
    if not touched:
        return index
    merged = {**index, **{key: frozenset(ids) for key, ids in touched.items()}}
    return {key: ids for key, ids in merged.items() if ids}
