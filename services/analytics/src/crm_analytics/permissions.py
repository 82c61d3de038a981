"""What this service adds to the catalogue of permissions (ID-11)."""

from crm_authz import PermissionEntry, names

PERMISSIONS = (
    PermissionEntry("analytics.report:read", names("Reports: view", "보고서: 조회", "报表：查看", "Отчёты: просмотр")),
    PermissionEntry(
        "analytics.event:read",
        names(
            "Log of all events: view", "전체 이벤트 기록: 조회", "全部事件日志：查看", "Журнал всех событий: просмотр"
        ),
    ),
)
