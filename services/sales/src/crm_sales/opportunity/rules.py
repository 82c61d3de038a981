"""Opportunities' decisions: outcomes (SA-4), lines and totals (SA-5), probability and weighted value (SA-3). Pure."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

from crm_kernel.errors import Conflict, FieldError, Invalid
from crm_kernel.money import Money
from crm_records.lines import Line, totals_of

Outcome = Literal["open", "won", "lost", "on_hold"]

#: Outcomes that end an opportunity; what is on hold goes on one day.
CLOSED: Final[frozenset[Outcome]] = frozenset({"won", "lost"})

#: Fields that a stage can require.
REQUIRABLE: Final = (
    "customer_id",
    "contact_ids",
    "deadline",
    "value",
    "product_ids",
    "lines",
    "next_step",
    "source",
    "description",
)

#: From which outcome one may go to which (SA-4). A closed one is reopened before it gets another outcome.
MOVES: Final[dict[Outcome, frozenset[Outcome]]] = {
    "open": frozenset({"won", "lost", "on_hold"}),
    "on_hold": frozenset({"open", "won", "lost"}),
    "won": frozenset({"open"}),
    "lost": frozenset({"open"}),
}


class OutcomeNotAllowed(Conflict):
    """409: from its present outcome the opportunity can't get this one."""

    code = "opportunity.outcome_not_allowed"
    title = "The opportunity can't get this outcome now"


class ReasonMissing(Invalid):
    """422: lost and on hold need a reason."""

    code = "opportunity.reason_missing"
    title = "A reason is needed"


class NotOpen(Conflict):
    """409: stage, lines and value of a closed opportunity don't change; reopen it first."""

    code = "opportunity.not_open"
    title = "The opportunity is closed"


class ClosedBeforeOpened(Invalid):
    """422: the closing day lies before the opening day."""

    code = "opportunity.closed_before_opened"
    title = "An opportunity can't be closed before it was opened"


class StageByAdvance(Invalid):
    """422: an existing opportunity changes its stage by advancing, with its own event; not as a field."""

    code = "opportunity.stage_by_advance"
    title = "The stage changes by advancing the opportunity, and the pipeline stays"


class CustomerUnknown(Invalid):
    """422: no such customer here (yet), or the caller may not see it. Send the Consistency-Token of the customer's creation."""

    code = "opportunity.customer_unknown"
    title = "There is no such customer"


class ProductUnknown(Invalid):
    """422: no such product."""

    code = "opportunity.product_unknown"
    title = "There is no such product"


class ValueFromLines(Invalid):
    """422: with lines the value is their sum."""

    code = "opportunity.value_from_lines"
    title = "The value comes from the lines"


class CurrencyMixed(Invalid):
    """422: one opportunity has one currency."""

    code = "opportunity.currency_mixed"
    title = "An opportunity has one currency"


def pointed(refusal: type[Invalid], pointer: str, detail: str | None = None) -> Invalid:
    """A refusal that says at which member of the input."""
    return refusal(errors=[FieldError(pointer, refusal.code, detail or refusal.title)])


def check_outcome(current: Outcome, target: Outcome, reason: str | None) -> None:
    """Whether an opportunity may get an outcome. Raises OutcomeNotAllowed, ReasonMissing."""
    if target not in MOVES[current]:
        raise OutcomeNotAllowed(f"It is {current.replace('_', ' ')}; it can't become {target.replace('_', ' ')}")
    if target in ("lost", "on_hold") and not (reason and reason.strip()):
        raise ReasonMissing(errors=[FieldError("/reason", "field.required", "Say why")])


def check_closing(opened_on: dt.date, closed_on: dt.date, pointer: str = "/closed_on") -> None:
    """Whether an opportunity was closed on or after the day on which it was opened. Raises ClosedBeforeOpened."""
    if closed_on < opened_on:
        raise pointed(ClosedBeforeOpened, pointer, f"It was opened on {opened_on}, closed on {closed_on}")


def check_closed_value(value: Money | None, lines: Sequence[Line]) -> None:
    """Whether what an opportunity is closed at is in the currency of its lines. Raises CurrencyMixed."""
    if value is not None and lines and value.currency != lines[0].unit_price.currency:
        raise pointed(CurrencyMixed, "/value", f"Its lines are in {lines[0].unit_price.currency}")


def value_of(lines: Sequence[Line], given: Money | None) -> Money | None:
    """The sum of the lines' net amounts where there are lines, else what was given.

    Raises ValueFromLines when both are there and differ.
    """
    if not lines:
        return given
    summed = totals_of(lines).net
    if given is not None and given != summed:
        raise pointed(ValueFromLines, "/value", f"The lines come to {summed}")
    return summed


def probability_of(outcome: Outcome, stage_probability: int, override: int | None) -> int:
    """Percent: 100 when won, 0 when lost, else what was set for this opportunity, else the stage's."""
    if outcome == "won":
        return 100
    if outcome == "lost":
        return 0
    return stage_probability if override is None else override


def weighted(value: Money | None, probability: int) -> Money | None:
    """Value times probability, rounded half to even; None without a value."""
    return None if value is None else value.times(Decimal(probability) / 100)


def dwell(entered_at: dt.datetime, left_at: dt.datetime) -> int:
    """Whole seconds in a stage; never negative, also when a backdated step lies before the entry."""
    return max(0, int((left_at - entered_at).total_seconds()))
