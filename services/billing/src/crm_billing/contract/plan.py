"""Instalment plans (BI-20): what may stand in one, how it changes, and the status of each by day. Pure."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from crm_billing.contract.rules import Status
from crm_kernel.errors import Conflict, FieldError, Invalid
from crm_kernel.money import Money, MoneyError

Method = Literal["bank_transfer", "card", "cash", "cheque", "direct_debit", "other"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
InstalmentStatus = Literal["waiting", "due", "part_paid", "paid", "overdue", "void"]

#: Instalments that one contract can have.
MAX_INSTALMENTS: Final = 120
#: How many days before an instalment is due one is reminded of it, unless said.
REMIND_DAYS: Final = 7


class PlanInvalid(Invalid):
    """422: instalments that can't stand; `errors` says which and why.

    Codes of the errors: `instalment.unknown`, `instalment.amount`, `instalment.currency`, `money.out_of_range`.
    """

    code = "instalments.invalid"
    title = "The instalments are not valid"


class SumDiffers(Invalid):
    """422: the instalments come to something else than the contract's value."""

    code = "instalments.sum"
    title = "The instalments don't come to the contract's value"


class InstalmentPaid(Conflict):
    """409: payments, waiting ones too, are for more than would be left of an instalment; or it is paid and would change."""

    code = "instalments.paid"
    title = "There are payments for an instalment"


@dataclass(frozen=True)
class Instalment:
    """A part of what a contract comes to. number: from 1 on. remind_days: days before `due_on`."""

    id: uuid.UUID
    number: int
    amount: Money
    due_on: dt.date
    method: Method = "bank_transfer"
    remind_days: int = REMIND_DAYS

    def json(self) -> dict[str, Any]:
        """As events and the API carry it."""
        return {
            "id": str(self.id),
            "number": self.number,
            "amount": {"amount": self.amount.amount, "currency": self.amount.currency},
            "due_on": self.due_on.isoformat(),
            "method": self.method,
            "remind_days": self.remind_days,
        }


@dataclass(frozen=True)
class InstalmentGiven:
    """An instalment as somebody asks for it. id: of the present one that it is; None: a new one."""

    amount: Money
    due_on: dt.date
    method: Method = "bank_transfer"
    remind_days: int = REMIND_DAYS
    id: uuid.UUID | None = None


def settle_plan(
    given: Sequence[InstalmentGiven], present: Sequence[Instalment], fresh: Sequence[uuid.UUID]
) -> tuple[Instalment, ...]:
    """The instalments that there are from now on: all that are given, numbered in their order.

    fresh: ids for new ones, one per instalment given. Raises PlanInvalid.
    """
    free = {one.id for one in present}
    errors: list[FieldError] = []
    plan: list[Instalment] = []
    for index, (one, new) in enumerate(zip(given, fresh, strict=True)):
        place = f"/instalments/{index}"
        if one.id is not None and one.id not in free:
            errors.append(
                FieldError(f"{place}/id", "instalment.unknown", "There is no such instalment, or it stands twice")
            )
            continue
        free -= {one.id}
        if one.amount.minor <= 0:
            errors.append(FieldError(f"{place}/amount", "instalment.amount", "An instalment is more than nothing"))
        if one.amount.currency != given[0].amount.currency:
            errors.append(FieldError(f"{place}/amount", "instalment.currency", "All instalments are in one currency"))
        plan.append(
            Instalment(
                new if one.id is None else one.id, index + 1, one.amount, one.due_on, one.method, one.remind_days
            )
        )
    if not errors and plan:
        try:
            sum_of(plan)
        except MoneyError as refusal:
            errors.append(FieldError("/instalments", refusal.code, refusal.detail))
    if errors:
        raise PlanInvalid(errors=errors)
    return tuple(plan)


def sum_of(plan: Sequence[Instalment]) -> Money:
    """What a plan comes to. There must be an instalment."""
    return Money.total([one.amount for one in plan], plan[0].amount.currency)


def check_sum(plan: Sequence[Instalment], value: Money) -> None:
    """Whether a plan comes to exactly the contract's value. Raises SumDiffers."""
    summed = sum_of(plan) if plan else Money.zero(value.currency)
    if summed != value:
        detail = f"The instalments come to {summed}, the contract to {value}"
        raise SumDiffers(errors=[FieldError("/instalments", SumDiffers.code, detail)])


def check_kept(
    plan: Sequence[Instalment],
    present: Sequence[Instalment],
    received: Mapping[uuid.UUID, int],
    waiting: Mapping[uuid.UUID, int],
) -> None:
    """Whether a new plan keeps what payments are for: no instalment falls below that, and one that is paid stays as it is.

    received, waiting: minor units per instalment, of approved payments and of those that wait for approval. Raises InstalmentPaid.
    """
    after = {one.id: one for one in plan}
    for one in present:
        now = after.get(one.id)
        left = 0 if now is None else now.amount.minor
        taken = received.get(one.id, 0) + waiting.get(one.id, 0)
        if left < taken:
            raise InstalmentPaid(
                f"Instalment {one.number} has payments for more than that", extra={"number": one.number}
            )
        paid = received.get(one.id, 0) == one.amount.minor
        if paid and now is not None and (now.amount, now.due_on, now.method) != (one.amount, one.due_on, one.method):
            raise InstalmentPaid(f"Instalment {one.number} is paid", extra={"number": one.number})


def whole_plan(
    value: Money, instalment_id: uuid.UUID, *, ends_on: dt.date | None, starts_on: dt.date | None, today: dt.date
) -> tuple[Instalment, ...]:
    """The plan of a contract that has none: everything at once, at its end, else at its start, else on the day of submission."""
    return (Instalment(instalment_id, 1, value, ends_on or starts_on or today),)


def status_of(contract: Status, amount: int, received: int, due_on: dt.date, today: dt.date) -> InstalmentStatus:
    """An instalment's status; computed, never stored. today: in the company's time zone. Amounts are minor units.

    Before its day it waits, on its day it is due, after it overdue; once something came in, it is part-paid until it is overdue. When
    the contract was terminated, what is not paid is not asked for any more.
    """
    if contract in ("draft", "in_approval"):
        return "waiting"
    if contract == "void":
        return "void"
    if received >= amount:
        return "paid"
    if contract == "terminated":
        return "void"
    if due_on < today:
        return "overdue"
    if received:
        return "part_paid"
    return "due" if due_on == today else "waiting"
