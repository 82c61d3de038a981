import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_identity.department.rules import (
    Department,
    DepartmentCycle,
    DepartmentNotEmpty,
    DepartmentNotFound,
    RootStays,
    Tree,
    UnknownDepartment,
)

IDS = [uuid.UUID(int=number) for number in range(1, 13)]
ROOT = Department(IDS[0], "Root", None, "other")


def node(number: int, parent: int) -> Department:
    return Department(IDS[number], f"D{number}", IDS[parent], "sales")


def a_tree() -> Tree:
    """0 > 1 > 2 > 3, and 0 > 4."""
    return Tree([ROOT, node(1, 0), node(2, 1), node(3, 2), node(4, 0)])


def test_a_path_leads_from_the_root_to_the_department() -> None:
    assert a_tree().path(IDS[3]) == (IDS[0], IDS[1], IDS[2], IDS[3])


def test_a_moved_department_takes_everything_below_it_along() -> None:
    tree = a_tree()
    tree.change(IDS[1], parent_id=IDS[4])
    assert tree.path(IDS[3]) == (IDS[0], IDS[4], IDS[1], IDS[2], IDS[3])
    assert tree.below(IDS[4]) == [IDS[1], IDS[2], IDS[3]]


@pytest.mark.parametrize("target", [1, 2, 3])
def test_a_department_never_moves_below_itself(target: int) -> None:
    tree = a_tree()
    with pytest.raises(DepartmentCycle):
        tree.change(IDS[1], parent_id=IDS[target])
    assert tree.path(IDS[3]) == (IDS[0], IDS[1], IDS[2], IDS[3])


def test_the_root_is_renamed_but_neither_moved_nor_removed() -> None:
    tree = a_tree()
    assert tree.change(IDS[0], name="Company").name == "Company"
    with pytest.raises(RootStays):
        tree.change(IDS[0], parent_id=IDS[4])
    with pytest.raises(RootStays):
        tree.change(IDS[1], parent_id=None)
    with pytest.raises(RootStays):
        tree.add(Department(IDS[9], "Second", None, "other"))
    with pytest.raises(RootStays):
        tree.remove(IDS[0], people=0)


def test_only_an_empty_department_is_removed() -> None:
    tree = a_tree()
    with pytest.raises(DepartmentNotEmpty):
        tree.remove(IDS[2], people=0)
    with pytest.raises(DepartmentNotEmpty):
        tree.remove(IDS[3], people=1)
    tree.remove(IDS[3], people=0)
    assert tree.remove(IDS[2], people=0).id == IDS[2]


def test_what_does_not_exist_is_refused() -> None:
    tree = a_tree()
    with pytest.raises(UnknownDepartment):
        tree.add(node(8, 9))
    with pytest.raises(UnknownDepartment):
        tree.change(IDS[1], parent_id=IDS[9])
    with pytest.raises(DepartmentNotFound):
        tree.change(IDS[9], name="No")


def test_references_of_other_systems_follow_the_departments() -> None:
    tree = a_tree()
    tree.add(replace(node(5, 4), external_ref=("erp", "5")))
    found = tree.by_ref(("erp", "5"))
    assert found is not None
    assert found.id == IDS[5]
    tree.remove(IDS[5], people=0)
    assert tree.by_ref(("erp", "5")) is None


@given(
    st.lists(st.tuples(st.sampled_from(["add", "move", "remove"]), st.integers(0, 11), st.integers(0, 11)), max_size=60)
)
def test_whatever_happens_it_stays_a_tree(steps: list[tuple[str, int, int]]) -> None:
    tree = Tree([ROOT])
    for kind, first, second in steps:
        try:
            if kind == "add" and IDS[first] not in tree:
                tree.add(node(first, second))
            elif kind == "move":
                tree.change(IDS[first], parent_id=IDS[second])
            elif kind == "remove":
                tree.remove(IDS[first], people=0)
        except (DepartmentCycle, DepartmentNotEmpty, DepartmentNotFound, RootStays, UnknownDepartment):
            continue
    everybody = {department.id for department in tree}
    # A naive look from below: every department reaches the root in at most as many steps as there are departments.
    parents = {department.id: department.parent_id for department in tree}
    for department in everybody:
        at: uuid.UUID | None = department
        walked = []
        while at is not None:
            walked.append(at)
            assert len(walked) <= len(everybody)
            at = parents[at]
        assert walked[-1] == ROOT.id
        assert tree.path(department) == tuple(reversed(walked))
    assert set(tree.below(ROOT.id)) == everybody - {ROOT.id}
