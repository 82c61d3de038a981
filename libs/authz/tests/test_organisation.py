"""The seven scopes (ID-12) in memory: by a table, and against the oracle on random organisations."""

import uuid
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_authz import Changes, Department, DepartmentSet, Directory, Everybody, Rule, User, organisation

from .world import NOW, World, changes, oracle, uid

ROOT, NORTH, FAR, SOUTH = uid(1), uid(2), uid(3), uid(4)
BOSS, NINA, FADO, FIONA, SOFIA, LEAVER = uid(10), uid(11), uid(12), uid(13), uid(14), uid(15)
SOUTHERN = uid(20)


def company() -> Directory:
    """Boss (super administrator) over Nina and Sofia; Nina over Fado, Fiona and a dismissed one; far lies in the north."""
    departments = (
        Department(ROOT, "Company", None),
        Department(NORTH, "North", ROOT, position=2),
        Department(FAR, "Far north", NORTH),
        Department(SOUTH, "South", ROOT, position=1),
    )
    users = (
        User(BOSS, "Boss", "active", ROOT, super_admin=True),
        User(NINA, "Nina", "active", NORTH, superior_id=BOSS),
        User(FADO, "Fado", "active", FAR, superior_id=NINA),
        User(FIONA, "Fiona", "active", FAR, superior_id=NINA),
        User(LEAVER, "Leaver", "dismissed", FAR, superior_id=NINA),
        User(SOFIA, "Sofia", "active", SOUTH, superior_id=BOSS),
    )
    sets = (DepartmentSet(SOUTHERN, "Southern", frozenset({SOUTH}), frozenset()),)
    return Directory().with_changes(
        Changes(users=users, departments=departments, sets=sets), version=1, heard_at=NOW, now=NOW
    )


@pytest.mark.requirement("ID-12", "ID-5")
@pytest.mark.parametrize(
    ("scope", "holder", "reached"),
    [
        ("self", NINA, {NINA}),
        ("peers", FADO, {FADO, FIONA, LEAVER}),
        ("peers", NINA, {NINA}),  # Her superior is a super administrator.
        ("peers", BOSS, {BOSS}),  # Has none.
        ("subordinates", NINA, {NINA, FADO, FIONA, LEAVER}),
        ("subordinates", BOSS, {BOSS, NINA, FADO, FIONA, SOFIA, LEAVER}),
        ("subordinates", FADO, {FADO}),
        ("department", FADO, {FADO, FIONA, LEAVER}),
        ("department", NINA, {NINA}),
        ("department_tree", NINA, {NINA, FADO, FIONA, LEAVER}),
        ("department_tree", SOFIA, {SOFIA}),
        (f"departments:{SOUTHERN}", FADO, {FADO, SOFIA}),
        (f"departments:{uid(99)}", FADO, set()),
    ],
)
def test_each_scope_reaches_whom_the_table_says(scope: str, holder: object, reached: set[object]) -> None:
    rule = Rule.parse(scope)
    assert rule is not None
    assert company().owners(rule, holder) == reached  # type: ignore[arg-type]


@pytest.mark.requirement("ID-12")
def test_all_reaches_everybody_but_not_for_somebody_unknown() -> None:
    assert isinstance(company().owners(Rule("all"), FADO), Everybody)
    assert company().owners(Rule("all"), uid(99)) == frozenset()


