"""What is sold, to whom, and who is there to talk to. Pure."""

import datetime as dt
from collections.abc import Mapping
from random import Random

from crm_stack.demo.company.chance import generator
from crm_stack.demo.company.facts import Contact, Customer, Fate, Person, Product
from crm_stack.demo.company.moments import Moments
from crm_stack.demo.company.people import person_name
from crm_stack.demo.company.words import LANGUAGES, Language

_SOURCES = ("trade_fair", "website", "referral", "cold_call", "partner")
_DECIDING = ("decides", "recommends", "influences", "uses", "blocks")
#: Where the longest standing customers come from: before the period that is told.
_OLDEST_DAYS = 900
#: Every so many-th customer of a representative ends in the pool, or deleted.
_POOLED_EVERY, _DELETED_EVERY = 13, 33

PRODUCTS = (
    Product("product/PG-10", "PG-10", "Pressure gauge PG-10", "Sensors/Pressure", 300),
    Product("product/PG-80", "PG-80", "Pressure transmitter PG-80", "Sensors/Pressure", 1_200),
    Product("product/FL-20", "FL-20", "Flow meter FL-20", "Sensors/Flow", 2_400),
    Product("product/FL-90", "FL-90", "Ultrasonic flow meter FL-90", "Sensors/Flow", 6_800),
    Product("product/TS-5", "TS-5", "Temperature probe TS-5", "Sensors/Temperature", 200),
    Product("product/LK-1", "LK-1", "Leak detector LK-1", "Sensors/Leak", 900),
    Product("product/GW-2", "GW-2", "Gateway GW-2", "Network/Gateways", 1_500),
    Product("product/GW-8", "GW-8", "Gateway GW-8, explosion-proof", "Network/Gateways", 4_900),
    Product("product/SW-M", "SW-M", "Monitoring, one plant, a year", "Software/Monitoring", 12_000),
    Product("product/SW-A", "SW-A", "Analysis module, a year", "Software/Analysis", 5_400),
    Product("product/SV-I", "SV-I", "Installation, a day", "Services/Installation", 1_100),
    Product("product/SV-C", "SV-C", "Calibration on site", "Services/Calibration", 400),
)


def plan_customers(
    seed: int, moments: Moments, people: Mapping[str, Person], count: int
) -> tuple[dict[str, Customer], dict[str, Contact]]:
    """Customers by key, each somebody's, and the contacts at them."""
    rng = generator(seed, "market")
    owners = _owners(people)
    names: set[str] = set()
    customers: dict[str, Customer] = {}
    contacts: dict[str, Contact] = {}
    for number in range(1, count + 1):
        owner = owners[(number - 1) % len(owners)]
        key = f"customer/{number:04}"
        customers[key] = _customer(rng, moments, key, number, owner, names)
        for place in range(1, rng.choice((1, 2, 2, 2, 3, 4)) + 1):
            one = _contact(rng, f"contact/{number:04}/{place}", customers[key], primary=place == 1)
            contacts[one.key] = one
    return customers, contacts


def _owners(people: Mapping[str, Person]) -> list[Person]:
    """Who has customers, each as often as their share: representatives most, who leads them some."""
    sales = [one for one in people.values() if one.key.startswith("user/sales/")]
    shares = {"sales_representative": 10, "supervisor": 2}
    rounds = max(shares.values())
    return [one for turn in range(rounds) for one in sales if turn < shares[one.role]]


def _customer(rng: Random, moments: Moments, key: str, number: int, owner: Person, names: set[str]) -> Customer:
    language = LANGUAGES[owner.language]
    name, industry = _company_name(rng, language, names)
    # Those who end in the pool or deleted have nothing going on with us: see `deals`.
    fate: Fate = "deleted" if number % _DELETED_EVERY == 0 else "pooled" if number % _POOLED_EVERY == 0 else "kept"
    employees = int(rng.lognormvariate(5, 1.1)) + 5
    return Customer(
        key=key,
        name=name,
        language=language.code,
        owner=owner.key,
        since=moments.at(language, moments.day - dt.timedelta(days=rng.randint(560, _OLDEST_DAYS)), rng),
        industry=industry,
        employees=employees,
        founded=rng.randint(1952, 2021),
        revenue=employees * rng.randint(60, 220) * 1_000,
        phone=phone(rng, language),
        address=language.address.format(n=rng.randint(1, 240), place=rng.choice(language.places)),
        source=rng.choice(_SOURCES),
        grade="A" if employees > 500 else "B" if employees > 120 else None,
        fate=fate,
        reason=None if fate == "kept" else rng.choice(language.released),
    )


def _company_name(rng: Random, language: Language, names: set[str]) -> tuple[str, str]:
    """A name that nobody has yet, and the trade."""
    while True:
        branch, industry = rng.choice(language.branches)
        pattern = rng.choice(language.company)
        name = pattern.format(place=rng.choice(language.places), word=rng.choice(language.words), branch=branch)
        if name not in names:
            names.add(name)
            return name, industry


def _contact(rng: Random, key: str, customer: Customer, *, primary: bool) -> Contact:
    language = LANGUAGES[customer.language]
    return Contact(
        key=key,
        customer=customer.key,
        name=person_name(rng, language),
        job=rng.choice(language.jobs),
        decision_role="decides" if primary else rng.choice(_DECIDING),
        phone=phone(rng, language),
        primary=primary,
    )


def phone(rng: Random, language: Language) -> str:
    """A number as one dials it there; nobody's, where there are numbers that are nobody's."""
    return "".join(str(rng.randint(0, 9)) if letter == "#" else letter for letter in language.phone)
