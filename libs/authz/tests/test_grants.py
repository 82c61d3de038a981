"""The union of roles, its compact claims, and what a reader makes of them."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_authz import ACTION_CLASSES, SHIPPED_ROLES, Place, Rule, encode_claims, services_of
from crm_authz.claims import MalformedClaim, read_permissions, read_scope_rules
from crm_authz.grants import RoleRights, role_rule
from crm_authz.rules import widest
from crm_authz.shipped import SUPER_ADMINISTRATOR
from crm_contracts.control import ALL as SERVICES

from .world import grants, issue, role, uid

SELF, ALL, DEPARTMENT, PEERS = Rule("self"), Rule("all"), Rule("department"), Rule("peers")
RECORDS = ["customers.customer", "customers.contact", "sales.opportunity", "billing.invoice"]
ACTIONS = ["read", "create", "export"]


def random_role(random: Random) -> RoleRights:
    targets = [*RECORDS, "customers.*", "sales.*"]
    codes = [f"{t}:{a}" for t in [*targets, "*.*"] for a in [*ACTIONS, "*"]] + ["*", "nonsense", "a.b", ":x"]
    rules = [SELF, ALL, DEPARTMENT, PEERS, Rule("departments", uid(3000)), Rule("subordinates")]
    scopes = {
        target: {
            action: random.choice(rules) for action in random.sample([*ACTION_CLASSES, "*"], k=random.randint(0, 3))
        }
        for target in random.sample([*targets, "*"], k=random.randint(0, 3))
    }
    return role(1, random.sample(codes, k=random.randint(0, 4)), scopes)


def gives(one: RoleRights, code: str) -> bool:
    """Whether one role's list gives an operation: told anew, by matching part for part."""
    service, rest = code.split(".", 1)
    record, action = rest.split(":")
    patterns = [p for p in one.permissions if p == "*" or (p.count(".") == 1 and p.count(":") == 1)]
    for pattern in patterns:
        if pattern == "*":
            return True
        parts = [pattern.split(".")[0], pattern.split(".")[1].split(":")[0], pattern.split(":")[1]]
        if "" not in parts and all(p in ("*", w) for p, w in zip(parts, [service, record, action], strict=True)):
            return True
    return False


@pytest.mark.requirement("ID-10", "ID-11", "ID-21")
@given(st.randoms(use_true_random=False))
def test_claims_give_exactly_the_union_of_the_roles(random: Random) -> None:
    roles = [random_role(random) for _ in range(random.randint(0, 3))]
    claims = json.loads(json.dumps(encode_claims(grants(*roles))))
    permissions, scopes = read_permissions(claims["perm"]), read_scope_rules(claims["scp"])
    for record in [*RECORDS, "customers.other", "analytics.dashboard"]:
        for action in [*ACTIONS, "other"]:
            code = f"{record}:{action}"
            assert permissions.allows(code) == any(gives(r, code) for r in roles), code
        for action_class in ACTION_CLASSES:
            found = [rule for r in roles if (rule := role_rule(r, *record.split("."), action_class)) is not None]
            assert scopes.of(record, action_class) == widest(found), (record, action_class)


def test_the_more_exact_key_answers_alone() -> None:
    scopes = read_scope_rules({"customers": {"*": {"*": ["all"]}, "customer": {"read": ["department"]}}})
    assert scopes.of("customers.contact", "delete") == (ALL,)
    assert scopes.of("customers.customer", "read") == (DEPARTMENT,)
    assert scopes.of("customers.customer", "delete") == ()
    permissions = read_permissions({"customers": {"*": ["*"], "customer": ["read"]}})
    assert permissions.allows("customers.contact:delete")
    assert not permissions.allows("customers.customer:delete")


def test_a_narrow_role_entry_is_not_widened_by_the_same_roles_wildcard() -> None:
    one = role(1, ["*"], {"*": {"*": ALL}, "customers.customer": {"read": SELF}})
    assert grants(one).rules("customers.customer", "read") == (SELF,)
    assert grants(one).rules("customers.customer", "delete") == ()
    assert grants(one).rules("customers.contact", "delete") == (ALL,)
    closed = role(2, [], {"customers.*": {"*": ALL}, "customers.customer": {}})
    assert grants(closed).rules("customers.customer", "read") == ()
    assert grants(closed).rules("customers.contact", "read") == (ALL,)


@pytest.mark.requirement("ID-10")
def test_two_roles_reach_together_and_the_widest_wins() -> None:
    one = role(1, [], {"customers.*": {"*": SELF}})
    two = role(2, [], {"customers.customer": {"read": DEPARTMENT}})
    three = role(3, [], {"*": {"read": ALL}})
    assert grants(one, two).rules("customers.customer", "read") == (DEPARTMENT,)
    assert grants(one, two).rules("customers.customer", "write") == (SELF,)
    assert grants(one, two, three).rules("customers.customer", "read") == (ALL,)


@pytest.mark.requirement("ID-12")
@pytest.mark.parametrize("claim", [{"customers": {"*": {"*": ["everything"]}}}, {"customers": {"*": {"*": []}}}, {}])
def test_an_empty_or_unknown_scope_has_no_rule(claim: dict[str, Any]) -> None:
    assert read_scope_rules(claim).of("customers.customer", "read") == ()


@pytest.mark.parametrize(
    "claim",
    [
        *(None, [], "all", True, {"customers": []}, {"customers": {"customer": ["all"]}}, {"customers": None}),
        *({"customers": {"customer": {"read": "all"}}}, {"customers": {"customer": {"read": [1]}}}, {"": {}}),
        *({"customers": {"customer": {"read": None}}}, {"customers": {"customer": {"read": {"all": 1}}}}),
    ],
)
def test_scope_claims_of_another_type_are_refused(claim: object) -> None:
    with pytest.raises(MalformedClaim):
        read_scope_rules(claim)


@pytest.mark.parametrize(
    "claim", [None, [], "*", {"customers": "*"}, {"customers": {"customer": "read"}}, {"customers": {"*": [None]}}]
)
def test_permission_claims_of_another_type_are_refused(claim: object) -> None:
    with pytest.raises(MalformedClaim):
        read_permissions(claim)


@pytest.mark.requirement("ID-1")
def test_a_super_administrator_has_everything_whatever_the_roles_say() -> None:
    bare = grants(super_admin=True)
    assert bare.allows("billing.invoice:approve")
    assert bare.rules("customers.customer", "transfer") == (ALL,)
    assert services_of(bare) == sorted(SERVICES)
    assert encode_claims(bare) == encode_claims(grants(SUPER_ADMINISTRATOR))


@pytest.mark.requirement("ID-21")
def test_the_widest_shipped_role_and_all_of_them_together_fit_into_4_kib() -> None:
    for roles in [*([one] for one in SHIPPED_ROLES), [*SHIPPED_ROLES[1:]]]:
        given_rights = grants(*roles)
        token = issue(
            given=given_rights,
            modules=services_of(given_rights),
            place=Place(uid(1), uid(2), "collections", [uid(n) for n in range(5)]),
            role_epochs={uid(9000 + n): 1000 for n in range(len(roles))},
        )
        assert len(token) <= 4096, [one.key for one in roles]


def test_malformed_codes_are_programming_errors() -> None:
    with pytest.raises(ValueError, match="is not <service>"):
        grants().allows("customers:read")
    with pytest.raises(ValueError, match="is not <service>"):
        grants().rules("customers", "read")
    with pytest.raises(ValueError, match="no action class"):
        grants().rules("customers.customer", "update")  # type: ignore[arg-type]
