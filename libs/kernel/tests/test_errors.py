import re

import pytest

import crm_kernel
from crm_kernel import FieldError, Invalid, Refusal, Unavailable

REFUSALS = [value for value in vars(crm_kernel).values() if isinstance(value, type) and issubclass(value, Refusal)]


@pytest.mark.requirement("PL-3")
def test_every_refusal_has_a_stable_code_of_its_own() -> None:
    codes = [refusal.code for refusal in REFUSALS]
    assert len(codes) == len(set(codes)) >= 20
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_without_a_detail_says_its_title(refusal: type[Refusal]) -> None:
    raised = refusal()
    assert raised.detail == str(raised) == refusal.title
    assert 400 <= raised.status < 600


def test_a_refusal_keeps_its_own_copy_of_what_it_is_told() -> None:
    extra = {"version": 3}
    errors = [FieldError("/name", "field.required", "A name is needed")]
    refusal = Invalid("Not so", errors=errors, extra=extra)
    extra["version"] = 4
    errors.clear()
    assert refusal.extra == {"version": 3}
    assert [error.pointer for error in refusal.errors] == ["/name"]


def test_unavailable_says_when_to_come_back_beside_other_headers() -> None:
    refusal = Unavailable(retry_after=7, headers={"X-Reason": "lag"})
    assert refusal.headers == {"Retry-After": "7", "X-Reason": "lag"}


@pytest.mark.requirement("PL-10")
def test_money_and_calendar_refusals_are_unprocessable_input() -> None:
    own = [refusal for refusal in REFUSALS if refusal.code.split(".")[0] in ("money", "calendar")]
    assert len(own) == 10
    assert all(issubclass(refusal, Invalid) and refusal.status == 422 for refusal in own)
