"""Who may claim when, against the rules told once more."""

import datetime as dt
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_customers.pool.rules import (
    AlreadyClaimed,
    AlreadyInPool,
    ClaimCapReached,
    CoolingDown,
    CustomerLocked,
    OnHold,
    Pool,
    Pooled,
    check_assign,
    check_claim,
    check_release,
)
from crm_kernel.errors import Conflict

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
NEXT_DAY = dt.datetime(2026, 11, 23, 15, 0, tzinfo=dt.UTC)
USERS = [uuid.UUID(int=number) for number in range(3)]
POOLS = [uuid.UUID(int=100 + number) for number in range(2)]
DEPARTMENTS = [uuid.UUID(int=200 + number) for number in range(4)]

minutes = st.integers(0, 100).map(lambda number: dt.timedelta(minutes=number))
pools = st.builds(
    Pool,
    id=st.just(POOLS[0]),
    administrator_ids=st.frozensets(st.sampled_from(USERS)),
    member_user_ids=st.frozensets(st.sampled_from(USERS)),
    member_department_ids=st.frozensets(st.sampled_from(DEPARTMENTS)),
    open_to_all=st.booleans(),
    daily_claim_cap=st.none() | st.integers(1, 3),
    cooldown=minutes,
    hold=minutes,
)
pooled = st.builds(
    Pooled,
    pool_id=st.none() | st.sampled_from(POOLS),
    pooled_at=minutes.map(lambda before: NOW - before),
    previous_owner_id=st.none() | st.sampled_from(USERS),
    locked=st.booleans(),
)


def refusal(pool: Pool, customer: Pooled, claimed: int, now: dt.datetime = NOW) -> Conflict | None:
    try:
        check_claim(pool, customer, user_id=USERS[0], claimed_today=claimed, next_day=NEXT_DAY, now=now)
    except Conflict as found:
        return found
    return None


@given(pool=pools, customer=pooled, claimed=st.integers(0, 4))
@pytest.mark.requirement("CU-43")
def test_a_claim_is_refused_by_the_first_limit_that_it_breaks(pool: Pool, customer: Pooled, claimed: int) -> None:
    assert customer.pooled_at is not None
    waited = NOW - customer.pooled_at
    mine = customer.previous_owner_id == USERS[0]
    expected: type[Conflict] | None = None
    if customer.pool_id != POOLS[0]:
        expected = AlreadyClaimed
    elif waited < pool.hold:
        expected = OnHold
    elif mine and waited < pool.cooldown:
        expected = CoolingDown
    elif pool.daily_claim_cap is not None and not claimed < pool.daily_claim_cap:
        expected = ClaimCapReached
    found = refusal(pool, customer, claimed)
    assert (None if found is None else type(found)) is expected


@given(pool=pools, customer=pooled, claimed=st.integers(0, 4))
@pytest.mark.requirement("CU-43")
def test_what_a_refusal_says_is_the_instant_from_which_its_limit_does_not_refuse(
    pool: Pool, customer: Pooled, claimed: int
) -> None:
    found = refusal(pool, customer, claimed)
    if found is None or isinstance(found, AlreadyClaimed):
        return
    said = dt.datetime.fromisoformat(found.extra["available_from"])
    assert said > NOW
    later = refusal(pool, customer, 0 if said >= NEXT_DAY else claimed, said)
    assert type(later) is not type(found)
    if not isinstance(found, ClaimCapReached):
        just_before = refusal(pool, customer, claimed, said - dt.timedelta(microseconds=1))
        assert type(just_before) is type(found)


@given(pool=pools, user=st.sampled_from(USERS), path=st.lists(st.sampled_from(DEPARTMENTS), max_size=3, unique=True))
@pytest.mark.requirement("CU-40")
def test_members_are_named_or_of_a_named_department_or_below_or_all(
    pool: Pool, user: uuid.UUID, path: list[uuid.UUID]
) -> None:
    named = user in [*pool.member_user_ids, *pool.administrator_ids]
    within = any(department in pool.member_department_ids for department in path)
    assert pool.has_member(user, tuple(path)) == (pool.open_to_all or named or within)


@given(pool=pools, customer=pooled)
@pytest.mark.requirement("CU-13", "CU-43")
def test_only_what_is_owned_and_unlocked_is_released_and_only_what_is_in_the_pool_assigned(
    pool: Pool, customer: Pooled
) -> None:
    if customer.pool_id is not None:
        with pytest.raises(AlreadyInPool):
            check_release(customer)
    elif customer.locked:
        with pytest.raises(CustomerLocked):
            check_release(customer)
    else:
        check_release(customer)
    if customer.pool_id == pool.id:
        check_assign(pool, customer)
    else:
        with pytest.raises(AlreadyClaimed):
            check_assign(pool, customer)
