"""Dividing a whole number into whole parts by weights, exactly (method of the largest remainder)."""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm


def largest_remainder(whole: int, weights: Sequence[Fraction]) -> list[int]:
    """Parts of `whole`, one per weight and in their order, that sum to it exactly.

    Each part is its exact share `whole · weight / Σ weights` rounded down or up, never further off than that. The units
    that rounding down leaves over go, one each, to the parts with the largest remainders; of equal remainders the
    earlier part is served first. A weight of 0 gets 0. A negative whole is divided like its positive counterpart.

    The weights must not be negative, and one of them must be positive.
    """
    # Only their proportion matters: as whole numbers they are an order of magnitude faster to reckon with.
    scale = lcm(*(weight.denominator for weight in weights))
    integers = [int(weight * scale) for weight in weights]
    total = sum(integers)
    shares = [divmod(abs(whole) * integer, total) for integer in integers]
    parts = [part for part, _ in shares]
    left_over = abs(whole) - sum(parts)
    # sorted() is stable also when reversed: equal remainders stay in the order of their parts.
    largest_first = sorted(range(len(parts)), key=lambda position: shares[position][1], reverse=True)
    for position in largest_first[:left_over]:
        parts[position] += 1
    return [-part for part in parts] if whole < 0 else parts
