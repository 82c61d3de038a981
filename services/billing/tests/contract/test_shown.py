"""Balance and instalments of one moment, whatever is written while they are read (BI-24)."""

from typing import Any

import pytest
from services.billing.tests.conftest import activate, part, plan

from crm_billing.contract import shown
from crm_testing.service import Caller


def cents(some: list[Any], name: str) -> int:
    return sum(int(one[name]["amount"].replace(".", "")) for one in some)


@pytest.mark.requirement("BI-24")
@pytest.mark.parametrize("what", ["balance", "instalments"])
async def test_a_plan_that_changes_between_two_statements_of_a_read_is_not_seen_half(
    rep: Caller, manager: Caller, customer: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    made = await activate(rep, manager, customer, part("400.00"), part("600.00"))
    read, between = shown.entries_of, 0

    async def replanned(*given: Any) -> Any:
        """The ledger's entries, and then somebody else's new plan before the read goes on."""
        nonlocal between
        found = await read(*given)
        between += 1
        assert (
            await plan(manager, made["id"], part("100.00"), part(f"{900 - between}.00"), part(f"{between}.00"))
        ).status == 200
        return found

    monkeypatch.setattr(shown, "entries_of", replanned)
    for count in (2, 3):
        seen = await rep.done("GET", f"/contracts/{made['id']}/{what}")
        items = seen["instalments"] if what == "balance" else seen["items"]
        assert (len(items), cents(items, "amount"), cents(items, "open")) == (count, 100_000, 100_000)
    assert between == 2
