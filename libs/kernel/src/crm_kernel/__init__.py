"""Ids, money, time and errors that every part shares. What is listed here is public; README.md says what it is for."""

from crm_kernel.calendar import CompanyCalendar, UnknownTimeZone
from crm_kernel.clock import Clock, FixedClock, SystemClock
from crm_kernel.currencies import MINOR_DIGITS
from crm_kernel.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    Refusal,
    Stale,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from crm_kernel.ids import first_id_at, id_time, new_id
from crm_kernel.money import (
    MAX_MINOR,
    AmountOutOfRange,
    CurrencyMismatch,
    MalformedAmount,
    Money,
    MoneyError,
    OverPrecise,
    UnknownCurrency,
    UnusableWeights,
    minor_digits,
)
from crm_kernel.periods import FIRST_DAY, LAST_DAY, DayOutOfRange, EndsBeforeStart, Period, PeriodKind

__all__ = [
    "FIRST_DAY",
    "LAST_DAY",
    "MAX_MINOR",
    "MINOR_DIGITS",
    "AmountOutOfRange",
    "Clock",
    "CompanyCalendar",
    "Conflict",
    "CurrencyMismatch",
    "DayOutOfRange",
    "EndsBeforeStart",
    "FieldError",
    "FixedClock",
    "Forbidden",
    "Invalid",
    "Malformed",
    "MalformedAmount",
    "Money",
    "MoneyError",
    "NotFound",
    "OverPrecise",
    "Period",
    "PeriodKind",
    "Refusal",
    "Stale",
    "SystemClock",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "UnknownCurrency",
    "UnknownTimeZone",
    "UnusableWeights",
    "first_id_at",
    "id_time",
    "minor_digits",
    "new_id",
]
