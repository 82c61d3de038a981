"""Rules: how they are written, and which of them another one contains."""

import uuid
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_authz import Everybody, Rule
from crm_authz.rules import widest

from .world import World, uid

SET = "00000000-0000-0000-0000-000000000bb8"


@pytest.mark.parametrize(
    "text", ["self", "peers", "subordinates", "department", "department_tree", "all", f"departments:{SET}"]
)
def test_every_scope_is_read_as_it_is_written(text: str) -> None:
    rule = Rule.parse(text)
    assert rule is not None
    assert str(rule) == text


@pytest.mark.requirement("ID-12")
@pytest.mark.parametrize(
    "text",
    [
        *("", "everything", "ALL", " all", "all ", "all:", f"all:{SET}", "self:x", "*", "subordinate"),
        *("departments", "departments:", "departments:x", f"departments:{SET.upper()}", f"departments:{{{SET}}}"),
        *(f"departments:urn:uuid:{SET}", f"departments:{SET}:{SET}", "аll"),
    ],
)
def test_an_unknown_scope_is_no_rule(text: str) -> None:
    assert Rule.parse(text) is None


def test_a_rule_names_a_set_exactly_for_departments() -> None:
    with pytest.raises(ValueError, match="no such rule"):
        Rule("departments")
    with pytest.raises(ValueError, match="no such rule"):
        Rule("all", uuid.uuid4())


@pytest.mark.parametrize(
    ("given_rules", "kept"),
    [
        (["all", "self", "peers", "department", "department_tree", "subordinates"], ["all"]),
        (["self", "peers"], ["peers"]),
        (["self", "subordinates"], ["subordinates"]),
        (["department", "department_tree"], ["department_tree"]),
        (["peers", "subordinates", "department"], ["department", "peers", "subordinates"]),
        # The set may be unknown where the token is read: then `self` is all that is left.
        (["self", f"departments:{SET}"], [f"departments:{SET}", "self"]),
        ([], []),
    ],
)
def test_only_what_another_rule_certainly_contains_is_dropped(given_rules: list[str], kept: list[str]) -> None:
    rules = [rule for text in given_rules if (rule := Rule.parse(text)) is not None]
    assert [str(rule) for rule in widest(rules)] == kept


@given(st.randoms(use_true_random=False))
def test_dropping_contained_rules_never_changes_the_reach(random: Random) -> None:
    world = World(random)
    directory = world.directory()
    rules = [world.rule() for _ in range(random.randint(0, 5))]
    for user in [*world.user_ids, uid(1999)]:

        def reach(of: list[Rule], user: uuid.UUID = user) -> set[object]:
            reaches = [directory.owners(rule, user) for rule in of]
            if any(isinstance(found, Everybody) for found in reaches):
                return {"everybody"}
            return {owner for found in reaches if not isinstance(found, Everybody) for owner in found}

        assert reach(list(widest(rules))) == reach(rules)
