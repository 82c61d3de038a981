"""Instalments, balance and ledger as the API shows them.

Each is put together from several statements, so its route is a snapshot: they all see one moment, and the sums agree (BI-24).
"""

import datetime as dt
import uuid
from collections.abc import Mapping

from crm_billing.contract.bodies import BalanceView, EntryView, InstalmentView
from crm_billing.contract.plan import Instalment, status_of
from crm_billing.contract.record import CONTRACT
from crm_billing.contract.store import instalments_of
from crm_billing.ledger.rules import Standing, accounts, standings
from crm_billing.ledger.store import entries_of, rows_of
from crm_billing.payment.store import waiting_of
from crm_contracts.records import MoneyState
from crm_kernel.money import Money
from crm_records import Record, read_record
from crm_web import ReadUnit, WriteUnit


async def seen_contract(unit: ReadUnit | WriteUnit, contract_id: uuid.UUID) -> Record:
    """A contract that the caller sees. Raises NotFound."""
    return await read_record(unit.session, CONTRACT, unit.scope(CONTRACT.key, "read"), contract_id)


async def instalment_views(unit: ReadUnit | WriteUnit, found: Record) -> list[InstalmentView]:
    """The plan of a contract that was read, with what came in for each instalment and its status today."""
    standing = standings((await entries_of(unit.session, [found.id]))[found.id])
    return await _plan_views(unit, found, standing, await waiting_of(unit.session, [found.id]))


async def _plan_views(
    unit: ReadUnit | WriteUnit,
    found: Record,
    standing: Mapping[uuid.UUID, Standing],
    waiting: Mapping[uuid.UUID, int],
) -> list[InstalmentView]:
    plan = (await instalments_of(unit.session, [found.id]))[found.id]
    today = unit.calendar.today(unit.now)
    return [_instalment(found, one, standing.get(one.id, Standing()), waiting.get(one.id, 0), today) for one in plan]


async def balance_view(unit: ReadUnit, contract_id: uuid.UUID) -> BalanceView:
    """What a contract's ledger comes to. Raises NotFound."""
    found = await seen_contract(unit, contract_id)
    entries = (await entries_of(unit.session, [found.id]))[found.id]
    waiting = await waiting_of(unit.session, [found.id])
    standing = standings(entries)
    instalments = await _plan_views(unit, found, standing, waiting)
    value: Money | None = found["value"]
    if value is None:
        return BalanceView(contract=None, planned=None, received=None, open=None, pending=None, instalments=instalments)
    net = accounts(entries)
    planned = sum(one.planned for one in standing.values())
    amounts = {
        "contract": -net["contracted"],
        "planned": planned,
        "received": net["received"],
        "open": net["open"],
        "pending": sum(waiting.values()),
    }
    return BalanceView(
        **{name: _money(minor, value.currency) for name, minor in amounts.items()},
        instalments=instalments,
    )


async def entry_views(unit: ReadUnit, contract_id: uuid.UUID) -> list[EntryView]:
    """A contract's ledger. Raises NotFound."""
    found = await seen_contract(unit, contract_id)
    return [
        EntryView(
            id=row["id"],
            position=row["position"],
            at=row["at"],
            kind=row["kind"],
            debit_account=row["debit_account"],
            credit_account=row["credit_account"],
            instalment_id=row["instalment_id"],
            payment_id=row["payment_id"],
            amount=_money(row["amount_minor"], row["currency"]),
            actor_id=row["actor_id"],
        )
        for row in await rows_of(unit.session, found.id)
    ]


def _instalment(found: Record, one: Instalment, standing: Standing, waiting: int, today: dt.date) -> InstalmentView:
    currency = one.amount.currency
    return InstalmentView(
        id=one.id,
        number=one.number,
        amount=_money(one.amount.minor, currency),
        due_on=one.due_on,
        method=one.method,
        remind_days=one.remind_days,
        received=_money(standing.received, currency),
        open=_money(standing.open, currency),
        pending=_money(waiting, currency),
        status=status_of(found["status"], one.amount.minor, standing.received, one.due_on, today),
    )


def _money(minor: int, currency: str) -> MoneyState:
    return MoneyState(amount=Money(minor, currency).amount, currency=currency)
