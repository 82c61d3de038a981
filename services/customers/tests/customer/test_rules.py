"""Whether a customer would belong to itself, against a slow search."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_customers.customer.rules import ParentCycle, check_no_cycle

_SIZE = 8
_CUSTOMERS = [uuid.UUID(int=number) for number in range(_SIZE)]


def _on_the_way_up(start: int, parents: list[int | None]) -> set[int]:
    """Everybody above, and the start: by as many steps as there are customers."""
    found = {start}
    for _ in parents:
        found |= {above for one in found if (above := parents[one]) is not None}
    return found


@given(
    parents=st.lists(st.none() | st.integers(0, _SIZE - 1), min_size=_SIZE, max_size=_SIZE),
    child=st.integers(0, _SIZE - 1),
    parent=st.integers(0, _SIZE - 1),
)
@pytest.mark.requirement("CU-20")
def test_a_move_is_refused_exactly_when_the_new_parent_is_below(
    parents: list[int | None], child: int, parent: int
) -> None:
    """Whatever the tree is, also one with circles that should not be there."""
    known = {_CUSTOMERS[number]: None if above is None else _CUSTOMERS[above] for number, above in enumerate(parents)}
    if child in _on_the_way_up(parent, parents):
        with pytest.raises(ParentCycle):
            check_no_cycle(_CUSTOMERS[child], _CUSTOMERS[parent], known)
    else:
        check_no_cycle(_CUSTOMERS[child], _CUSTOMERS[parent], known)
