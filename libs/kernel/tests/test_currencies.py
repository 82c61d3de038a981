from pathlib import Path

import pytest

from crm_kernel import MINOR_DIGITS, UnknownCurrency, minor_digits

RELEASED = dict(line.split() for line in Path(__file__).with_name("released_currencies.txt").read_text().splitlines())


@pytest.mark.requirement("PL-10")
def test_no_currency_is_ever_removed_and_none_changes_its_digits() -> None:
    assert len(RELEASED) >= 165
    assert {code: MINOR_DIGITS.get(code) for code in RELEASED} == {
        code: int(digits) for code, digits in RELEASED.items()
    }


def test_a_new_currency_is_also_listed_as_released() -> None:
    assert set(MINOR_DIGITS) == set(RELEASED), (
        "add the new currency to tests/released_currencies.txt, in the same commit"
    )


def test_the_table_cannot_be_changed_at_run_time() -> None:
    with pytest.raises(TypeError):
        MINOR_DIGITS["USD"] = 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("currency", "digits"), [("USD", 2), ("KRW", 0), ("JPY", 0), ("KWD", 3), ("IQD", 3), ("CLF", 4)]
)
def test_digits_are_those_of_iso_4217(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits


@pytest.mark.parametrize("code", ["usd", "US", "USDX", "", " USD", "XAU", "XXX", "XTS", "DEM", "ＵＳＤ", "US\0"])
def test_what_is_not_a_currency_of_the_table_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        minor_digits(code)
