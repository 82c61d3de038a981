"""What the company's settings may be."""

from collections.abc import Mapping
from typing import Any

from crm_kernel import CompanyCalendar, FieldError, Invalid, NotFound, UnknownCurrency, UnknownTimeZone, minor_digits

#: Languages in which the product speaks (PL-11).
LOCALES = ("en", "ko", "zh", "ru")


class NotSetUp(NotFound):
    code = "company.not_set_up"
    title = "The company is not set up yet"


class UnacceptableCompany(Invalid):
    code = "company.unacceptable"
    title = "The company's settings are not right"


def check_company(fields: Mapping[str, Any]) -> None:
    """Raises UnacceptableCompany, with a pointer for each setting that is not known: time_zone, currency, locale."""
    errors = [
        *check_time_zone(fields.get("time_zone")),
        *_check_currency(fields.get("currency")),
        *check_locale(fields.get("locale")),
    ]
    if errors:
        raise UnacceptableCompany(errors=errors)


def check_time_zone(name: str | None) -> list[FieldError]:
    """What is wrong with an IANA zone name; nothing for None."""
    if name is None:
        return []
    try:
        CompanyCalendar(name)
    except UnknownTimeZone as unknown:
        return [FieldError("/time_zone", unknown.code, "Name it as the IANA database does: Asia/Seoul.")]
    return []


def check_locale(name: str | None) -> list[FieldError]:
    """What is wrong with a locale; nothing for None."""
    if name is None or name in LOCALES:
        return []
    return [FieldError("/locale", "locale.unknown", f"One of {', '.join(LOCALES)}.")]


def _check_currency(code: str | None) -> list[FieldError]:
    if code is None:
        return []
    try:
        minor_digits(code)
    except UnknownCurrency as unknown:
        return [FieldError("/currency", unknown.code, "Name it by its ISO 4217 code: KRW.")]
    return []
