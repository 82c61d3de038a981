"""The composition root: what the service offers over HTTP, and what its worker does."""

from crm_authz import PermissionEntry, names
from crm_contracts.customers import CUSTOMERS_OPERATIONS
from crm_customers.contact.actions import CONTACT
from crm_customers.contact.routes import router as contacts
from crm_customers.customer.actions import CUSTOMER
from crm_customers.customer.routes import router as customers
from crm_customers.hand_over import HAND_OVERS
from crm_customers.pool.routes import router as pools
from crm_customers.timeline.routes import router as timelines
from crm_customers.worker import REACTIONS, SCHEDULES
from crm_jobs import Jobs, job_router
from crm_records import record_jobs, record_permissions
from crm_web import Service
from crm_web.operations import operation_permissions, operation_router

PERMISSIONS: list[PermissionEntry] = [
    *record_permissions(CUSTOMER),
    *record_permissions(CONTACT),
    PermissionEntry(
        "customers.customer:claim",
        names(
            "Claim customers from a pool",
            "공개 풀에서 고객 가져오기",
            "从公海领取客户",
            "Забирать клиентов из общего пула",
        ),
    ),
    PermissionEntry(
        "customers.customer:release",
        names(
            "Give customers to a pool", "고객을 공개 풀로 보내기", "将客户放入公海", "Передавать клиентов в общий пул"
        ),
    ),
    PermissionEntry(
        "customers.customer:assign",
        names("Assign customers to users", "고객 배정", "分配客户", "Назначать клиентов пользователям"),
    ),
    PermissionEntry(
        "customers.customer:lock",
        names(
            "Lock and unlock customers", "고객 잠금 및 해제", "锁定和解锁客户", "Блокировать и разблокировать клиентов"
        ),
    ),
    PermissionEntry(
        "customers.pool:read", names("See the public pools", "공개 풀 보기", "查看公海", "Видеть общие пулы")
    ),
    PermissionEntry(
        "customers.pool:configure",
        names("Set up the public pools", "공개 풀 설정", "设置公海", "Настраивать общие пулы"),
    ),
    *operation_permissions("customers"),
]

SERVICE = Service(
    name="customers",
    title="Customers",
    routers=[
        customers,
        contacts,
        pools,
        timelines,
        job_router("customers"),
        operation_router(CUSTOMERS_OPERATIONS, REACTIONS),
    ],
    permissions=PERMISSIONS,
    reactions=REACTIONS,
    schedules=SCHEDULES,
    jobs=Jobs([*record_jobs(CUSTOMER), *record_jobs(CONTACT), HAND_OVERS.kind]),
)
