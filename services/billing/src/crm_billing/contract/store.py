"""Queries over contracts that no standard list answers: their instalments, and who has a contract already."""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_billing.contract.plan import Instalment
from crm_billing.contract.tables import contract, contract_instalment
from crm_database import ReadSession, WriteSession, insert_rows, lock_key, query
from crm_kernel.money import Money

_IDS = ARRAY(sa.Uuid())
_INSTALMENTS = query(
    sa.select(contract_instalment)
    .where(contract_instalment.c.contract_id == sa.func.any(sa.bindparam("ids", type_=_IDS)))
    .order_by(contract_instalment.c.contract_id, contract_instalment.c.number)
)
_FORGET = query(
    sa.delete(contract_instalment).where(contract_instalment.c.contract_id == sa.bindparam("id", type_=sa.Uuid()))
)
_DRAFTED = query(
    sa.select(contract.c.opportunity_id).where(
        contract.c.opportunity_id == sa.func.any(sa.bindparam("ids", type_=_IDS)),
        contract.c.status != sa.literal_column("'void'"),
        contract.c.deleted_at.is_(None),
    ),
    unscoped="only says whether an opportunity has a contract, whoever's it is; no record is shown",
)
_LOCK_DRAFTING = query(
    sa.select(sa.func.pg_advisory_xact_lock(sa.literal(lock_key("billing.contract_drafting"), sa.BigInteger)))
)


async def instalments_of(session: ReadSession, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[Instalment, ...]]:
    """The instalments of each contract, in order; of all that are asked for, also those without."""
    found: dict[uuid.UUID, list[Instalment]] = {contract_id: [] for contract_id in ids}
    for row in await session.fetch(_INSTALMENTS, ids=list(found)) if found else ():
        found[uuid.UUID(int=row["contract_id"].int)].append(
            Instalment(
                id=uuid.UUID(int=row["id"].int),
                number=row["number"],
                amount=Money(row["amount_minor"], row["amount_currency"]),
                due_on=row["due_on"],
                method=row["method"],
                remind_days=row["remind_days"],
            )
        )
    return {contract_id: tuple(plan) for contract_id, plan in found.items()}


async def replace_instalments(session: WriteSession, contract_id: uuid.UUID, plan: Sequence[Instalment]) -> None:
    """A contract has these instalments from now on; the transaction holds its row."""
    await session.execute(_FORGET, id=contract_id)
    rows = [
        {
            "id": one.id,
            "contract_id": contract_id,
            "number": one.number,
            "amount_currency": one.amount.currency,
            "amount_minor": one.amount.minor,
            "due_on": one.due_on.isoformat(),
            "method": one.method,
            "remind_days": one.remind_days,
        }
        for one in plan
    ]
    await insert_rows(session, contract_instalment, rows)


async def lock_drafting(session: WriteSession) -> None:
    """Let one transaction at a time give opportunities their contracts: what it then sees of them stays true until it commits."""
    await session.value(_LOCK_DRAFTING)


async def drafted(session: ReadSession, opportunity_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the opportunities that have a contract which is neither void nor deleted."""
    if not opportunity_ids:
        return set()
    rows = await session.fetch(_DRAFTED, ids=list(opportunity_ids))
    return {uuid.UUID(int=row["opportunity_id"].int) for row in rows}
