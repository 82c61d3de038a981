"""Chance that is the same for the same seed."""

from random import Random


def generator(seed: int, part: str) -> Random:
    """A generator for one part of the plan; what other parts draw doesn't matter to it. Seeded by text, which Python hashes the same way
    in every version and process."""
    return Random(f"{seed}/{part}")  # noqa: S311  (a sample, no secret)
