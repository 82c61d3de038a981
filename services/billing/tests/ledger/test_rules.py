"""What entries say, and what they come to: with histories made by chance."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_billing.ledger.rules import ACCOUNTS, Entry, Standing, accounts, ended, replanned, standings
from crm_kernel import new_id

IDS = [uuid.UUID(int=number) for number in range(1, 5)]
PLANS = st.dictionaries(st.sampled_from(IDS), st.integers(1, 10_000))


def test_an_entry_is_of_more_than_nothing_and_a_payment_is_named_by_what_was_paid_only() -> None:
    for amount in (0, -1):
        with pytest.raises(ValueError, match="an entry of"):
            Entry("planned", IDS[0], amount)
    with pytest.raises(ValueError, match="a payment belongs"):
        Entry("paid", IDS[0], 1)
    for kind in ("planned", "unplanned", "terminated"):
        with pytest.raises(ValueError, match="a payment belongs"):
            Entry(kind, IDS[0], 1, new_id())  # type: ignore[arg-type]


def test_no_entry_goes_from_an_account_to_itself() -> None:
    assert all(debit != credit for debit, credit in ACCOUNTS.values())


@pytest.mark.requirement("BI-24")
@given(st.lists(PLANS, min_size=1, max_size=6))
def test_whatever_the_plans_were_the_entries_come_to_the_last(plans: list[dict[uuid.UUID, int]]) -> None:
    entries: list[Entry] = []
    before: dict[uuid.UUID, int] = {}
    for plan in plans:
        entries += replanned(before, plan)
        before = plan
    standing = standings(entries)
    assert {key: one.planned for key, one in standing.items() if one.planned} == plans[-1]
    net = accounts(entries)
    assert net == {"contracted": -sum(plans[-1].values()), "open": sum(plans[-1].values()), "received": 0}


@pytest.mark.requirement("BI-24")
@given(PLANS, st.data())
def test_contract_planned_received_and_open_agree_also_after_the_end(
    plan: dict[uuid.UUID, int], data: st.DataObject
) -> None:
    entries = replanned({}, plan)
    for key, amount in plan.items():
        paid = data.draw(st.integers(0, amount))
        entries += [Entry("paid", key, paid, new_id())] if paid else []
    for after in (entries, entries + ended(standings(entries))):
        net, standing = accounts(after), standings(after).values()
        contract, planned = -net["contracted"], sum(one.planned for one in standing)
        assert contract == planned == net["received"] + net["open"]
        assert net["received"] == sum(one.received for one in standing)
        assert all(one.open >= 0 for one in standing)
    assert net["open"] == 0


def test_nothing_is_taken_back_of_what_is_paid() -> None:
    assert ended({IDS[0]: Standing(100, 100), IDS[1]: Standing(100, 40), IDS[2]: Standing()}) == [
        Entry("terminated", IDS[1], 60)
    ]
