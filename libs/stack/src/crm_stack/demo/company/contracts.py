"""Contracts from won opportunities, their instalments, and what came in for them. Pure."""

import datetime as dt
from collections.abc import Mapping
from random import Random
from typing import Literal

from crm_stack.demo.company.chance import generator
from crm_stack.demo.company.facts import Contact, Contract, Customer, Ending, Opportunity, Payment, Person
from crm_stack.demo.company.moments import Moments
from crm_stack.demo.company.words import LANGUAGES

_RECORDERS = ("user/finance/1", "user/finance/2")
_METHODS = ("bank_transfer", "bank_transfer", "bank_transfer", "direct_debit", "cheque", "card")
#: What becomes of contracts that were signed lately, by chance; older ones are long decided.
_LATELY: tuple[Ending, ...] = ("active", "active", "in_approval", "in_approval", "rejected", "draft", "draft", "void")
_LATELY_DAYS = 45
#: For so long a payment may wait for its approval.
_FRESH_DAYS = 30


def plan_contracts(
    seed: int,
    moments: Moments,
    people: Mapping[str, Person],
    customers: Mapping[str, Customer],
    contacts: Mapping[str, Contact],
    opportunities: Mapping[str, Opportunity],
    count: int,
) -> dict[str, Contract]:
    """Contracts by key: of the opportunities won last, at most `count`."""
    rng = generator(seed, "contracts")
    won = [one for one in opportunities.values() if one.outcome == "won" and one.lines]
    latest = sorted(won, key=lambda one: (one.ended or one.opened, one.key))[-count:] if count else []
    found: dict[str, Contract] = {}
    for opportunity in latest:
        key = opportunity.key.replace("opportunity", "contract")
        contact = contacts[opportunity.contact].name if opportunity.contact else None
        signatory = people[people[opportunity.owner].superior or opportunity.owner].name
        language = customers[opportunity.customer].language
        found[key] = _contract(rng, moments, key, opportunity, language, signatory, contact)
    return found


def _contract(
    rng: Random, moments: Moments, key: str, opportunity: Opportunity, code: str, signatory: str, contact: str | None
) -> Contract:
    language = LANGUAGES[code]
    won = (opportunity.ended or opportunity.opened).date()
    signed = min(won + dt.timedelta(days=rng.randint(1, 14)), moments.last)
    starts = signed + dt.timedelta(days=rng.choice((7, 14, 30)))
    ending: Ending = "terminated" if rng.random() < 0.05 else "active"
    if (moments.day - signed).days < _LATELY_DAYS:
        ending = rng.choice(_LATELY)
    parts = rng.choice((1, 1, 2, 2, 3, 4, 6)) if opportunity.value >= 5_000 else 1
    gap = rng.choice((30, 60, 90))
    share = opportunity.value // parts
    amounts = [share] * (parts - 1) + [opportunity.value - share * (parts - 1)]
    plan = tuple((amount, starts + dt.timedelta(days=gap * place)) for place, amount in enumerate(amounts))
    comment = {"rejected": language.rejected, "terminated": language.terminated}.get(ending)
    return Contract(
        key=key,
        opportunity=opportunity.key,
        owner=opportunity.owner,
        ending=ending,
        signed=signed,
        starts=starts,
        ends=max(starts + dt.timedelta(days=364), plan[-1][1]),
        our_signatory=signatory,
        their_signatory=contact,
        terms=language.payment_terms[0 if parts == 1 else 1],
        instalments=plan,
        comment=rng.choice(comment) if comment else None,
    )


def plan_payments(seed: int, moments: Moments, contracts: Mapping[str, Contract]) -> tuple[Payment, ...]:
    """What came in for contracts that are, or were, in force. Each pays its instalments in order; from the first that is paid in part,
    or not, nothing more came."""
    rng = generator(seed, "payments")
    found: list[Payment] = []
    for number, contract in enumerate(contracts.values()):
        if contract.ending not in ("active", "terminated"):
            continue
        recorder = _RECORDERS[number % len(_RECORDERS)]
        for place, (amount, due) in enumerate(contract.instalments, start=1):
            paid = due + dt.timedelta(days=rng.randint(-6, 12))
            if paid > moments.last:
                break
            chance = rng.random()
            part = amount if chance < 0.84 else amount // 2 if chance < 0.92 and amount > 1 else 0
            if part:
                found.append(_payment(rng, moments, contract, recorder, place, part, paid))
            if part != amount:
                break
    return tuple(found)


def _payment(
    rng: Random, moments: Moments, contract: Contract, recorder: str, place: int, amount: int, paid: dt.date
) -> Payment:
    number = contract.key.rpartition("/")[2]
    fresh = (moments.day - paid).days <= _FRESH_DAYS
    ending: Literal["approved", "pending", "rejected"] = "approved"
    if fresh and contract.ending == "active":
        ending = rng.choice(("pending", "pending", "approved", "rejected"))
    return Payment(
        key=f"payment/{number}/{place}",
        contract=contract.key,
        recorder=recorder,
        amount=amount,
        paid=paid,
        method=rng.choice(_METHODS),
        reference=f"{number}-{place}",
        ending=ending,
        comment="The bank knows nothing of it" if ending == "rejected" else None,
    )
