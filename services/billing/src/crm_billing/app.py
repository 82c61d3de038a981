"""The composition root: what the service offers over HTTP, and what its worker does."""

from crm_approvals import approval_permissions, approval_router
from crm_authz import PermissionEntry, names
from crm_billing.contract.approval import CONTRACT_SUBJECT
from crm_billing.contract.record import CONTRACT
from crm_billing.contract.routes import router as contracts
from crm_billing.hand_over import HAND_OVERS
from crm_billing.payment.record import PAYMENT, PAYMENT_SUBJECT
from crm_billing.payment.routes import router as payments
from crm_billing.worker import REACTIONS, SCHEDULES
from crm_contracts.billing import BILLING_OPERATIONS
from crm_jobs import Jobs, job_router
from crm_records import record_jobs, record_permissions
from crm_web import Service
from crm_web.operations import operation_permissions, operation_router

PERMISSIONS: list[PermissionEntry] = [
    *record_permissions(CONTRACT),
    *record_permissions(PAYMENT),
    PermissionEntry(
        "billing.contract:assign",
        names(
            "Create contracts for others", "다른 사용자의 계약 등록", "为他人新建合同", "Создавать договоры для других"
        ),
    ),
    PermissionEntry(
        "billing.contract:submit",
        names("Submit contracts for approval", "계약 결재 상신", "提交合同审批", "Отправлять договоры на согласование"),
    ),
    PermissionEntry(
        "billing.contract:terminate",
        names("End active contracts", "진행 중인 계약 해지", "终止生效中的合同", "Расторгать действующие договоры"),
    ),
    PermissionEntry(
        "billing.contract:plan",
        names(
            "Change the instalments of active contracts",
            "진행 중인 계약의 분할 납부 변경",
            "变更生效中合同的分期计划",
            "Менять график платежей действующих договоров",
        ),
    ),
    PermissionEntry(
        "billing.payment:assign",
        names("Record payments for others", "다른 사용자의 입금 등록", "为他人登记收款", "Вносить платежи для других"),
    ),
    *approval_permissions("billing"),
    *operation_permissions("billing"),
]

SERVICE = Service(
    name="billing",
    title="Billing",
    routers=[
        contracts,
        payments,
        approval_router("billing", [CONTRACT_SUBJECT, PAYMENT_SUBJECT]),
        job_router("billing"),
        operation_router(BILLING_OPERATIONS, REACTIONS),
    ],
    permissions=PERMISSIONS,
    reactions=REACTIONS,
    schedules=SCHEDULES,
    jobs=Jobs([*record_jobs(CONTRACT), *record_jobs(PAYMENT), HAND_OVERS.kind]),
)
