"""What the replica takes of a batch of events."""

import random
import uuid
from dataclasses import replace

from services.sales.tests.conftest import customer_event

from crm_sales.customer.rules import newest


def test_the_newest_of_each_customer_counts_in_any_order() -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    events = [customer_event(id=one, version=n, name=f"v{n}") for n in range(1, 5)]
    events.append(customer_event(id=other, version=2, name="other"))
    for seed in range(10):
        random.Random(seed).shuffle(events)
        found = {known.id: (known.version, known.state.name) for known in newest(events)}
        assert found == {one: (4, "v4"), other: (2, "other")}


def test_types_that_nobody_knows_yet_are_left_alone() -> None:
    assert newest([replace(customer_event(), type="crm.customers.customer.praised.v1")]) == []
