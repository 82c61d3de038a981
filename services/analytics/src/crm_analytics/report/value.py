"""Money of a figure: usually of one currency, sometimes of several."""

from collections.abc import Iterable, Mapping
from typing import Any

from crm_kernel import Money


def currencies(sums: Iterable[Mapping[str, int]]) -> set[str]:
    """All currencies that occur."""
    return {currency for amounts in sums for currency in amounts}


def value_of(amounts: Mapping[str, int], company_currency: str) -> dict[str, Any]:
    """The members `value` and, with several currencies, `values` of a figure.

    amounts: currency → minor units. One currency, whichever: `value` is in it. None: zero in the company's. Several: `value` is
    the part in the company's currency (zero when there is none), `values` lists all, by code; nothing is ever converted.
    """
    if len(amounts) == 1:
        [(currency, minor)] = amounts.items()
        return {"value": Money(minor, currency)}
    value = Money(amounts.get(company_currency, 0), company_currency)
    if not amounts:
        return {"value": value}
    return {"value": value, "values": [Money(amounts[currency], currency) for currency in sorted(amounts)]}