@pytest.mark.requirement("ID-12")
@given(st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_scopes_agree_with_the_oracle_on_random_organisations_and_after_every_move(random: Random) -> None:
    world = World(random)
    directory = world.directory()
    rules = [Rule(s) for s in ("self", "peers", "subordinates", "department", "department_tree")] + [
        Rule("departments", set_id) for set_id in [*world.set_ids, uid(3999)]
    ]
    for step in range(3):
        told = world.told()
        for user in [*world.user_ids, uid(1999)]:
            for rule in rules:
                # Twice: computed, then remembered.
                assert directory.owners(rule, user) == oracle.owners(told, str(rule), user), (step, rule, user)
                assert directory.owners(rule, user) == oracle.owners(told, str(rule), user)
        moved = world.move()
        directory = directory.with_changes(changes(moved), version=directory.version + 1, heard_at=NOW, now=NOW)


def test_an_old_snapshot_keeps_saying_what_it_said() -> None:
    before = company()
    nina = before.users[NINA]
    moved = User(NINA, nina.name, nina.status, SOUTH, superior_id=SOFIA)
    after = before.with_changes(Changes(users=(moved,)), version=2, heard_at=NOW, now=NOW)
    assert before.owners(Rule("department"), SOFIA) == {SOFIA}
    assert after.owners(Rule("department"), SOFIA) == {SOFIA, NINA}
    assert after.owners(Rule("subordinates"), SOFIA) == {SOFIA, NINA, FADO, FIONA, LEAVER}
    assert before.owners(Rule("subordinates"), SOFIA) == {SOFIA}


def test_what_was_computed_is_kept_while_nobody_moves() -> None:
    before = company()
    reach = before.owners(Rule("subordinates"), BOSS)
    renamed = User(NINA, "Nina K.", "inactive", NORTH, superior_id=BOSS)
    after = before.with_changes(Changes(users=(renamed,)), version=2, heard_at=NOW, now=NOW)
    assert after.user_name(NINA) == "Nina K."
    assert after.owners(Rule("subordinates"), BOSS) is reach


@pytest.mark.requirement("ID-12", "ID-24")
@pytest.mark.parametrize(
    ("changed", "scope", "holder", "reached"),
    [
        (User(FADO, "Fado", "active", FAR, superior_id=SOFIA), "subordinates", NINA, {NINA, FIONA, LEAVER}),
        (User(FADO, "Fado", "active", SOUTH, superior_id=NINA), "department_tree", NINA, {NINA, FIONA, LEAVER}),
        (Department(FAR, "Far north", SOUTH), "department_tree", NINA, {NINA}),
        (DepartmentSet(SOUTHERN, "Southern", frozenset(), frozenset()), f"departments:{SOUTHERN}", NINA, {NINA}),
    ],
)
def test_one_single_move_is_in_force_at_once(
    changed: object, scope: str, holder: uuid.UUID, reached: set[object]
) -> None:
    rule = Rule.parse(scope)
    assert rule is not None
    before = company()
    assert before.owners(rule, holder) != reached  # And so remembered.
    after = before.with_changes(changes([changed]), version=2, heard_at=NOW, now=NOW)
    assert after.owners(rule, holder) == reached


def test_what_is_kept_is_bounded_and_still_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organisation, "MAX_REMEMBERED_IDS", 7)
    directory = company()
    for _ in range(2):
        assert len(directory.owners(Rule("subordinates"), BOSS)) == 6
        assert len(directory.owners(Rule("subordinates"), NINA)) == 4
        assert sum(map(len, directory.organisation._remembered.reaches.values())) <= 7


@pytest.mark.requirement("AN-6")
def test_credit_names_user_department_and_path_as_known_now() -> None:
    credit = company().credit_of(FADO)
    assert (credit.user_id, credit.department_id, credit.department_path) == (FADO, FAR, [ROOT, NORTH, FAR])
    assert company().credit_of(uid(99)).department_path == []


def test_a_path_above_an_unknown_parent_is_taken_from_what_identity_said() -> None:
    far = Department(FAR, "Far north", NORTH, path=(ROOT, NORTH, FAR))
    directory = Directory().with_changes(Changes(departments=(far,)), version=1, heard_at=NOW, now=NOW)
    assert directory.department_path(FAR) == [ROOT, NORTH, FAR]
    assert directory.department_path(SOUTH) == [SOUTH]


def test_names_and_children_are_told_for_labels() -> None:
    directory = company()
    assert directory.user_name(LEAVER) == "Leaver"
    assert directory.user_name(uid(99)) is None
    assert directory.department_name(FAR) == "Far north"
    assert directory.children(ROOT) == [SOUTH, NORTH]  # In the company's order.
    assert directory.super_admins == {BOSS}
    assert directory.is_active(FADO)
    assert not directory.is_active(LEAVER)
