import itertools
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_identity.user.rules import (
    LastSuperAdmin,
    StatusForbids,
    SuperiorCycle,
    UserStatus,
    check_super_admins,
    check_superior,
    login_keys,
    next_status,
    normal_email,
    normal_mobile,
    raises_epoch,
)
from crm_kernel import Invalid

IDS = [uuid.UUID(int=number) for number in range(1, 9)]
ACTIONS = ("activate", "deactivate", "dismiss", "reinstate")
STATUSES: tuple[UserStatus, ...] = ("pending_activation", "active", "inactive", "dismissed")


@pytest.mark.requirement("ID-5")
def test_statuses_change_only_as_the_specification_says() -> None:
    allowed = {
        ("pending_activation", "activate"): "active",
        ("inactive", "activate"): "active",
        ("active", "deactivate"): "inactive",
        ("pending_activation", "dismiss"): "dismissed",
        ("active", "dismiss"): "dismissed",
        ("inactive", "dismiss"): "dismissed",
        ("dismissed", "reinstate"): "active",
    }
    for status, action in itertools.product(STATUSES, ACTIONS):
        if (status, action) in allowed:
            assert next_status(status, action) == allowed[status, action]
        else:
            with pytest.raises(StatusForbids):
                next_status(status, action)


@given(st.lists(st.tuples(st.integers(0, 7), st.one_of(st.none(), st.integers(0, 7))), max_size=40))
def test_superiors_never_run_in_a_circle(changes: list[tuple[int, int | None]]) -> None:
    superior: dict[uuid.UUID, uuid.UUID | None] = dict.fromkeys(IDS)
    for user, wanted in changes:
        new = None if wanted is None else IDS[wanted]
        try:
            check_superior(IDS[user], new, superior.get)
        except SuperiorCycle:
            continue
        superior[IDS[user]] = new
    for start in IDS:
        at: uuid.UUID | None = start
        for _ in range(len(IDS) + 1):
            at = None if at is None else superior[at]
        assert at is None


def test_the_last_super_administrator_stays() -> None:
    with pytest.raises(LastSuperAdmin):
        check_super_admins(was=True, stays=False, others=0)
    check_super_admins(was=True, stays=False, others=1)
    check_super_admins(was=False, stays=False, others=0)
    check_super_admins(was=True, stays=True, others=0)


def test_only_what_changes_rights_or_place_makes_tokens_worthless() -> None:
    assert raises_epoch({"role_ids"})
    assert raises_epoch({"department_id", "name"})
    assert raises_epoch({"superior_id"})
    assert raises_epoch({"status"})
    assert not raises_epoch({"name", "email", "locale"})


def test_a_number_is_one_number_however_it_is_written() -> None:
    assert normal_mobile("+82 10-1234-5678") == "+821012345678"
    for wrong in ("010 1234 5678", "+82", "hello", "+999999999999999999"):
        with pytest.raises(Invalid):
            normal_mobile(wrong)


def test_an_address_is_checked_without_asking_anybody() -> None:
    assert normal_email("first.last@Demo.Example") == "first.last@demo.example"
    for wrong in ("a", "a@b", "a b@example.com", "@example.com"):
        with pytest.raises(Invalid):
            normal_email(wrong)


def test_logging_in_ignores_case_and_blanks() -> None:
    assert login_keys("Kim@Example.COM ") == ("kim@example.com", None)
    assert login_keys("+82 10 1234 5678")[1] == "+821012345678"
