"""Permissions with their names, and the roles that every company starts with."""

import pytest

from crm_authz import SHIPPED_ROLES, PermissionEntry, Rule, action_class, names, standard_entries
from crm_authz.catalogue import LANGUAGES
from crm_contracts.identity import RoleState

from .world import grants

CUSTOMER = names("Customer", "고객", "客户", "Клиент")


@pytest.mark.requirement("ID-11")
def test_every_record_has_its_standard_permissions_in_four_languages() -> None:
    entries = standard_entries("customers.customer", CUSTOMER, without=("backdate",))
    assert [entry.code.partition(":")[2] for entry in entries] == (
        ["read", "create", "update", "delete", "restore", "transfer", "share", "import", "export"]
    )
    assert all(set(entry.names) == set(LANGUAGES) for entry in entries)
    assert entries[3].names == {
        "en": "Customer: delete",
        "ko": "고객: 삭제",
        "zh": "客户：删除",
        "ru": "Клиент: удаление",
    }


@pytest.mark.requirement("ID-11")
def test_an_entry_without_a_language_or_with_a_malformed_code_is_refused() -> None:
    with pytest.raises(ValueError, match="each of en, ko, zh, ru"):
        PermissionEntry("customers.customer:claim", {"en": "Claim"})
    with pytest.raises(ValueError, match="each of"):
        PermissionEntry("customers.customer:claim", names("Claim", "", "x", "x"))
    with pytest.raises(ValueError, match="is not <service>"):
        PermissionEntry("customers:claim", CUSTOMER)
    with pytest.raises(ValueError, match="no standard actions: claim"):
        standard_entries("customers.customer", CUSTOMER, without=("claim",))


def test_actions_that_change_are_judged_by_the_scope_for_writing() -> None:
    assert [action_class(a) for a in ("read", "update", "claim", "restore", "assign", "export")] == [
        *("read", "write", "write", "delete", "transfer", "export")
    ]


@pytest.mark.requirement("ID-10")
def test_the_shipped_roles_are_states_that_identity_can_announce() -> None:
    assert [role.key for role in SHIPPED_ROLES] == [
        *("super_administrator", "executive", "supervisor", "sales_representative"),
        *("collections_representative", "support_agent", "general"),
    ]
    for role in SHIPPED_ROLES:
        RoleState.model_validate(
            {
                "name": role.names["en"],
                "shipped": role.key,
                "permissions": list(role.permissions),
                "scopes": role.scopes_json(),
                "epoch": 1,
            }
        )
        assert set(role.names) == set(LANGUAGES)
    assert [role.key for role in SHIPPED_ROLES if role.immutable] == ["super_administrator"]


ROLES = {role.key: role for role in SHIPPED_ROLES}


@pytest.mark.requirement("ID-10")
@pytest.mark.parametrize(
    ("key", "record", "action", "permitted", "rule"),
    [
        ("super_administrator", "billing.invoice", "approve", True, "all"),
        ("executive", "customers.customer", "read", True, "all"),
        ("executive", "customers.customer", "export", True, "all"),
        ("executive", "customers.customer", "update", False, None),
        ("supervisor", "customers.customer", "transfer", True, "subordinates"),
        ("supervisor", "sales.opportunity", "delete", True, "subordinates"),
        ("supervisor", "billing.invoice", "read", False, None),
        ("sales_representative", "customers.customer", "update", True, "self"),
        ("sales_representative", "customers.customer", "claim", True, "self"),
        ("sales_representative", "customers.customer", "delete", False, "self"),
        ("sales_representative", "customers.customer", "export", False, "self"),
        ("sales_representative", "customers.customer", "transfer", False, "self"),
        ("sales_representative", "sales.opportunity", "create", True, "self"),
        ("collections_representative", "billing.payment", "create", True, "all"),
        ("sales_representative", "billing.contract", "submit", True, "self"),
        ("sales_representative", "billing.contract", "terminate", False, "self"),
        ("supervisor", "billing.contract", "plan", True, "subordinates"),
        ("collections_representative", "sales.opportunity", "read", False, None),
        ("support_agent", "support.ticket", "update", True, "department_tree"),
        ("support_agent", "support.queue", "read", True, "department_tree"),
        ("support_agent", "support.queue", "configure", False, "department_tree"),
        ("supervisor", "support.ticket", "assign", True, "subordinates"),
        ("executive", "support.ticket", "update", False, None),
        ("support_agent", "customers.customer", "read", True, "all"),
        ("support_agent", "customers.customer", "update", False, None),
        *((key, "sales.activity", "create", True, "self") for key in ("support_agent", "collections_representative")),
        *((key, "sales.activity", "delete", True, "self") for key in ("support_agent", "collections_representative")),
        *(
            (key, "sales.activity", "transfer", False, "self")
            for key in ("support_agent", "collections_representative")
        ),
        ("support_agent", "sales.opportunity", "read", False, None),
        ("general", "identity.directory", "read", True, None),
        ("general", "customers.customer", "read", False, None),
    ],
)
def test_a_shipped_role_gives_what_a_buyer_expects(
    key: str, record: str, action: str, permitted: bool, rule: str | None
) -> None:
    given = grants(ROLES[key])
    assert given.allows(f"{record}:{action}") is permitted
    expected = Rule.parse(rule) if rule else None
    assert given.rules(record, action_class(action)) == ((expected,) if expected else ())
