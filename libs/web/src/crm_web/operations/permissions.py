"""The part of the permission catalogue (ID-11) that operating brings to each service."""

from crm_authz import PermissionEntry, names


def operation_permissions(service: str) -> list[PermissionEntry]:
    """`<service>.operations:inspect` and `<service>.operations:repair`; of the shipped roles, the super administrator's alone has them.

    Looking is not called `read`: roles that may read all records of a service (`customers.*:read`) are not meant to see this.
    """
    return [
        PermissionEntry(
            f"{service}.operations:inspect",
            names(
                "Operation: see dead letters, consumers and resyncs",
                "운영: 처리 실패 이벤트, 컨슈머, 재동기화 조회",
                "运维：查看死信、消费者和重新同步",
                "Эксплуатация: видеть отложенные события, потребителей и пересинхронизации",
            ),
        ),
        PermissionEntry(
            f"{service}.operations:repair",
            names(
                "Operation: retry and discard dead letters, ask for resyncs",
                "운영: 처리 실패 이벤트 재시도 및 폐기, 재동기화 요청",
                "运维：重试或丢弃死信，请求重新同步",
                "Эксплуатация: повторять и снимать отложенные события, запрашивать пересинхронизацию",
            ),
        ),
    ]
