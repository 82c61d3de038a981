"""What is needed of a language to tell of a market and the people in it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """Names are (as written, in Latin letters). In texts, `{customer}`, `{product}` and `{contact}` stand for names.

    code: BCP 47. office: where the people are who speak it. phone: pattern of a number, # for any digit. name: pattern of a person's
    name, of company: of a company's, from `{place}`, `{word}` and `{branch}`. kinds: kind of activity → what it may have been about.
    """

    code: str
    office: str
    time_zone: str
    country: str
    phone: str
    name: str
    families: tuple[tuple[str, str], ...]
    givens: tuple[tuple[str, str], ...]
    company: tuple[str, ...]
    places: tuple[str, ...]
    words: tuple[str, ...]
    branches: tuple[tuple[str, str], ...]
    jobs: tuple[str, ...]
    address: str
    deal: tuple[str, ...]
    kinds: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    next_steps: tuple[str, ...]
    lost: tuple[str, ...]
    held: tuple[str, ...]
    released: tuple[str, ...]
    terminated: tuple[str, ...]
    rejected: tuple[str, ...]
    payment_terms: tuple[str, ...]
    tickets: tuple[tuple[str, str, str], ...]
    asked_again: tuple[str, ...]
    answers: tuple[str, ...]
    internal: tuple[str, ...]
