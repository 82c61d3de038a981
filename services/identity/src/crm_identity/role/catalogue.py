"""All operations that can be permitted (ID-11): identity's own, and what the other services declare.

No service imports another. Each declares its permissions in its `Service`; whoever builds the documents (see crm_identity.document)
writes all of them into `permissions.json`. Codes that shipped roles name count as known, too: their services may come later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import orjson

from crm_authz import SHIPPED_ROLES, PermissionEntry, names, standard_entries
from crm_authz.grants import ANY, split_code

FILE = "permissions.json"

_USER = names("User", "사용자", "用户", "Пользователь")
_OF_USERS = {
    "activate": names("User: activate", "사용자: 활성화", "用户：激活", "Пользователь: активация"),
    "deactivate": names("User: deactivate", "사용자: 비활성화", "用户：停用", "Пользователь: отключение"),
    "dismiss": names("User: dismiss", "사용자: 퇴사 처리", "用户：离职", "Пользователь: увольнение"),
    "set_password": names(
        "User: set password", "사용자: 비밀번호 설정", "用户：设置密码", "Пользователь: смена пароля"
    ),
    "end_sessions": names(
        "User: end sessions", "사용자: 세션 종료", "用户：结束会话", "Пользователь: завершение сеансов"
    ),
    "explain": names("User: explain access", "사용자: 권한 설명", "用户：权限说明", "Пользователь: разбор доступа"),
}

#: Identity's part of the catalogue.
IDENTITY: tuple[PermissionEntry, ...] = (
    PermissionEntry(
        "identity.directory:read", names("Directory: view", "조직도: 조회", "通讯录：查看", "Справочник: просмотр")
    ),
    PermissionEntry(
        "identity.company:update", names("Company: edit", "회사: 수정", "公司：编辑", "Компания: изменение")
    ),
    *standard_entries("identity.user", _USER, without=("delete", "restore", "transfer", "share", "export", "backdate")),
    *(PermissionEntry(f"identity.user:{action}", said) for action, said in _OF_USERS.items()),
    *standard_entries(
        "identity.department",
        names("Department", "부서", "部门", "Отдел"),
        without=("restore", "transfer", "share", "export", "backdate"),
    ),
    *standard_entries(
        "identity.role",
        names("Role", "역할", "角色", "Роль"),
        without=("restore", "transfer", "share", "import", "export", "backdate"),
    ),
    *standard_entries(
        "identity.department_set",
        names("Department set", "부서 묶음", "部门组合", "Набор отделов"),
        without=("restore", "transfer", "share", "import", "export", "backdate"),
    ),
    PermissionEntry(
        "identity.hand_over:read",
        names("Hand-over: view", "인수인계: 조회", "工作交接：查看", "Передача дел: просмотр"),
    ),
    PermissionEntry(
        "identity.hand_over:resume",
        names("Hand-over: resume", "인수인계: 재개", "工作交接：继续", "Передача дел: возобновление"),
    ),
    PermissionEntry(
        "identity.hand_over:cancel",
        names("Hand-over: cancel", "인수인계: 취소", "工作交接：取消", "Передача дел: отмена"),
    ),
    PermissionEntry(
        "identity.signing_key:rotate",
        names("Signing key: rotate", "서명 키: 교체", "签名密钥：轮换", "Ключ подписи: замена"),
    ),
)


@dataclass(frozen=True)
class Catalogue:
    """entries: every operation with its names, by code."""

    entries: tuple[PermissionEntry, ...]

    @classmethod
    def of(cls, declared: Iterable[PermissionEntry]) -> "Catalogue":
        """Identity's operations and those declared by others; doubles stand once."""
        found: Mapping[str, PermissionEntry] = {entry.code: entry for entry in (*declared, *IDENTITY)}
        return cls(tuple(found[code] for code in sorted(found)))

    @classmethod
    def load(cls, folder: Path | None) -> "Catalogue":
        """Identity's operations and those in the folder's `permissions.json`, if there is one: [{code, names}, …].

        ValueError when the file is there and not of that form.
        """
        file = None if folder is None else folder / FILE
        if file is None or not file.is_file():
            return cls.of(())
        return cls.of([PermissionEntry(entry["code"], entry["names"]) for entry in orjson.loads(file.read_bytes())])

    @cached_property
    def codes(self) -> frozenset[str]:
        """All codes, those of shipped roles without wildcards included."""
        shipped = {code for role in SHIPPED_ROLES for code in role.permissions if ANY not in code}
        return frozenset(shipped | {entry.code for entry in self.entries})

    @cached_property
    def record_types(self) -> frozenset[str]:
        """All `<service>.<record>` that a scope may be given for."""
        return frozenset(f"{service}.{record}" for service, record, _ in map(split_code, self.codes))
