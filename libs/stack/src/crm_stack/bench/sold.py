"""Made-up events of sales: customers, their opportunities through a stage to the win, and an activity; as a consumer reads them."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from crm_contracts import Envelope

CUSTOMER, OPPORTUNITY, ACTIVITY = "crm.customers.customer", "crm.sales.opportunity", "crm.sales.activity"
EVENTS_PER_CASE = 5
OWNERS = 200


@dataclass
class Told:
    """What was told so far. value_minor: of all opportunities together."""

    events: int = 0
    value_minor: int = 0
    numbers: dict[str, int] = field(default_factory=dict)


def told(cases: int, batch: int, made: Told) -> Iterator[tuple[str, list[Envelope]]]:
    """Topic and events, in batches: a batch of customers, then their opportunities' creations, moves and wins, then the activities.

    So each record's events lie some batches apart, as in a log that many people write into.
    """
    from crm_kernel import new_id

    owners = [str(new_id()) for _ in range(OWNERS)]
    # The examples of the contracts are what these events are like.
    for start in range(0, cases, batch):
        numbers = range(start, min(start + batch, cases))
        customers, deals, activities = ([new_id() for _ in numbers] for _ in range(3))

        def of(n: int, start: int = start) -> dict[str, Any]:
            return {"owner_id": owners[(start + n) % OWNERS]}

        def deal(n: int, customers: list[Any] = customers, start: int = start) -> dict[str, Any]:
            amount = f"{(start + n) % 1000 + 1}.00"
            return {**of(n, start), "customer_id": str(customers[n]), "value": {"amount": amount, "currency": "USD"}}

        def about(n: int, customers: list[Any] = customers, start: int = start) -> dict[str, Any]:
            return {**of(n, start), "customer_id": str(customers[n])}

        made.value_minor += sum((n % 1000 + 1) * 100 for n in numbers)
        yield CUSTOMER, _batch(f"{CUSTOMER}.created.v1", customers, of, made)
        for fact in ("created", "stage-changed", "won"):
            yield OPPORTUNITY, _batch(f"{OPPORTUNITY}.{fact}.v1", deals, deal, made)
        yield ACTIVITY, _batch(f"{ACTIVITY}.created.v1", activities, about, made)


def _batch(type_name: str, subjects: list[Any], state: Callable[[int], dict[str, Any]], made: Told) -> list[Envelope]:
    from crm_contracts import Envelope, registry
    from crm_kernel import new_id

    topic = registry.events[type_name].topic
    example: dict[str, Any] = orjson.loads(orjson.dumps(registry.examples[type_name]))
    now = dt.datetime.now(dt.UTC)
    found = []
    for n, subject in enumerate(subjects):
        data = copy.copy(example)
        data["state"] = {**example["state"], **state(n)}
        owner = data["state"]["owner_id"]
        data["access"] = {"owner_id": owner, "members": []}
        data["credit"] = {**example["credit"], "user_id": owner}
        number = made.numbers[topic] = made.numbers.get(topic, 0) + 1
        found.append(
            Envelope(
                id=new_id(),
                type=type_name,
                source=f"/crm/{topic.split('.')[1]}",
                subject=subject,
                time=now,
                data=orjson.dumps(data),
                sequence=number,
                stream="bench",
                write_id=new_id(),
                topic=topic,
                partition=0,
                offset=number,
            )
        )
    made.events += len(found)
    return found
