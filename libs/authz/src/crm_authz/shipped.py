"""The roles that every company starts with (ID-10). All but the super administrator's are the company's to change.

What they give and why: docs/architecture/data-scope.md. Permissions of services that don't run yet are names without effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from crm_authz.catalogue import Names, names
from crm_authz.grants import EVERYTHING
from crm_authz.rules import Rule

SELF: Final = Rule("self")
SUBORDINATES: Final = Rule("subordinates")
DEPARTMENT_TREE: Final = Rule("department_tree")
ALL: Final = Rule("all")

#: The directory is open to all who log in (ID-8).
_DIRECTORY: Final = ("identity.directory:read",)

_RECORDS_OF_A_REPRESENTATIVE: Final = (
    "customers.lead",
    "customers.customer",
    "customers.contact",
    "sales.opportunity",
    "sales.quote",
    "sales.activity",
    "sales.task",
)

#: What those who are no salespeople may do with activities of their own: they talk with customers, too (SA-30).
_NOTING: Final = ("read", "create", "update", "delete", "restore")


@dataclass(frozen=True)
class ShippedRole:
    """A role to create when the company is set up. key: `RoleState.shipped`. scopes: see RoleRights."""

    key: str
    names: Names
    description: str
    permissions: tuple[str, ...]
    scopes: Mapping[str, Mapping[str, Rule]] = field(default_factory=dict)
    immutable: bool = False

    def scopes_json(self) -> dict[str, dict[str, dict[str, str | None]]]:
        """The scopes as `RoleState.scopes` takes them."""
        return {
            target: {
                action: {"scope": rule.scope, "set_id": None if rule.set_id is None else str(rule.set_id)}
                for action, rule in classes.items()
            }
            for target, classes in self.scopes.items()
        }


def _each(records: tuple[str, ...], *actions: str) -> tuple[str, ...]:
    return tuple(f"{record}:{action}" for record in records for action in actions)


SUPER_ADMINISTRATOR: Final = ShippedRole(
    key="super_administrator",
    names=names("Super administrator", "최고 관리자", "超级管理员", "Суперадминистратор"),
    description="Everything, everywhere. Can't be edited.",
    permissions=tuple(EVERYTHING.permissions),
    scopes=EVERYTHING.scopes,
    immutable=True,
)

EXECUTIVE: Final = ShippedRole(
    key="executive",
    names=names("Executive", "경영자", "高管", "Руководитель компании"),
    description="Sees and exports the records and figures of the whole company; decides on approvals; changes nothing else.",
    permissions=(
        *_DIRECTORY,
        "identity.user:read",
        *_each(("customers.*", "sales.*", "billing.*", "support.*", "analytics.*"), "read", "export"),
        # They are the superiors of heads of departments; an approval is a decision over a snapshot, not a change of a record of theirs.
        *_each(("billing.approval",), "decide"),
    ),
    scopes={"*": {"read": ALL, "export": ALL}},
)

SUPERVISOR: Final = ShippedRole(
    key="supervisor",
    names=names("Supervisor", "관리자", "主管", "Начальник отдела"),
    description="Leads people: sees, changes, hands over and removes what they and everybody below them own.",
    permissions=(
        *_DIRECTORY,
        "identity.user:read",
        *_each(
            _RECORDS_OF_A_REPRESENTATIVE,
            *("read", "create", "update", "delete", "restore", "transfer", "share", "import", "export", "backdate"),
        ),
        *_each(("customers.customer",), "claim", "release", "assign", "lock"),
        *_each(("sales.opportunity",), "advance", "close", "reopen"),
        *_each(
            ("billing.contract",),
            *(
                "read",
                "create",
                "update",
                "delete",
                "restore",
                "transfer",
                "share",
                "export",
                "submit",
                "terminate",
                "plan",
            ),
        ),
        *_each(("billing.approval",), "read", "decide"),
        *_each(
            ("support.ticket",),
            *("read", "create", "update", "delete", "restore", "transfer", "share", "export", "assign", "claim"),
        ),
        *_each(("customers.pool", "sales.product", "sales.pipeline", "support.queue"), "read"),
        *_each(("analytics.report",), "read", "export"),
        *_each(("analytics.feed",), "read"),
    ),
    scopes={
        service: {"*": SUBORDINATES}
        for service in ("identity.*", "customers.*", "sales.*", "billing.contract", "support.*", "analytics.*")
    },
)

SALES_REPRESENTATIVE: Final = ShippedRole(
    key="sales_representative",
    names=names("Sales representative", "영업 담당자", "销售代表", "Менеджер по продажам"),
    description="Works on their own customers and opportunities, and on what is shared with them.",
    permissions=(
        *_DIRECTORY,
        *_each(_RECORDS_OF_A_REPRESENTATIVE, "read", "create", "update", "share"),
        *_each(("customers.customer",), "claim", "release", "lock"),
        *_each(("sales.opportunity",), "advance", "close"),
        *_each(("sales.activity", "sales.task"), "delete", "restore"),
        *_each(("billing.contract",), "read", "create", "update", "share", "submit"),
        *_each(("billing.approval",), "read"),
        *_each(("customers.pool", "sales.product", "sales.pipeline"), "read"),
        *_each(("analytics.report", "analytics.feed"), "read"),
    ),
    scopes={service: {"*": SELF} for service in ("customers.*", "sales.*", "billing.contract", "analytics.*")},
)

COLLECTIONS_REPRESENTATIVE: Final = ShippedRole(
    key="collections_representative",
    names=names("Collections representative", "수금 담당자", "收款专员", "Специалист по взысканию"),
    description="Sees to instalments, payments and invoices of the whole company; notes what they did.",
    permissions=(
        *_DIRECTORY,
        *_each(("billing.contract",), "read", "export"),
        *_each(("billing.instalment", "billing.payment", "billing.invoice"), "read", "create", "update", "export"),
        *_each(("billing.approval",), "read"),
        *_each(("customers.customer", "customers.contact"), "read"),
        *_each(("sales.activity",), *_NOTING),
        *_each(("analytics.report", "analytics.feed"), "read"),
    ),
    # Of customers they see what they own or what is shared with them; a company that wants more widens it.
    scopes={
        "billing.*": {"*": ALL},
        "customers.*": {"read": SELF},
        "sales.activity": {"*": SELF},
        "analytics.*": {"read": SELF},
    },
)

SUPPORT_AGENT: Final = ShippedRole(
    key="support_agent",
    names=names("Support agent", "지원 상담원", "客服专员", "Специалист поддержки"),
    description="Answers the tickets of their department and those below, notes what they did; looks up any customer, changes none.",
    permissions=(
        *_DIRECTORY,
        *_each(("support.ticket",), "read", "create", "update", "transfer", "share", "assign", "claim"),
        *_each(("support.chat",), "read", "create", "update", "claim"),
        *_each(("support.queue",), "read"),
        *_each(("support.article",), "read", "create", "update"),
        *_each(("customers.customer", "customers.contact"), "read"),
        *_each(("sales.activity",), *_NOTING),
        *_each(("analytics.feed",), "read"),
    ),
    scopes={"support.*": {"*": DEPARTMENT_TREE}, "customers.*": {"read": ALL}, "sales.activity": {"*": SELF}},
)

GENERAL: Final = ShippedRole(
    key="general",
    names=names("General", "일반", "普通用户", "Обычный пользователь"),
    description="Only the directory of colleagues.",
    permissions=_DIRECTORY,
)

SHIPPED_ROLES: Final = (
    SUPER_ADMINISTRATOR,
    EXECUTIVE,
    SUPERVISOR,
    SALES_REPRESENTATIVE,
    COLLECTIONS_REPRESENTATIVE,
    SUPPORT_AGENT,
    GENERAL,
)
