"""The platform's own sentences in the four languages (PL-11). A slice's refusals bring their own title; codes never change."""

from functools import lru_cache
from typing import Final

LANGUAGES: Final = ("en", "ko", "zh", "ru")

# code → Korean, Chinese, Russian; English stands in the refusal's class.
_TITLES: Final[dict[str, tuple[str, str, str]]] = {
    "request.refused": ("요청이 거부되었습니다", "请求被拒绝", "Запрос отклонён"),
    "request.malformed": ("요청을 읽을 수 없습니다", "无法读取请求", "Запрос невозможно прочитать"),
    "request.invalid": ("요청이 올바르지 않습니다", "请求无效", "Запрос некорректен"),
    "token.missing": ("액세스 토큰이 필요합니다", "需要访问令牌", "Требуется токен доступа"),
    "token.invalid": (
        "유효한 액세스 토큰이 필요합니다",
        "需要有效的访问令牌",
        "Требуется действительный токен доступа",
    ),
    "token.stale": ("토큰을 새로 받아야 합니다", "访问令牌已过时", "Токен устарел, получите новый"),
    "permission.missing": ("권한이 없습니다", "您没有此权限", "У вас нет права на это действие"),
    "route.unknown": ("이 주소에는 아무것도 없습니다", "此地址不存在", "По этому адресу ничего нет"),
    "method.not_allowed": (
        "이 주소는 다른 메서드를 사용합니다",
        "此地址不支持该方法",
        "Этот адрес принимает другие методы",
    ),
    "record.not_found": ("해당 레코드가 없습니다", "没有此记录", "Такой записи нет"),
    "record.conflict": (
        "레코드의 현재 상태에서는 할 수 없습니다",
        "记录的当前状态不允许此操作",
        "Состояние записи этого не допускает",
    ),
    "record.not_unique": (
        "같은 값의 레코드가 이미 있습니다",
        "已存在相同值的记录",
        "Запись с таким значением уже есть",
    ),
    "record.stale": ("읽은 뒤에 레코드가 변경되었습니다", "记录在您读取后已更改", "Запись изменилась после чтения"),
    "job.not_allowed": (
        "작업을 요청한 사람에게 더 이상 권한이 없습니다",
        "请求此作业的人已不再有此权限",
        "У заказавшего задание больше нет на это права",
    ),
    "job.gave_up": (
        "작업이 같은 지점에서 여러 번 실패하여 중단되었습니다",
        "作业在同一处多次失败，已放弃",
        "Задание несколько раз не удалось в одном и том же месте и прекращено",
    ),
    "saga.no_answer": ("서비스가 응답하지 않았습니다", "服务没有答复", "Сервис не ответил"),
    "hand_over.successor_not_active": (
        "후임자가 더 이상 활성 상태가 아닙니다",
        "接替人已不再是在职用户",
        "Преемник больше не активен",
    ),
    "hand_over.records_refused": (
        "일부 레코드를 인계하지 못했습니다",
        "部分记录无法移交",
        "Некоторые записи передать не удалось",
    ),
    "body.too_large": ("요청이 너무 큽니다", "请求过大", "Запрос слишком велик"),
    "body.media_type": ("지원하지 않는 형식입니다", "不支持此内容类型", "Такой тип содержимого не принимается"),
    "cursor.invalid": ("이 목록의 커서가 아닙니다", "游标不属于此列表", "Курсор не от этого списка"),
    "idempotency.running": (
        "같은 키의 요청이 처리 중입니다",
        "相同键的请求仍在处理中",
        "Запрос с этим ключом ещё выполняется",
    ),
    "idempotency.key_reused": (
        "키가 다른 요청에 사용되었습니다",
        "该键已用于其他请求",
        "Ключ уже использован для другого запроса",
    ),
    "idempotency.answer_lost": (
        "요청은 처리되었지만 응답을 더 이상 제공할 수 없습니다",
        "请求已执行，但其应答已不可用",
        "Запрос выполнен, но ответ больше недоступен",
    ),
    "archive.unreachable": (
        "오래된 기록을 지금은 읽을 수 없습니다",
        "目前无法读取较早的记录",
        "Более старые записи сейчас недоступны",
    ),
    "service.failed": ("서비스에 오류가 발생했습니다", "服务出现错误", "В сервисе произошла ошибка"),
    "service.unavailable": ("지금은 응답할 수 없습니다", "服务暂时不可用", "Сервис сейчас недоступен"),
    "service.busy": ("지금은 처리할 수 없습니다", "服务正忙", "Сервис сейчас занят"),
    "service.storage_full": (
        "저장할 공간이 없습니다",
        "存储空间已满",
        "Нет места для сохранения",
    ),
    "service.timeout": ("처리 시간이 너무 오래 걸렸습니다", "处理超时", "Сервис не успел ответить"),
    "service.outcome_unknown": (
        "변경 여부를 알 수 없습니다",
        "无法确定更改是否已完成",
        "Неизвестно, выполнено ли изменение",
    ),
}

_FIELDS: Final[dict[str, tuple[str, str, str]]] = {
    "field.required": ("필수 항목입니다", "必填", "Обязательное поле"),
    "field.unknown": ("알 수 없는 항목입니다", "未知字段", "Неизвестное поле"),
    "field.type": ("값의 형식이 다릅니다", "值的类型不正确", "Неверный тип значения"),
    "field.format": ("값의 형식이 올바르지 않습니다", "值的格式不正确", "Неверный формат значения"),
    "field.choice": ("허용된 값이 아닙니다", "不是允许的值", "Недопустимое значение"),
    "field.too_long": ("너무 깁니다", "过长", "Слишком длинное значение"),
    "field.too_short": ("너무 짧습니다", "过短", "Слишком короткое значение"),
    "field.too_large": ("너무 큽니다", "过大", "Слишком большое значение"),
    "field.too_small": ("너무 작습니다", "过小", "Слишком малое значение"),
    "field.too_precise": ("소수 자릿수가 너무 많습니다", "小数位数过多", "Слишком много знаков после запятой"),
    "field.unreadable": ("저장할 수 없는 문자가 있습니다", "包含无法存储的字符", "Содержит недопустимые символы"),
    "field.invalid": ("값이 올바르지 않습니다", "值无效", "Недопустимое значение"),
    "query.unknown": ("알 수 없는 매개변수입니다", "未知参数", "Неизвестный параметр"),
}


@lru_cache(maxsize=512)
def choose(accept_language: str) -> str:
    """The best of our languages for an Accept-Language header (RFC 9110, 12.5.4); "en" when none fits."""
    best, best_weight = "en", 0.0
    for part in accept_language[:500].split(","):
        name, _, parameters = part.partition(";")
        weight = 1.0
        if parameters.strip().lower().startswith("q="):
            try:
                weight = float(parameters.strip()[2:])
            except ValueError:
                continue
        language = name.strip().lower().partition("-")[0]
        if language in LANGUAGES and best_weight < weight <= 1:
            best, best_weight = language, weight
    return best


def title(code: str, english: str, language: str) -> str:
    """The title of a refusal in a language; the English one where there is no other."""
    return _said(_TITLES, code, english, language)


def field_detail(code: str, english: str, language: str) -> str:
    """What is wrong with a field, in a language."""
    return _said(_FIELDS, code, english, language)


def _said(table: dict[str, tuple[str, str, str]], code: str, english: str, language: str) -> str:
    if language == "en" or code not in table:
        return english
    return table[code][LANGUAGES.index(language) - 1]
