"""Operation permissions with their names for people (ID-11): each service declares its own, identity lists all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crm_authz.grants import split_code, split_record_type
from crm_authz.rules import ActionClass

LANGUAGES: Final = ("en", "ko", "zh", "ru")
#: A name in English, Korean, Chinese and Russian.
Names = Mapping[str, str]


def names(en: str, ko: str, zh: str, ru: str) -> dict[str, str]:
    """A name in the four languages."""
    return {"en": en, "ko": ko, "zh": zh, "ru": ru}


@dataclass(frozen=True)
class PermissionEntry:
    """One operation. code: `<service>.<record>:<action>`. names: all four languages. ValueError when one is missing or malformed."""

    code: str
    names: Names

    def __post_init__(self) -> None:
        split_code(self.code)
        if set(self.names) != set(LANGUAGES) or not all(self.names.values()):
            raise ValueError(f"{self.code}: a name in each of {', '.join(LANGUAGES)} is needed")


#: What can be done with every record; `{record}` is the record's name.
STANDARD_ACTIONS: Final[Mapping[str, Names]] = {
    "read": names("{record}: view", "{record}: 조회", "{record}：查看", "{record}: просмотр"),
    "create": names("{record}: create", "{record}: 등록", "{record}：新建", "{record}: создание"),
    "update": names("{record}: edit", "{record}: 수정", "{record}：编辑", "{record}: изменение"),
    "delete": names("{record}: delete", "{record}: 삭제", "{record}：删除", "{record}: удаление"),
    "restore": names("{record}: restore", "{record}: 복원", "{record}：恢复", "{record}: восстановление"),
    "transfer": names("{record}: transfer", "{record}: 이관", "{record}：转移", "{record}: передача"),
    "share": names("{record}: share", "{record}: 공유", "{record}：共享", "{record}: общий доступ"),
    "import": names("{record}: import", "{record}: 가져오기", "{record}：导入", "{record}: импорт"),
    "export": names("{record}: export", "{record}: 내보내기", "{record}：导出", "{record}: экспорт"),
    "backdate": names(
        "{record}: enter in the past", "{record}: 소급 입력", "{record}：补录", "{record}: ввод задним числом"
    ),
}

#: Which class of data scope decides about an action; all others change the record: `write`.
_CLASSES: Final[Mapping[str, ActionClass]] = {
    "read": "read",
    "delete": "delete",
    "restore": "delete",
    "transfer": "transfer",
    "assign": "transfer",
    "export": "export",
}


def action_class(action: str) -> ActionClass:
    """The class of data scope that decides about an action: read, delete, transfer, export, or else write."""
    return _CLASSES.get(action, "write")


def standard_entries(record_type: str, record: Names, *, without: tuple[str, ...] = ()) -> list[PermissionEntry]:
    """The permissions that every record has, for `<service>.<record>`. record: its name. without: actions that it lacks.

    ValueError for a malformed record type, a missing language, or an action that isn't standard.
    """
    split_record_type(record_type)
    if unknown := set(without) - STANDARD_ACTIONS.keys():
        raise ValueError(f"{record_type}: no standard actions: {', '.join(sorted(unknown))}")
    if missing := set(LANGUAGES) - record.keys():
        raise ValueError(f"{record_type}: no name in {', '.join(sorted(missing))}")
    return [
        PermissionEntry(
            f"{record_type}:{action}",
            {language: template[language].format(record=record[language]) for language in LANGUAGES},
        )
        for action, template in STANDARD_ACTIONS.items()
        if action not in without
    ]
