"""What reports answer, for the documents; the values are made by each report's rules."""

import datetime as dt

from pydantic import BaseModel, Field


class MoneyFigure(BaseModel):
    """An amount, exact to the currency's minor unit."""

    amount: str
    currency: str


class Counted(BaseModel):
    """How many."""

    count: int


class Valued(BaseModel):
    """How many, and what they come to.

    value: in the one currency that occurs; with several, the part in the company's. values: with several currencies only, the
    sum of each; nothing is converted.
    """

    count: int
    value: MoneyFigure
    values: list[MoneyFigure] | None = Field(default=None, description="Only with several currencies")


class Report(BaseModel):
    """as_of: when the newest change in the figures was recorded; null before the first."""

    as_of: dt.datetime | None
