"""Money: a whole number of a currency's minor units (PL-10). Nothing here ever passes through a float.

What can't be done with an amount is a refusal (422) with a code of its own; it names no field, because money does not
know where it stands: whoever reads the input adds the pointer.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Self

from crm_kernel.currencies import MINOR_DIGITS
from crm_kernel.errors import Invalid
from crm_kernel.shares import largest_remainder

# What PostgreSQL's bigint holds, less its one number without a positive counterpart: so every amount can be negated.
MAX_MINOR: Final = 2**63 - 1
_MAX_DIGITS: Final = len(str(MAX_MINOR))

# ASCII only: `\d` would take the digits of every script. No leading zero, no plus, no bare point, no exponent.
_AMOUNT: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?")

# A ratio beyond this is no discount, tax or rate; an exact fraction of 1E+1000000 would take all memory.
_MAX_RATIO_EXPONENT: Final = 100


class MoneyError(Invalid):
    """422: not an amount of money, or something that can't be done with amounts of money."""

    code = "money.invalid"
    title = "The amount of money is not valid"


class OverPrecise(MoneyError):
    """More digits after the decimal point than the currency has."""

    code = "money.over_precise"
    title = "The amount has more decimal places than its currency"


class MalformedAmount(MoneyError):
    """Not a plain decimal number."""

    code = "money.malformed"
    title = "The amount is not a plain decimal number"


class UnknownCurrency(MoneyError):
    """Not the code of an ISO 4217 currency in upper case."""

    code = "money.unknown_currency"
    title = "The currency is not a known ISO 4217 code"


class AmountOutOfRange(MoneyError):
    """Beyond ±9,223,372,036,854,775,807 minor units."""

    code = "money.out_of_range"
    title = "The amount is too large to be stored"


class CurrencyMismatch(MoneyError):
    """Amounts of two currencies in one sum or comparison."""

    code = "money.currency_mismatch"
    title = "The amounts are in different currencies"


class UnusableWeights(MoneyError):
    """Nothing to divide by: no weight, a negative one, or all of them zero."""

    code = "money.unusable_weights"
    title = "The amount can't be divided by these weights"


