"""Opportunities over eighteen months: a funnel that loses some at each stage, as sales do. Pure."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from crm_stack.demo.company.chance import generator
from crm_stack.demo.company.facts import Contact, Customer, Line, Opportunity, Product
from crm_stack.demo.company.moments import PERIOD_DAYS, Moments
from crm_stack.demo.company.words import LANGUAGES, Language

Outcome = Literal["open", "won", "lost", "on_hold"]


@dataclass(frozen=True)
class Stage:
    """How long opportunities stay at a stage of the default pipeline (mean, days), and how many are lost there."""

    days: float
    lost: float


STAGES = (Stage(16, 0.30), Stage(28, 0.26), Stage(24, 0.20), Stage(20, 0.16))
#: From this stage on there is an offer, and with it lines.
OFFERED = 2
_BACK, _SKIP, _HELD = 0.05, 0.06, 0.12


def plan_opportunities(
    seed: int,
    moments: Moments,
    customers: Mapping[str, Customer],
    contacts: Mapping[str, Contact],
    products: Sequence[Product],
    count: int,
) -> dict[str, Opportunity]:
    """Opportunities by key, in the order in which they were opened. Customers who are given up or deleted only lost theirs."""
    rng = generator(seed, "deals")
    by_customer: dict[str, list[Contact]] = {}
    for one in contacts.values():
        by_customer.setdefault(one.customer, []).append(one)
    everybody = list(customers.values())
    # Somewhat more every month: the square root draws days towards the end.
    days = sorted(int(PERIOD_DAYS * rng.random() ** 0.8) for _ in range(count))
    found: dict[str, Opportunity] = {}
    for number, day in enumerate(days, start=1):
        customer = rng.choice(everybody)
        opened = moments.at(
            LANGUAGES[customer.language], moments.first + dt.timedelta(days=min(day, PERIOD_DAYS - 6)), rng
        )
        contact = rng.choice(by_customer[customer.key]) if rng.random() < 0.9 else None
        key = f"opportunity/{number:05}"
        found[key] = _opportunity(rng, moments, products, key, customer, contact, opened)
    return found


def _opportunity(
    rng: Random,
    moments: Moments,
    products: Sequence[Product],
    key: str,
    customer: Customer,
    contact: Contact | None,
    opened: dt.datetime,
) -> Opportunity:
    language = LANGUAGES[customer.language]
    steps, outcome, ended = _way(rng, moments, language, opened)
    if customer.fate != "kept" and outcome != "lost":
        outcome, ended = "lost", ended or moments.at(language, moments.last, rng)
    chosen = rng.sample(products, rng.choice((1, 1, 2, 2, 3, 4)))
    furthest = max((stage for stage, _ in steps), default=0)
    lines = tuple(_line(rng, product) for product in chosen) if furthest >= OFFERED or outcome == "won" else ()
    prices = {product.key: product.price for product in products}
    value = sum(prices[line.product] * line.quantity * (100 - line.discount) // 100 for line in lines)
    open_still = outcome in ("open", "on_hold")
    return Opportunity(
        key=key,
        name=rng.choice(language.deal).format(customer=customer.name, product=chosen[0].name),
        customer=customer.key,
        contact=None if contact is None else contact.key,
        owner=customer.owner,
        products=tuple(product.key for product in chosen),
        lines=lines,
        value=value or rng.randint(4, 90) * 1_000,
        source=customer.source,
        opened=opened,
        steps=steps,
        outcome=outcome,
        ended=ended,
        reason=_reason(rng, language, outcome),
        deadline=moments.day + dt.timedelta(days=rng.randint(-15, 90)) if open_still else None,
        next_step=rng.choice(language.next_steps) if outcome == "open" else None,
    )


def _way(
    rng: Random, moments: Moments, language: Language, opened: dt.datetime
) -> tuple[tuple[tuple[int, dt.datetime], ...], Outcome, dt.datetime | None]:
    """Stages entered after the first, outcome, and when it came; cut off where the plan's day is reached."""
    steps: list[tuple[int, dt.datetime]] = []
    stage, now = 0, opened
    while True:
        gone = now.date() + dt.timedelta(days=1 + int(rng.expovariate(1 / STAGES[stage].days)))
        # Never before what came before, whatever weekend or hour it falls on.
        now = max(moments.at(language, gone, rng), now + dt.timedelta(hours=2))
        if not moments.within(now):
            return tuple(steps), "open", None
        if rng.random() < STAGES[stage].lost:
            outcome: Outcome = "on_hold" if rng.random() < _HELD else "lost"
            return tuple(steps), outcome, now
        if stage == len(STAGES) - 1:
            if rng.random() >= _BACK:
                return tuple(steps), "won", now
            stage -= 1
        else:
            stage += 2 if stage == 0 and rng.random() < _SKIP else 1
        steps.append((stage, now))


def _line(rng: Random, product: Product) -> Line:
    few = product.price > 3_000
    return Line(product.key, rng.randint(1, 4) if few else rng.randint(2, 24), rng.choice((0, 0, 0, 5, 10, 15)))


def _reason(rng: Random, language: Language, outcome: Outcome) -> str | None:
    if outcome == "lost":
        return rng.choice(language.lost)
    return rng.choice(language.held) if outcome == "on_hold" else None
