"""What a contract may become, what it comes to, and when (BI-1). Pure."""

import datetime as dt
from collections.abc import Sequence
from typing import Final, Literal

from crm_kernel.errors import Conflict, FieldError, Invalid
from crm_kernel.money import Money
from crm_records.lines import Line, totals_of

Status = Literal["draft", "in_approval", "active", "terminated", "void"]

#: From which status a contract may go to which. What is terminated or void stays so.
MOVES: Final[dict[Status, frozenset[Status]]] = {
    "draft": frozenset({"in_approval", "void"}),
    "in_approval": frozenset({"active", "draft"}),
    "active": frozenset({"terminated"}),
    "terminated": frozenset(),
    "void": frozenset(),
}


class NotDraft(Conflict):
    """409: only a draft is changed, submitted or made void."""

    code = "contract.not_draft"
    title = "Only a draft can be changed"


class NotActive(Conflict):
    """409: it is not in force (any more)."""

    code = "contract.not_active"
    title = "The contract is not active"


class NotInApproval(Conflict):
    """409: it does not wait for a decision."""

    code = "contract.not_in_approval"
    title = "The contract is not waiting for approval"


class OpportunityNotWon(Conflict):
    """409: contracts are drafted from won opportunities."""

    code = "contract.opportunity_not_won"
    title = "The opportunity is not won"


class AlreadyDrafted(Conflict):
    """409: the opportunity has a contract that is not void."""

    code = "contract.already_drafted"
    title = "There is a contract for this opportunity already"


class OpportunityUnknown(Invalid):
    """422: no such opportunity, or the caller doesn't see it."""

    code = "contract.opportunity_unknown"
    title = "There is no such opportunity"


class CustomerUnknown(Invalid):
    """422: no such customer, or the caller doesn't see it."""

    code = "contract.customer_unknown"
    title = "There is no such customer"


class EndsBeforeStart(Invalid):
    """422: it would end before it starts."""

    code = "contract.ends_before_start"
    title = "A contract ends on or after the day it starts"


class ValueFromLines(Invalid):
    """422: the value of a contract with lines is what they come to."""

    code = "contract.value_from_lines"
    title = "The value is what the lines come to"


class ValueMissing(Invalid):
    """422: what is submitted has a value above zero."""

    code = "contract.value_missing"
    title = "The contract has no value yet"


#: What refuses a move from the wrong status.
_REFUSALS: Final[dict[Status, type[Conflict]]] = {
    "in_approval": NotDraft,
    "void": NotDraft,
    "active": NotInApproval,
    "draft": NotInApproval,
    "terminated": NotActive,
}


def pointed(refusal: type[Invalid], pointer: str, detail: str | None = None) -> Invalid:
    """A refusal that says at which member of the input."""
    return refusal(errors=[FieldError(pointer, refusal.code, detail or refusal.title)])


def check_move(current: Status, target: Status) -> None:
    """Whether a contract may become `target`. Raises NotDraft, NotInApproval, NotActive; `status` says what it is."""
    if target not in MOVES[current]:
        raise _REFUSALS[target](f"It is {current.replace('_', ' ')}", extra={"status": current})


def check_draft(current: Status) -> None:
    """Whether a contract's fields and lines may be changed. Raises NotDraft."""
    if current != "draft":
        raise NotDraft(f"It is {current.replace('_', ' ')}", extra={"status": current})


def check_removable(current: Status) -> None:
    """Whether a contract may be deleted: what has counted, or may count any moment, stays. Raises NotDraft."""
    if current not in ("draft", "void"):
        raise NotDraft(f"It is {current.replace('_', ' ')}", extra={"status": current})


def check_days(starts_on: dt.date | None, ends_on: dt.date | None) -> None:
    """Whether a contract ends on or after the day it starts. Raises EndsBeforeStart."""
    if starts_on is not None and ends_on is not None and ends_on < starts_on:
        raise pointed(EndsBeforeStart, "/ends_on", f"It starts on {starts_on}, ends on {ends_on}")


def value_of(lines: Sequence[Line], given: Money | None) -> Money | None:
    """What the lines come to, taxes included, where there are lines; else what was given.

    Raises ValueFromLines when both are there and differ.
    """
    if not lines:
        return given
    summed = totals_of(lines).total
    if given is not None and given != summed:
        raise pointed(ValueFromLines, "/value", f"The lines come to {summed}")
    return summed


def check_value(value: Money | None) -> Money:
    """The value of what is submitted. Raises ValueMissing for none, and for zero."""
    if value is None or value.minor <= 0:
        raise pointed(ValueMissing, "/value")
    return value
