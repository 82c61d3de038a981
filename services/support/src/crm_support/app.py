"""The composition root: what the service offers over HTTP, and what its worker does."""

from crm_authz import PermissionEntry, names
from crm_contracts.support import SUPPORT_OPERATIONS
from crm_jobs import Jobs, job_router
from crm_records import record_jobs, record_permissions
from crm_support.hand_over import HAND_OVERS
from crm_support.queue.routes import router as queues
from crm_support.ticket.record import TICKET
from crm_support.ticket.routes import router as tickets
from crm_support.worker import REACTIONS, SCHEDULES
from crm_web import Service
from crm_web.operations import operation_permissions, operation_router

PERMISSIONS: list[PermissionEntry] = [
    *record_permissions(TICKET),
    PermissionEntry(
        "support.ticket:claim",
        names("Take tickets from queues", "대기열에서 티켓 가져오기", "从队列领取工单", "Брать заявки из очередей"),
    ),
    PermissionEntry(
        "support.ticket:assign",
        names("Assign tickets to users and queues", "티켓 배정", "分配工单", "Назначать заявки"),
    ),
    PermissionEntry("support.queue:read", names("See the queues", "대기열 보기", "查看队列", "Видеть очереди")),
    PermissionEntry(
        "support.queue:configure", names("Set up the queues", "대기열 설정", "设置队列", "Настраивать очереди")
    ),
    *operation_permissions("support"),
]

SERVICE = Service(
    name="support",
    title="Support",
    routers=[tickets, queues, job_router("support"), operation_router(SUPPORT_OPERATIONS, REACTIONS)],
    permissions=PERMISSIONS,
    reactions=REACTIONS,
    schedules=SCHEDULES,
    jobs=Jobs([*record_jobs(TICKET), HAND_OVERS.kind]),
)