def minor_digits(currency: str) -> int:
    """How many digits the currency has after the decimal point: USD 2, KRW 0, KWD 3.

    Raises UnknownCurrency; codes are upper case.
    """
    digits = MINOR_DIGITS.get(currency)
    if digits is None:
        raise UnknownCurrency
    return digits


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency; immutable, hashable, totally ordered within its currency.

    minor: whole minor units: cents for USD, won for KRW; at most ±MAX_MINOR.
    currency: ISO 4217 code, upper case.

    Raises UnknownCurrency, AmountOutOfRange; TypeError for a `minor` that is not an int (a programming error, not input).
    Equality is between value and currency together (`0 USD != 0 KRW`); order, sum and difference of two currencies raise
    CurrencyMismatch. Results beyond the range raise AmountOutOfRange.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"minor units are an int, not {type(self.minor).__name__}")
        minor_digits(self.currency)
        if abs(self.minor) > MAX_MINOR:
            raise AmountOutOfRange

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """The amount that a decimal string says, exactly: `"1234.50"`, `"-3"`, `"0.5"`.

        Fewer decimals than the currency has are fine. More are refused even when they are zeros: "1.000" is as likely to
        be a thousand, written with a point, as one. Everything but plain ASCII digits is malformed: signs other than a
        leading `-`, leading zeros, separators, white space, exponents, NaN.

        Raises MalformedAmount, OverPrecise, UnknownCurrency, AmountOutOfRange.
        """
        digits = minor_digits(currency)
        match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise MalformedAmount('An amount is a string like "1234.50": digits, and a point before the decimals')
        sign, units, decimals = match.group(1), match.group(2), match.group(3) or ""
        if len(decimals) > digits:
            raise OverPrecise(f"{currency} has {digits} decimal places, not {len(decimals)}")
        if len(units) > _MAX_DIGITS:
            # Before int(): Python refuses to read numbers of thousands of digits, with an error that is not ours.
            raise AmountOutOfRange
        return cls(int(sign + units + decimals.ljust(digits, "0")), currency)

    @classmethod
    def zero(cls, currency: str) -> Self:
        """Nothing, in a currency."""
        return cls(0, currency)

    @classmethod
    def total(cls, amounts: Iterable["Money"], currency: str) -> Self:
        """The sum of amounts that are all in `currency`; zero if there are none."""
        zero = cls(0, currency)
        return cls(sum(zero._same_currency(amount) for amount in amounts), currency)

    @property
    def amount(self) -> str:
        """The canonical decimal string, with all digits of the currency: "1234.50" USD, "1234" KRW, "-0.005" KWD."""
        digits = MINOR_DIGITS[self.currency]
        sign = "-" if self.minor < 0 else ""
        text = str(abs(self.minor)).rjust(digits + 1, "0")
        return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def __add__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.minor + self._same_currency(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.minor - self._same_currency(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __abs__(self) -> "Money":
        return Money(abs(self.minor), self.currency)

    def __mul__(self, count: int) -> "Money":
        """A whole number of times; fractions go through `times`, which says how it rounds."""
        if type(count) is not int:
            return NotImplemented
        return Money(self.minor * count, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor < self._same_currency(other)

    def __le__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor <= self._same_currency(other)

    def __gt__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor > self._same_currency(other)

    def __ge__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor >= self._same_currency(other)

    def times(self, ratio: Decimal | int) -> "Money":
        """`self · ratio` to the nearest minor unit, a half to the even one (IEEE 754 roundTiesToEven, "banker's rounding").

        Exact before the one rounding: 0.125 of 1.00 USD is 0.12, 0.375 of it is 0.38, and -0.125 of it is -0.12. To part
        an amount without losing or gaining a unit use `allocate`; to take a percentage off, subtract the result.

        Raises MalformedAmount for a ratio that is not finite or has an exponent beyond ±100, AmountOutOfRange.
        """
        # round() of a Fraction is exact and takes a half to the even number.
        return Money(round(self.minor * _fraction(ratio)), self.currency)

    def allocate(self, weights: Sequence[Decimal | int]) -> list["Money"]:
        """Parts in proportion to the weights, in their order, that sum to this amount exactly.

        Each part is less than one minor unit off its exact share; the units that rounding leaves over go to the largest
        remainders, of equal ones to the earliest. A weight of 0 gets zero. Negative amounts are parted like positive
        ones. The same amount and weights always give the same parts.

        Raises UnusableWeights (none, a negative one, or only zeros), MalformedAmount as `times` does.
        """
        fractions = [_fraction(weight) for weight in weights]
        if any(weight < 0 for weight in fractions) or not any(fractions):
            raise UnusableWeights
        return [Money(part, self.currency) for part in largest_remainder(self.minor, fractions)]

    def split(self, count: int) -> list["Money"]:
        """`count` parts as equal as whole minor units allow, the larger first, that sum to this amount exactly.

        Raises UnusableWeights for a count below 1.
        """
        return self.allocate([1] * count)

    def _same_currency(self, other: "Money") -> int:
        """The other's minor units, if they can be reckoned with ours."""
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} can't be added or compared")
        return other.minor


def _fraction(ratio: Decimal | int) -> Fraction:
    """The ratio as an exact fraction; Decimal's own arithmetic would round to its context's 28 digits."""
    if isinstance(ratio, int):
        return Fraction(ratio)
    exponent = ratio.as_tuple().exponent
    # A NaN or an infinity has a letter for an exponent.
    if not isinstance(exponent, int) or exponent < -_MAX_RATIO_EXPONENT or ratio.adjusted() > _MAX_RATIO_EXPONENT:
        raise MalformedAmount("A ratio is a finite number of ordinary size")
    return Fraction(ratio)
