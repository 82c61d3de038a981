"""What a report that counts facts by a key is asked."""

import uuid
from dataclasses import dataclass
from typing import Any, Literal

from crm_analytics.report import parameters
from crm_analytics.report.grouping_store import PERIODS
from crm_analytics.report.parameters import Whose, require_few, require_level_applies
from crm_analytics.report.store import asked_for
from crm_kernel import Period, PeriodKind

#: What figures of money are grouped by.
MoneyGroupBy = Literal["department", "user", "product", "customer", "day", "week", "month", "quarter", "year"]


@dataclass(frozen=True)
class Question:
    """What to count. level: depth below the root, for departments only; None: the departments credited themselves.

    Whoever asks has checked it: `checked`.
    """

    period: Period
    group_by: str
    whose: Whose
    level: int | None = None
    pipeline: uuid.UUID | None = None
    customer: uuid.UUID | None = None

    def checked(self) -> "Question":
        """Itself. Raises PeriodRefused, ParameterNotApplicable."""
        if self.group_by in PERIODS:
            require_few(PeriodKind(self.group_by), self.period)
        require_level_applies(self.level, self.group_by)
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The statement's values by name; the names are part of its shape."""
        given: dict[str, Any] = {"first": self.period.first, "last": self.period.last, **asked_for(self.whose)}
        # One more than is answered: enough to know that there are too many.
        given["keys"] = parameters.MAX_ROWS + 1
        if self.pipeline is not None:
            given["pipeline"] = self.pipeline
        if self.customer is not None:
            given["customer"] = self.customer
        if self.level is not None:
            given["place"] = self.level + 1
        return given
