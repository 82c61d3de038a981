"""What an approved payment counts for: told with its approval, so that figures need nothing else to divide it (AN-6)."""

import uuid
from collections.abc import Sequence

from crm_billing.contract.tables import contract_line
from crm_contracts.billing import PaidForState, PaidProductState
from crm_contracts.records import MoneyState
from crm_database import ReadSession
from crm_kernel.money import Money
from crm_records import Record
from crm_records.lines import Line, lines_of


async def paid_for(session: ReadSession, contract: Record) -> PaidForState:
    """Of the locked contract as it is now."""
    lines = (await lines_of(session, contract_line, [contract.id]))[contract.id]
    return PaidForState(customer_id=contract["customer_id"], products=product_totals(lines))


def product_totals(lines: Sequence[Line]) -> list[PaidProductState]:
    """What the lines come to by product, in the order in which the products first stand there."""
    totals: dict[uuid.UUID, Money] = {}
    for line in lines:
        known = totals.get(line.product_id)
        totals[line.product_id] = line.total if known is None else known + line.total
    return [
        PaidProductState(product_id=key, total=MoneyState(amount=total.amount, currency=total.currency))
        for key, total in totals.items()
    ]
