"""The types of records that timelines are made of: where they stand here, what they are called, whose they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from crm_contracts.customers import CONTACT_TOPIC, CUSTOMER_TOPIC
from crm_customers.contact.tables import contact
from crm_customers.customer.tables import customer
from crm_customers.timeline.tables import ACTIVITIES, CONTRACTS, OPPORTUNITIES, PAYMENTS, TICKETS
from crm_records.replica import Replica


@dataclass(frozen=True, eq=False)
class Source:
    """One type of record.

    key: in permissions and scopes. topic: of its events. table: with present owner and deletion. alive: not deleted. name: how people
    call it; None when it has its number only. replica: what is to be fed; None for this service's own records. whose: `id`,
    `customer_id` of its records, the customer empty where none is known.
    """

    key: str
    topic: str
    table: sa.Table
    alive: sa.ColumnElement[bool]
    name: sa.Column[Any] | None
    whose: sa.Subquery
    replica: Replica | None = None

    @property
    def permission(self) -> str:
        """What it needs to see any."""
        return f"{self.key}:read"


def _own(key: str, topic: str, table: sa.Table, customer_id: sa.Column[Any]) -> Source:
    whose = sa.select(table.c.id, customer_id.label("customer_id")).subquery("whose")
    return Source(key, topic, table, table.c.deleted_at.is_(None), table.c.name, whose)


def _replicated(replica: Replica, name: str | None, whose: sa.Select[Any] | None = None) -> Source:
    table = replica.table
    found = sa.select(table.c.id, table.c.customer_id) if whose is None else whose
    return Source(
        key=replica.record,
        topic=replica.topic.name,
        table=table,
        alive=table.c.deleted.is_(sa.false()),
        name=None if name is None else table.c[name],
        whose=found.subquery("whose"),
        replica=replica,
    )


_paid, _owed = PAYMENTS.table, CONTRACTS.table
_through_contract = sa.select(_paid.c.id, _owed.c.customer_id, _paid.c.contract_id).join_from(
    _paid, _owed, _owed.c.id == _paid.c.contract_id, isouter=True
)

CONTRACT: Final = _replicated(CONTRACTS, "name")
PAYMENT: Final = _replicated(PAYMENTS, None, _through_contract)
_ALL = (
    _own("customers.customer", CUSTOMER_TOPIC.name, customer, customer.c.id),
    _own("customers.contact", CONTACT_TOPIC.name, contact, contact.c.customer_id),
    _replicated(OPPORTUNITIES, "name"),
    _replicated(ACTIVITIES, "subject"),
    CONTRACT,
    PAYMENT,
    _replicated(TICKETS, "subject"),
)
#: By their keys.
SOURCES: Final[Mapping[str, Source]] = {source.key: source for source in _ALL}
BY_TOPIC: Final[Mapping[str, Source]] = {source.topic: source for source in _ALL}
