"""For which instalments a payment is, and when it counts (BI-21). Pure; plain numbers are minor units of the contract's currency."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from crm_kernel.errors import Conflict, FieldError, Invalid
from crm_kernel.money import Money

Status = Literal["pending", "approved", "rejected", "withdrawn"]

#: From which status a payment may go to which. Money that came in is never taken back silently: a refund will be a record of its own.
MOVES: Final[dict[Status, frozenset[Status]]] = {
    "pending": frozenset({"approved", "rejected", "withdrawn"}),
    "approved": frozenset(),
    "rejected": frozenset(),
    "withdrawn": frozenset(),
}
#: Allocations that one payment can have.
MAX_ALLOCATIONS: Final = 120


class ExceedsOpen(Conflict):
    """409: more than what is open; payments that wait for approval count."""

    code = "payment.exceeds_open"
    title = "The payment is for more than what is open"


class PaymentFixed(Conflict):
    """409: what was recorded stays as it is: withdraw it, and record another. `status` says what it is."""

    code = "payment.fixed"
    title = "A recorded payment can't be changed"


class NotPending(Conflict):
    """409: it is approved, rejected or withdrawn already."""

    code = "payment.not_pending"
    title = "The payment is not waiting for approval"


class ContractUnknown(Invalid):
    """422: no such contract, or the caller doesn't see it."""

    code = "payment.contract_unknown"
    title = "There is no such contract"


class AmountInvalid(Invalid):
    """422: not more than nothing, or in another currency than the contract."""

    code = "payment.amount"
    title = "A payment is more than nothing, in the contract's currency"


class AllocationInvalid(Invalid):
    """422: what is allocated is not the payment; `errors` says which and why."""

    code = "payment.allocation"
    title = "The allocations are not the payment"


@dataclass(frozen=True)
class Open:
    """An instalment that a payment may be for. amount: what is open of it, less what pending payments are for."""

    instalment_id: uuid.UUID
    due_on: dt.date
    number: int
    amount: int


@dataclass(frozen=True)
class Allocation:
    """How much of a payment is for which instalment."""

    instalment_id: uuid.UUID
    amount: Money

    def json(self) -> dict[str, Any]:
        """As events and the API carry it."""
        money = {"amount": self.amount.amount, "currency": self.amount.currency}
        return {"instalment_id": str(self.instalment_id), "amount": money}


def check_move(current: Status, target: Status) -> None:
    """Whether a payment may become `target`. Raises NotPending."""
    if target not in MOVES[current]:
        raise NotPending(f"It is {current}", extra={"status": current})


def check_removable(current: Status) -> None:
    """Whether a payment may be deleted: what counts, or may count any moment, stays. Raises PaymentFixed."""
    if current in ("pending", "approved"):
        raise PaymentFixed(f"It is {current}", extra={"status": current})


def check_same(current: Status, *, same: bool, gives_up_reference: bool) -> None:
    """Whether a payment may be "changed" so: to what it is already; one that never counts may give up its external reference, too.

    The reference is how an import knows which line of a bank statement is recorded already: while the payment counts, or may, a line
    that lost its payment would be recorded, and counted, once more. One that never counts makes room for another of the line.
    Raises PaymentFixed.
    """
    if not same or (gives_up_reference and current in ("pending", "approved")):
        raise PaymentFixed(f"It is {current}", extra={"status": current})


def same_allocations(given: Sequence[Allocation], stored: Sequence[Allocation]) -> bool:
    """Whether both say the same, in whatever order."""
    return len(given) == len(stored) and set(given) == set(stored)


def allocate(amount: Money, opens: Sequence[Open], given: Sequence[Allocation] | None) -> tuple[Allocation, ...]:
    """The allocations of a payment: as given, or to the instalments that are due first.

    All are in one currency; amount is more than zero. Raises AllocationInvalid (instalment unknown or twice, nothing, another sum),
    ExceedsOpen.
    """
    if given is None:
        return _oldest_first(amount, opens)
    known = {one.instalment_id: one for one in opens}
    errors: list[FieldError] = []
    seen: set[uuid.UUID] = set()
    for index, one in enumerate(given):
        place = f"/allocations/{index}"
        if one.instalment_id not in known or one.instalment_id in seen:
            errors.append(
                FieldError(f"{place}/instalment_id", "allocation.instalment", "No such instalment, or it stands twice")
            )
        elif one.amount.minor <= 0:
            errors.append(FieldError(f"{place}/amount", "allocation.amount", "An allocation is more than nothing"))
        seen.add(one.instalment_id)
    if not errors and sum(one.amount.minor for one in given) != amount.minor:
        errors.append(FieldError("/allocations", "allocation.sum", "The allocations don't come to the payment"))
    if errors:
        raise AllocationInvalid(errors=errors)
    check_open(given, {key: one.amount for key, one in known.items()})
    return tuple(given)


def check_open(allocations: Sequence[Allocation], opens: Mapping[uuid.UUID, int]) -> None:
    """Whether each allocation is within what is open. Raises ExceedsOpen."""
    if any(one.amount.minor > opens.get(one.instalment_id, 0) for one in allocations):
        raise ExceedsOpen


def _oldest_first(amount: Money, opens: Sequence[Open]) -> tuple[Allocation, ...]:
    left = amount.minor
    found: list[Allocation] = []
    for one in sorted(opens, key=lambda instalment: (instalment.due_on, instalment.number)):
        part = min(left, one.amount)
        if part > 0:
            found.append(Allocation(one.instalment_id, Money(part, amount.currency)))
            left -= part
    if left:
        raise ExceedsOpen
    return tuple(found)
