"""A made-up company whose services tell what happens in it: the events that analytics hears, and nothing else.

Every change makes an Envelope as the relay would send it: data by the contract's own model, a publication number per topic and
partition, the record's version. What a test expects is reckoned elsewhere, from `History.told` alone.
"""

import datetime as dt
import random
import uuid
import zlib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

import orjson

from crm_contracts import Envelope, registry
from crm_kernel import new_id

START = dt.datetime(2017, 1, 1, 9, tzinfo=dt.UTC)
STREAM = "0190"


@dataclass
class Record:
    """A record as its service knows it."""

    id: uuid.UUID
    topic: str
    state: dict[str, Any]
    version: int = 0
    members: list[dict[str, Any]] = field(default_factory=list)


class History:
    """Tells events. told: all of them, in the order in which they were recorded."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.now = START
        self.told: list[Envelope] = []
        self._numbers: dict[tuple[str, int], int] = {}
        #: user → department; department → parent. As identity knows them now.
        self.place: dict[uuid.UUID, uuid.UUID] = {}
        self.parent: dict[uuid.UUID, uuid.UUID | None] = {}

    def path(self, department: uuid.UUID | None) -> list[uuid.UUID]:
        """From the root to the department."""
        way: list[uuid.UUID] = []
        while department is not None:
            way.insert(0, department)
            department = self.parent[department]
        return way

    def credit(self, user: uuid.UUID | None) -> dict[str, Any] | None:
        if user is None:
            return None
        department = self.place.get(user)
        return {"user_id": user, "department_id": department, "department_path": self.path(department)}

    def tell(
        self,
        record: Record,
        fact: str,
        *,
        credit: uuid.UUID | Literal["owner"] | None = "owner",
        occurred_at: dt.datetime | None = None,
        changes: dict[str, Any] | None = None,
        **extra: Any,
    ) -> Envelope:
        """Announce a fact about a record. credit: to whom, None: to nobody."""
        record.version += 1
        record.state["updated_at"] = self.now
        owner = record.state.get("owner_id")
        has_owner = "owner_id" in record.state
        type_name = f"{record.topic}.{fact}.v1"
        event = registry.events[type_name](
            version=record.version,
            occurred_at=occurred_at or self.now,
            actor={"kind": "user", "id": owner},
            origin={"channel": "api"},
            changes=changes or {},
            state=record.state,
            access={"owner_id": owner, "members": record.members} if has_owner else None,
            credit=self.credit(owner if credit == "owner" else credit) if has_owner else None,
            **extra,
        )
        return self._send(record.topic, type_name, record.id, event.model_dump_json().encode())

    def _send(self, topic: str, type_name: str, subject: uuid.UUID, data: bytes) -> Envelope:
        partition = zlib.crc32(subject.bytes) % registry.topics[topic].partitions
        number = self._numbers[topic, partition] = self._numbers.get((topic, partition), 0) + 1
        envelope = Envelope(
            id=new_id(),
            type=type_name,
            source=f"/crm/{topic.split('.')[1]}",
            subject=subject,
            time=self.now,
            data=data,
            sequence=number,
            stream=STREAM,
            write_id=new_id(),
            topic=topic,
            partition=partition,
            offset=number,
        )
        self.told.append(envelope)
        self.now += dt.timedelta(seconds=self.random.randint(1, 14400))
        return envelope

    # Records

    def product(self, name: str) -> Record:
        state = {"code": name.upper(), "name": name, "category": "things", **self._dates()}
        record = Record(new_id(), "crm.sales.product", state)
        self.tell(record, "created")
        return record

    def pipeline(self, name: str, *stages: str) -> Record:
        listed = [
            {"id": new_id(), "name": stage, "probability": 10 * place, "position": place}
            for place, stage in enumerate(stages, 1)
        ]
        record = Record(new_id(), "crm.sales.pipeline", {"name": name, "stages": listed, "is_default": True})
        self.tell(record, "created")
        return record

    def customer(self, owner: uuid.UUID | None) -> Record:
        state = {"number": "C", "name": "고객", "lifecycle": "prospect", "owner_id": owner, **self._dates()}
        record = Record(new_id(), "crm.customers.customer", state)
        self.tell(record, "created")
        return record

    def contact(self, owner: uuid.UUID | None, customer: Record) -> Record:
        state = {"customer_id": customer.id, "name": "Анна", "owner_id": owner, **self._dates()}
        record = Record(new_id(), "crm.customers.contact", state)
        self.tell(record, "created")
        return record

    def opportunity(
        self,
        owner: uuid.UUID | None,
        pipeline: Record,
        *,
        value: tuple[str, str] | None = None,
        products: list[Record] | None = None,
        lines: list[tuple[Record, str]] | None = None,
        opened_on: dt.date | None = None,
        **fields: Any,
    ) -> Record:
        """lines: product and net amount of each, in the currency of the value."""
        currency = value[1] if value else "USD"
        state = {
            "number": "O",
            "name": "Deal",
            "pipeline_id": pipeline.id,
            "stage_id": pipeline.state["stages"][0]["id"],
            "stage_entered_at": self.now,
            "outcome": "open",
            "opened_on": opened_on or self.now.date(),
            "probability": 10,
            "value": None if value is None else {"amount": value[0], "currency": value[1]},
            "product_ids": [product.id for product in products or []],
            "lines": [_line(product, net, currency) for product, net in lines or []],
            "owner_id": owner,
            **self._dates(),
            **fields,
        }
        record = Record(new_id(), "crm.sales.opportunity", state)
        self.tell(record, "created")
        return record

    def contract(
        self,
        owner: uuid.UUID | None,
        customer: uuid.UUID,
        *,
        value: tuple[str, str] | None = None,
        lines: list[tuple[Record, str, str]] | None = None,
        **fields: Any,
    ) -> Record:
        """A draft. lines: product, net amount and total of each, in the currency of the value."""
        currency = value[1] if value else "USD"
        state = {
            "number": "K",
            "name": "Contract",
            "customer_id": customer,
            "status": "draft",
            "value": None if value is None else {"amount": value[0], "currency": value[1]},
            "lines": [_line(product, net, currency, total) for product, net, total in lines or []],
            "owner_id": owner,
            **self._dates(),
            **fields,
        }
        record = Record(new_id(), "crm.billing.contract", state)
        self.tell(record, "created")
        return record

    def approve_contract(self, contract: Record, on: dt.date | None = None) -> None:
        """on: the company's day of it."""
        contract.state |= {"status": "active", "last_decision": "approved"}
        self.tell(contract, "approved", approval_id=new_id(), approved_on=on or self.now.date())

    def terminate(self, contract: Record) -> None:
        contract.state |= {"status": "terminated", "end_reason": "moved away"}
        self.tell(contract, "terminated")

    def payment(self, recorder: uuid.UUID, contract: Record, amount: tuple[str, str], paid_on: dt.date) -> Record:
        """Recorded by somebody, and waiting."""
        state = {
            "number": "P",
            "contract_id": contract.id,
            "amount": {"amount": amount[0], "currency": amount[1]},
            "paid_on": paid_on,
            "status": "pending",
            "owner_id": recorder,
            **self._dates(),
        }
        record = Record(new_id(), "crm.billing.payment", state)
        self.tell(record, "created")
        return record

    def approve_payment(self, payment: Record, contract: Record) -> None:
        """As billing tells it: credited to whose contract it is now, with what its products' lines come to."""
        payment.state["status"] = "approved"
        totals: dict[uuid.UUID, Decimal] = {}
        for line in contract.state["lines"]:
            totals[line["product_id"]] = totals.get(line["product_id"], Decimal(0)) + Decimal(line["total"]["amount"])
        currency = payment.state["amount"]["currency"]
        self.tell(
            payment,
            "approved",
            credit=contract.state["owner_id"],
            approval_id=new_id(),
            paid_for={
                "customer_id": contract.state["customer_id"],
                "products": [
                    {"product_id": key, "total": {"amount": str(total), "currency": currency}}
                    for key, total in totals.items()
                ],
            },
        )

    def activity(self, owner: uuid.UUID | None, customer: Record, happened_at: dt.datetime) -> Record:
        state = {
            "number": "A",
            "kind": "call",
            "subject": "Asked",
            "happened_at": happened_at,
            "links": [{"type": "customers.customer", "id": customer.id}],
            "customer_id": customer.id,
            "owner_id": owner,
            **self._dates(),
        }
        record = Record(new_id(), "crm.sales.activity", state)
        self.tell(record, "created")
        return record

    def to_stage(self, deal: Record, pipeline: Record, place: int) -> None:
        """place: position of the stage, from 1."""
        stages = pipeline.state["stages"]
        old = next(stage for stage in stages if stage["id"] == deal.state["stage_id"])
        new = stages[place - 1]
        deal.state |= {"stage_id": new["id"], "stage_entered_at": self.now}
        self.tell(
            deal,
            "stage-changed",
            from_stage_id=old["id"],
            to_stage_id=new["id"],
            dwell_seconds=1,
            regression=new["position"] < old["position"],
        )

    def close(
        self, deal: Record, outcome: str, on: dt.date | None = None, value: tuple[str, str] | None = None
    ) -> None:
        deal.state |= {"outcome": outcome, "closed_on": on or self.now.date()}
        if value is not None:
            deal.state["value"] = {"amount": value[0], "currency": value[1]}
        self.tell(deal, outcome)

    def reopen(self, deal: Record) -> None:
        deal.state |= {"outcome": "open", "closed_on": None}
        self.tell(deal, "reopened")

    def transfer(self, record: Record, to: uuid.UUID | None) -> None:
        old = record.state["owner_id"]
        record.state["owner_id"] = to
        self.tell(record, "transferred", from_user_id=old, to_user_id=to)

    def share(self, record: Record, *members: tuple[uuid.UUID, str, dt.datetime | None]) -> None:
        record.members = [{"user_id": user, "right": right, "expires_at": until} for user, right, until in members]
        self.tell(record, "members-changed")

    def delete(self, record: Record) -> None:
        record.state["deleted"] = True
        self.tell(record, "deleted")

    def restore(self, record: Record) -> None:
        record.state["deleted"] = False
        self.tell(record, "restored")

    def _dates(self) -> dict[str, Any]:
        return {"created_at": self.now, "updated_at": self.now, "deleted": False}

    def interleaved(self, seed: int) -> list[Envelope]:
        """The events in another order: only the order of each (topic, partition) is kept, as the bus promises it."""
        shuffled = random.Random(seed)
        queues: dict[tuple[str, int], list[Envelope]] = {}
        for envelope in self.told:
            queues.setdefault((envelope.topic, envelope.partition), []).append(envelope)
        order = []
        while queues:
            key = shuffled.choice(sorted(queues))
            order.append(queues[key].pop(0))
            if not queues[key]:
                del queues[key]
        return order


def _line(product: Record, net: str, currency: str, total: str | None = None) -> dict[str, Any]:
    amount = {"amount": net, "currency": currency}
    return {
        "id": new_id(),
        "product_id": product.id,
        "quantity": "1",
        "list_price": amount,
        "unit_price": amount,
        "net": amount,
        "tax": {"amount": "0", "currency": currency},
        "total": {"amount": total or net, "currency": currency},
    }


def data_of(envelope: Envelope) -> dict[str, Any]:
    """The event's data, as a foreign consumer would read it."""
    value: dict[str, Any] = orjson.loads(envelope.data)
    return value


def at_partition(envelope: Envelope, partition: int) -> Envelope:
    return replace(envelope, partition=partition)
