"""What the report answers, for the documents."""

import datetime as dt

from pydantic import BaseModel, Field

from crm_analytics.report.models import Counted, Report, Valued


class Compared(BaseModel):
    """This period's count, and the compared one's."""

    current: Counted
    before: Counted


class ComparedValue(BaseModel):
    """This period's count and value, and the compared one's."""

    current: Valued
    before: Valued


class Days(BaseModel):
    """A period: its name, its first and last day."""

    key: str
    first: dt.date
    last: dt.date


class Figures(BaseModel):
    """Null: the caller may not read such records."""

    new_customers: Compared | None
    dealt_customers: Compared | None = Field(description="Customers whose first deal was won")
    new_contacts: Compared | None
    new_opportunities: Compared | None
    won: ComparedValue | None
    lost: Compared | None
    contracts: ComparedValue | None = Field(description="Contracts signed; terminated ones were signed, too")
    payments: ComparedValue | None = Field(description="Payments received")
    activities: Compared | None


class BriefReport(Report):
    """The period and the one that it is compared with."""

    current: Days
    before: Days
    figures: Figures
