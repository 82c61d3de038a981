"""The part of the permission catalogue (ID-11) that approvals bring to a service."""

from crm_authz import PermissionEntry, names


def approval_permissions(service: str) -> list[PermissionEntry]:
    """`<service>.approval:read` and `<service>.approval:decide`. They open the routes; whose approvals one sees, the approvals say."""
    return [
        PermissionEntry(
            f"{service}.approval:read",
            names(
                "See approvals that one submitted or decides",
                "본인이 상신했거나 결재하는 결재 건 조회",
                "查看本人提交或审批的审批单",
                "Видеть согласования, в которых участвуешь",
            ),
        ),
        PermissionEntry(
            f"{service}.approval:decide",
            names(
                "Approve and reject",
                "결재 승인 및 반려",
                "审批：同意与驳回",
                "Согласовывать и отклонять",
            ),
        ),
    ]
