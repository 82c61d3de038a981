"""Queries over payments that no standard list answers: what they are for, and what waits for approval."""

import uuid
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_billing.payment.rules import Allocation
from crm_billing.payment.tables import payment, payment_allocation
from crm_database import ReadSession, WriteSession, insert_rows, query
from crm_kernel.money import Money

_IDS = ARRAY(sa.Uuid())
_ALLOCATIONS = query(
    sa.select(payment_allocation)
    .where(payment_allocation.c.payment_id == sa.func.any(sa.bindparam("ids", type_=_IDS)))
    .order_by(payment_allocation.c.payment_id, payment_allocation.c.position)
)
_WAITING = query(
    sa.select(payment_allocation.c.instalment_id, sa.func.sum(payment_allocation.c.amount_minor).label("amount"))
    .select_from(payment_allocation.join(payment, payment.c.id == payment_allocation.c.payment_id))
    .where(
        payment.c.contract_id == sa.func.any(sa.bindparam("contract_ids", type_=_IDS)),
        payment.c.status == sa.literal_column("'pending'"),
    )
    .group_by(payment_allocation.c.instalment_id),
    unscoped="only sums per instalment, whoever recorded the payments; no record is shown",
)


async def allocations_of(session: ReadSession, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[Allocation, ...]]:
    """What each payment is for; of all that are asked for."""
    found: dict[uuid.UUID, list[Allocation]] = {payment_id: [] for payment_id in ids}
    for row in await session.fetch(_ALLOCATIONS, ids=list(found)) if found else ():
        amount = Money(row["amount_minor"], row["amount_currency"])
        one = Allocation(uuid.UUID(int=row["instalment_id"].int), amount)
        found[uuid.UUID(int=row["payment_id"].int)].append(one)
    return {payment_id: tuple(some) for payment_id, some in found.items()}


async def add_allocations(session: WriteSession, allocations: Mapping[uuid.UUID, Sequence[Allocation]]) -> None:
    """Write what new payments are for."""
    rows = [
        {
            "payment_id": payment_id,
            "position": position,
            "instalment_id": one.instalment_id,
            "amount_currency": one.amount.currency,
            "amount_minor": one.amount.minor,
        }
        for payment_id, some in allocations.items()
        for position, one in enumerate(some, 1)
    ]
    await insert_rows(session, payment_allocation, rows)


async def waiting_of(session: ReadSession, contract_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """What pending payments of contracts are for: instalment → minor units."""
    rows = await session.fetch(_WAITING, contract_ids=list(contract_ids)) if contract_ids else ()
    return {uuid.UUID(int=row["instalment_id"].int): int(row["amount"]) for row in rows}
