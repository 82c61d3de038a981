"""Entries of the ledger, written and read."""

import uuid
from collections.abc import Sequence

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_billing.ledger.rules import Entry
from crm_billing.ledger.tables import ledger_entry
from crm_database import ReadSession, WriteSession, insert_rows, query
from crm_kernel import new_id

_CONTRACT = sa.bindparam("contract_id", type_=sa.Uuid())
_OF_CONTRACTS = query(
    sa.select(ledger_entry)
    .where(ledger_entry.c.contract_id == sa.func.any(sa.bindparam("contract_ids", type_=ARRAY(sa.Uuid()))))
    .order_by(ledger_entry.c.contract_id, ledger_entry.c.position)
)
_LAST = query(
    sa.select(sa.func.coalesce(sa.func.max(ledger_entry.c.position), 0)).where(ledger_entry.c.contract_id == _CONTRACT)
)


async def add_entries(session: WriteSession, contract_id: uuid.UUID, currency: str, entries: Sequence[Entry]) -> None:
    """Write entries; the transaction holds the contract's row lock, so that positions follow one another."""
    if not entries:
        return
    last: int = await session.value(_LAST, contract_id=contract_id)
    context = session.context
    rows = [
        {
            "id": new_id(),
            "contract_id": contract_id,
            "position": position,
            "at": context.now,
            "kind": entry.kind,
            "debit_account": entry.debit,
            "credit_account": entry.credit,
            "instalment_id": entry.instalment_id,
            "payment_id": entry.payment_id,
            "amount_minor": entry.amount,
            "currency": currency,
            "actor_id": context.actor_id,
            "write_id": context.write_id,
        }
        for position, entry in enumerate(entries, last + 1)
    ]
    await insert_rows(session, ledger_entry, rows)


async def rows_of(session: ReadSession, contract_id: uuid.UUID) -> list[asyncpg.Record]:
    """A contract's entries in their order. The caller has been shown to see the contract."""
    return await session.fetch(_OF_CONTRACTS, contract_ids=[contract_id])


async def entries_of(session: ReadSession, contract_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Entry]]:
    """The entries of each contract in their order, as the rules take them; of all that are asked for, also those without."""
    found: dict[uuid.UUID, list[Entry]] = {contract_id: [] for contract_id in contract_ids}
    for row in await session.fetch(_OF_CONTRACTS, contract_ids=list(found)) if found else ():
        entry = Entry(
            kind=row["kind"],
            instalment_id=uuid.UUID(int=row["instalment_id"].int),
            amount=row["amount_minor"],
            payment_id=None if row["payment_id"] is None else uuid.UUID(int=row["payment_id"].int),
        )
        found[uuid.UUID(int=row["contract_id"].int)].append(entry)
    return found
