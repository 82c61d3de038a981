"""What reports are asked: days, periods, whose figures. Refusals point to the parameter."""

import datetime as dt
import re
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator

from crm_kernel import DayOutOfRange, EndsBeforeStart, FieldError, Invalid, Period, PeriodKind

#: A report covers at most so many days (50 years), and makes at most so many rows of periods.
MAX_DAYS: Final = 18_263
MAX_PERIODS: Final = 1_500
#: A report that counts by a key answers at most so many rows. Nothing else bounds customers, users, products, departments and sources
#: (which are free text).
MAX_ROWS: Final = 5_000
#: Departments deeper than this below the root can't be asked for by level.
MAX_LEVEL: Final = 50

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _as_written(value: Any) -> Any:
    # pydantic would take a number of seconds for a date too.
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("A day is written YYYY-MM-DD")
    return value


#: A day of the company's calendar: YYYY-MM-DD and nothing else.
Day = Annotated[dt.date, BeforeValidator(_as_written)]

CalendarKind = Literal["day", "week", "month", "quarter", "year"]


class PeriodRefused(Invalid):
    """422: the days asked for are no period, or too long a one."""

    code = "report.period_refused"
    title = "The period can't be reported on"


class ParameterNotApplicable(Invalid):
    """422: a parameter that means nothing together with the others."""

    code = "report.parameter_not_applicable"
    title = "The parameter does not apply to this report"


def period(first: dt.date, last: dt.date) -> Period:
    """The period of two days, both part of it: a calendar period when they are its bounds, else a range. Raises PeriodRefused."""
    try:
        asked = Period(PeriodKind.RANGE, first, last)
    except EndsBeforeStart:
        raise _refused("query:to", "report.ends_before_start", "`to` is before `from`") from None
    except DayOutOfRange as error:
        where = "query:from" if not 1000 <= first.year <= 9000 else "query:to"
        raise _refused(where, error.code, error.detail) from None
    if asked.days > MAX_DAYS:
        raise _refused("query:to", "report.period_too_long", f"A report covers at most {MAX_DAYS} days")
    for kind in (PeriodKind.DAY, PeriodKind.WEEK, PeriodKind.MONTH, PeriodKind.QUARTER, PeriodKind.YEAR):
        whole = Period.containing(kind, first)
        if (whole.first, whole.last) == (first, last):
            return whole
    return asked


def period_before(current: Period, compare: Literal["previous", "year"]) -> Period:
    """What a period is compared with; the two never overlap. Raises PeriodRefused.

    A range of more than a year has no year before it that would not overlap.
    """
    try:
        before = current.previous() if compare == "previous" else current.year_before()
    except DayOutOfRange as error:
        raise _refused("query:from", error.code, error.detail) from None
    if before.last >= current.first:
        raise _refused("query:compare", "report.periods_overlap", "The period is longer than a year")
    return before


def require_few(kind: PeriodKind, asked: Period) -> None:
    """Raise PeriodRefused when grouping by this kind of period would make too many rows."""
    shortest = {"day": 1, "week": 7, "month": 28, "quarter": 90, "year": 365}[kind.value]
    if asked.days / shortest > MAX_PERIODS:
        detail = (
            f"{asked.days} days make more than {MAX_PERIODS} rows by {kind.value}: ask for less, or by longer periods"
        )
        raise _refused("query:group_by", "report.too_many_periods", detail)


def require_level_applies(level: int | None, group_by: str) -> None:
    """Raise ParameterNotApplicable for a level without departments to be at it."""
    if level is not None and group_by != "department":
        detail = "`level` goes with group_by=department"
        raise ParameterNotApplicable(detail, errors=[FieldError("query:level", ParameterNotApplicable.code, detail)])


def _refused(pointer: str, code: str, detail: str) -> PeriodRefused:
    return PeriodRefused(detail, errors=[FieldError(pointer, code, detail)])


@dataclass(frozen=True)
class Whose:
    """To whom figures are credited, as of then (AN-6). department: with all that was below it then. None: anybody."""

    user: uuid.UUID | None = None
    department: uuid.UUID | None = None
