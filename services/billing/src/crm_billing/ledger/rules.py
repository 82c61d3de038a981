"""What entries say, and what they come to (BI-24). Pure.

An entry is a debit of one account and a credit of another by the same amount, so the books balance by construction. Accounts of a
contract: `contracted` (what was agreed), `open` (what is still asked for, per instalment), `received` (what came in).
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Account = Literal["contracted", "open", "received"]
Kind = Literal["planned", "unplanned", "terminated", "paid"]

#: kind → (debit account, credit account). `unplanned` and `terminated` take back what `planned` said.
ACCOUNTS: Final[Mapping[Kind, tuple[Account, Account]]] = {
    "planned": ("open", "contracted"),
    "unplanned": ("contracted", "open"),
    "terminated": ("contracted", "open"),
    "paid": ("received", "open"),
}


@dataclass(frozen=True)
class Entry:
    """One double entry about one instalment. amount: minor units of the contract's currency, more than zero.

    Raises ValueError for an amount that is not more than zero: its direction is said by the kind, never by a sign.
    """

    kind: Kind
    instalment_id: uuid.UUID
    amount: int
    payment_id: uuid.UUID | None = None

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError(f"an entry of {self.amount}")
        if (self.payment_id is not None) != (self.kind == "paid"):
            raise ValueError(f"{self.kind}: a payment belongs to what was paid, and to nothing else")

    @property
    def debit(self) -> Account:
        """The account that it adds to."""
        return ACCOUNTS[self.kind][0]

    @property
    def credit(self) -> Account:
        """The account that it takes from."""
        return ACCOUNTS[self.kind][1]


@dataclass(frozen=True)
class Standing:
    """What the entries about one instalment come to. Minor units."""

    planned: int = 0
    received: int = 0

    @property
    def open(self) -> int:
        """What is still asked for."""
        return self.planned - self.received


def standings(entries: Iterable[Entry]) -> dict[uuid.UUID, Standing]:
    """Per instalment what its entries come to; instalments that left the plan are there with zeros."""
    found: dict[uuid.UUID, Standing] = {}
    for entry in entries:
        before = found.get(entry.instalment_id, Standing())
        sign = {"planned": 1, "unplanned": -1, "terminated": -1, "paid": 0}[entry.kind]
        paid = entry.amount if entry.kind == "paid" else 0
        found[entry.instalment_id] = Standing(before.planned + sign * entry.amount, before.received + paid)
    return found


def replanned(before: Mapping[uuid.UUID, int], after: Mapping[uuid.UUID, int]) -> list[Entry]:
    """The entries that turn one plan into another; instalment → amount. First what is taken back, then what is new."""
    taken = [
        Entry("unplanned", key, amount - after.get(key, 0))
        for key, amount in before.items()
        if amount > after.get(key, 0)
    ]
    added = [
        Entry("planned", key, amount - before.get(key, 0))
        for key, amount in after.items()
        if amount > before.get(key, 0)
    ]
    return taken + added


def ended(standing: Mapping[uuid.UUID, Standing]) -> list[Entry]:
    """The entries that take back what is open when a contract is terminated."""
    return [Entry("terminated", key, one.open) for key, one in standing.items() if one.open > 0]


def accounts(entries: Iterable[Entry]) -> dict[Account, int]:
    """What each account comes to: debits less credits, in minor units. Together they are always nothing."""
    found: dict[Account, int] = {"contracted": 0, "open": 0, "received": 0}
    for entry in entries:
        found[entry.debit] += entry.amount
        found[entry.credit] -= entry.amount
    return found
