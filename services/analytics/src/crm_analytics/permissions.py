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
    PermissionEntry(
        "analytics.feed:read",
        names(
            "Event feed: follow what one may read",
            "이벤트 피드: 조회 가능한 항목 수신",
            "事件流：跟踪可查看的内容",
            "Лента событий: следить за доступным",
        ),
    ),
    PermissionEntry(
        "analytics.webhook:read", names("Webhooks: view", "웹훅: 조회", "Webhook：查看", "Вебхуки: просмотр")
    ),
    PermissionEntry(
        "analytics.webhook:create",
        names(
            "Webhooks: have events sent outside",
            "웹훅: 외부로 이벤트 전송",
            "Webhook：向外部发送事件",
            "Вебхуки: отправлять события наружу",
        ),
    ),
    PermissionEntry(
        "analytics.webhook:update",
        names(
            "Webhooks: change, test and send again",
            "웹훅: 수정, 시험, 재전송",
            "Webhook：修改、测试和重新发送",
            "Вебхуки: изменять, проверять и отправлять повторно",
        ),
    ),
    PermissionEntry(
        "analytics.webhook:delete", names("Webhooks: delete", "웹훅: 삭제", "Webhook：删除", "Вебхуки: удаление")
    ),
)
