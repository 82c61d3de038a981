"""The composition root: what the service offers over HTTP, and what its worker does."""

from crm_authz import PermissionEntry, names
from crm_contracts.sales import SALES_OPERATIONS
from crm_jobs import Jobs, job_router
from crm_records import record_jobs, record_permissions
from crm_sales.activity.record import ACTIVITY
from crm_sales.activity.routes import router as activities
from crm_sales.hand_over import HAND_OVERS
from crm_sales.opportunity.record import OPPORTUNITY
from crm_sales.opportunity.routes import router as opportunities
from crm_sales.pipeline.routes import router as pipelines
from crm_sales.product.actions import PRODUCT
from crm_sales.product.routes import router as products
from crm_sales.worker import REACTIONS, SCHEDULES
from crm_web import Service
from crm_web.operations import operation_permissions, operation_router

PERMISSIONS: list[PermissionEntry] = [
    *record_permissions(PRODUCT),
    *record_permissions(OPPORTUNITY),
    *record_permissions(ACTIVITY),
    PermissionEntry(
        "sales.opportunity:advance",
        names(
            "Take opportunities to other stages",
            "영업 기회 단계 변경",
            "变更商机阶段",
            "Переводить сделки на другие этапы",
        ),
    ),
    PermissionEntry(
        "sales.opportunity:close",
        names(
            "Say that opportunities are won, lost or on hold",
            "영업 기회 종료 또는 보류",
            "将商机设为赢单、输单或搁置",
            "Закрывать и приостанавливать сделки",
        ),
    ),
    PermissionEntry(
        "sales.opportunity:reopen",
        names("Open opportunities again", "영업 기회 다시 열기", "重新打开商机", "Открывать сделки заново"),
    ),
    PermissionEntry(
        "sales.opportunity:assign",
        names(
            "Create opportunities for others",
            "다른 사용자의 영업 기회 등록",
            "为他人新建商机",
            "Создавать сделки для других",
        ),
    ),
    PermissionEntry(
        "sales.pipeline:read", names("See the pipelines", "파이프라인 보기", "查看销售流程", "Видеть воронки продаж")
    ),
    PermissionEntry(
        "sales.pipeline:configure",
        names("Set up the pipelines", "파이프라인 설정", "设置销售流程", "Настраивать воронки продаж"),
    ),
    *operation_permissions("sales"),
]

SERVICE = Service(
    name="sales",
    title="Sales",
    routers=[
        products,
        pipelines,
        opportunities,
        activities,
        job_router("sales"),
        operation_router(SALES_OPERATIONS, REACTIONS),
    ],
    permissions=PERMISSIONS,
    reactions=REACTIONS,
    schedules=SCHEDULES,
    jobs=Jobs([*record_jobs(PRODUCT), *record_jobs(OPPORTUNITY), *record_jobs(ACTIVITY), HAND_OVERS.kind]),
)
