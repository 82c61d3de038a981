"""A random company and what happens in it, from a seed: people move, departments move, deals come, go, return and change hands."""

import datetime as dt
import random
import uuid
from decimal import Decimal

from crm_kernel import new_id

from .history import History, Record

STAGES = ("Prospecting", "Engaging", "Closing")
CURRENCIES = ("USD", "USD", "USD", "KRW")


class Company:
    """The organisation as it is now, and the history of its deals."""

    def __init__(self, seed: int) -> None:
        self.history = History(seed)
        self.random = random.Random(seed)
        self.root = new_id()
        self.offices = [new_id() for _ in range(3)]
        self.teams = [new_id() for _ in range(5)]
        self.users = [new_id() for _ in range(8)]
        self.superior: dict[uuid.UUID, uuid.UUID | None] = {}
        history = self.history
        history.parent = {self.root: None, **dict.fromkeys(self.offices, self.root)}
        history.parent |= {team: self.random.choice(self.offices) for team in self.teams}
        for place, user in enumerate(self.users):
            # The first two stand in an office and at the root: not everybody is in a team.
            history.place[user] = [self.root, self.offices[0]][place] if place < 2 else self.random.choice(self.teams)
            self.superior[user] = self.random.choice(self.users[:place]) if place else None
        self.products = [history.product(name) for name in ("alpha", "beta", "gamma")]
        self.pipeline = history.pipeline("Sales", *STAGES)
        self.deals: list[Record] = []
        self.customers: list[Record] = []
        self.contacts: list[Record] = []
        self.contracts: list[Record] = []
        #: Each with its contract.
        self.payments: list[tuple[Record, Record]] = []
        self.activities: list[Record] = []

    def live(self, steps: int) -> "Company":
        """Let a number of things happen."""
        for _ in range(steps):
            self.random.choice(self._acts)(self)
        return self

    def _open(self) -> None:
        r = self.random
        currency = r.choice(CURRENCIES)
        digits = 0 if currency == "KRW" else 2
        owner = r.choice([*self.users, None])
        day = self.history.now.date() - dt.timedelta(days=r.choice((0, 0, 30, 400)))
        kind = r.randrange(4)
        if kind == 0:  # Lines, some of one product, some free.
            lines = [(r.choice(self.products), f"{r.choice((0, r.randint(1, 900))):.{digits}f}") for _ in range(3)]
            value = (f"{sum(float(net) for _, net in lines):.{digits}f}", currency)
            deal = self.history.opportunity(owner, self.pipeline, value=value, lines=lines, opened_on=day)
        elif kind == 1:  # Products of interest, to be divided equally.
            value = (f"{r.randint(1, 1000)}", currency)
            chosen = r.sample(self.products, r.randint(1, 3))
            deal = self.history.opportunity(owner, self.pipeline, value=value, products=chosen, opened_on=day)
        elif kind == 2:  # A value, and nothing said of products.
            value = (f"{r.randint(1, 1000)}", currency)
            deal = self.history.opportunity(owner, self.pipeline, value=value, source="web", opened_on=day)
        else:  # No value yet.
            deal = self.history.opportunity(owner, self.pipeline, products=[r.choice(self.products)], opened_on=day)
        self.deals.append(deal)

    def _deal(self, *outcomes: str) -> Record | None:
        found = [d for d in self.deals if d.state["outcome"] in outcomes and not d.state["deleted"]]
        return self.random.choice(found) if found else None

    def _close(self) -> None:
        deal = self._deal("open")
        if deal is not None:
            won = self.random.random() < 0.6
            currency = (deal.state["value"] or {}).get("currency", "USD")
            value = (str(self.random.randint(0, 2000)), currency) if won and self.random.random() < 0.7 else None
            day = self.history.now.date() + dt.timedelta(days=self.random.choice((0, 0, 20)))
            self.history.close(deal, "won" if won else "lost", on=day, value=value)

    def _hold(self) -> None:
        deal = self._deal("open")
        if deal is not None:
            deal.state["outcome"] = "on_hold"
            self.history.tell(deal, "held")

    def _reopen(self) -> None:
        deal = self._deal("won", "lost", "on_hold")
        if deal is not None:
            self.history.reopen(deal)

    def _advance(self) -> None:
        deal = self._deal("open")
        if deal is not None:
            here = next(s["position"] for s in self.pipeline.state["stages"] if s["id"] == deal.state["stage_id"])
            self.history.to_stage(deal, self.pipeline, self.random.choice([p for p in (1, 2, 3) if p != here]))

    def _change(self) -> None:
        deal = self._deal("open", "won", "lost", "on_hold")
        if deal is not None:
            deal.state["name"] = f"Deal {self.random.random()}"
            if deal.state["value"] is not None:
                deal.state["value"]["amount"] = str(self.random.randint(0, 500))
            self.history.tell(deal, "changed")

    def _transfer(self) -> None:
        deal = self._deal("open", "won", "lost", "on_hold")
        if deal is not None:
            self.history.transfer(deal, self.random.choice([*self.users, None]))

    def _share(self) -> None:
        deal = self._deal("open", "won", "lost", "on_hold")
        if deal is not None:
            until = self.random.choice((None, self.history.now + dt.timedelta(days=4000), self.history.now))
            chosen = self.random.sample(self.users, self.random.randint(0, 2))
            self.history.share(deal, *((user, self.random.choice(("read", "write")), until) for user in chosen))

    def _delete(self) -> None:
        deal = self._deal("open", "won", "lost", "on_hold")
        if deal is not None:
            self.history.delete(deal)

    def _restore(self) -> None:
        gone = [deal for deal in self.deals if deal.state["deleted"]]
        if gone:
            self.history.restore(self.random.choice(gone))

    def _move_user(self) -> None:
        self.history.place[self.random.choice(self.users)] = self.random.choice([*self.teams, *self.offices])

    def _move_team(self) -> None:
        self.history.parent[self.random.choice(self.teams)] = self.random.choice([*self.offices, self.root])

    def _customer(self) -> None:
        customer = self.history.customer(self.random.choice([*self.users, None]))
        self.customers.append(customer)
        if self.random.random() < 0.5:
            self.contacts.append(self.history.contact(self.random.choice(self.users), customer))

    def _deal_with_customer(self) -> None:
        prospects = [c for c in self.customers if c.state["lifecycle"] == "prospect" and not c.state["deleted"]]
        if prospects:
            customer = self.random.choice(prospects)
            customer.state |= {"lifecycle": "customer", "dealt_at": self.history.now}
            self.history.tell(customer, "dealt")

    def _lose_customer(self) -> None:
        kept = [c for c in [*self.customers, *self.contacts] if not c.state["deleted"]]
        if kept:
            self.history.delete(self.random.choice(kept))

    def _rename_product(self) -> None:
        product = self.random.choice(self.products)
        product.state["name"] = f"{product.state['code']} {self.random.randint(2, 9)}"
        self.history.tell(product, "changed")

    def _change_pipeline(self) -> None:
        stages = self.pipeline.state["stages"]
        if len(stages) == len(STAGES):
            stages.append({"id": new_id(), "name": "Extra", "probability": 90, "position": 4})
        else:
            stages.pop()
        self.history.tell(self.pipeline, "changed")

    def _contract(self) -> None:
        r = self.random
        currency = r.choice(CURRENCIES)
        digits = 0 if currency == "KRW" else 2
        owner = r.choice([*self.users, None])
        # Not everything is about a customer that was heard of.
        customer = r.choice([*(c.id for c in self.customers), new_id()])
        signed_on = self.history.now.date() - dt.timedelta(days=r.randint(0, 40)) if r.random() < 0.5 else None
        lines = []
        if r.random() < 0.8:  # Some taxed, some of one product, some free.
            for _ in range(3):
                net = Decimal(r.choice((0, r.randint(1, 900))))
                total = (net * r.choice((Decimal(1), Decimal("1.2")))).quantize(Decimal(1).scaleb(-digits))
                lines.append((r.choice(self.products), f"{net:.{digits}f}", f"{total:.{digits}f}"))
        value = f"{sum(Decimal(total) for _, _, total in lines):.{digits}f}" if lines else f"{r.randint(1, 1000)}"
        if r.random() < 0.2:  # What the opportunity was won at.
            value = f"{r.randint(1, 1000)}"
        made = self.history.contract(owner, customer, value=(value, currency), lines=lines, signed_on=signed_on)
        self.contracts.append(made)

    def _contracts(self, *states: str) -> list[Record]:
        return [c for c in self.contracts if c.state["status"] in states and not c.state["deleted"]]

    def _approve_contract(self) -> None:
        drafts = self._contracts("draft")
        if drafts:
            self.history.approve_contract(self.random.choice(drafts))

    def _end_contract(self) -> None:
        found = self._contracts("active", "draft")
        if found:
            chosen = self.random.choice(found)
            if chosen.state["status"] == "active":
                self.history.terminate(chosen)
            elif self.random.random() < 0.5:
                chosen.state["status"] = "void"
                self.history.tell(chosen, "changed")
            else:
                self.history.delete(chosen)

    def _pay(self) -> None:
        active = self._contracts("active")
        if active:
            contract = self.random.choice(active)
            amount = (str(self.random.randint(1, 300)), contract.state["value"]["currency"])
            day = self.history.now.date() - dt.timedelta(days=self.random.randint(0, 30))
            recorder = self.random.choice(self.users)
            self.payments.append((self.history.payment(recorder, contract, amount, day), contract))

    def _approve_payment(self) -> None:
        waiting = [pair for pair in self.payments if pair[0].state["status"] == "pending"]
        if waiting:
            payment, contract = self.random.choice(waiting)
            if self.random.random() < 0.8:
                self.history.approve_payment(payment, contract)
            else:
                payment.state["status"] = "rejected"
                self.history.tell(payment, "changed")

    def _hand_over_money(self) -> None:
        found = [*self.contracts, *(payment for payment, _ in self.payments)]
        if found:
            chosen = self.random.choice(found)
            if self.random.random() < 0.7:
                self.history.transfer(chosen, self.random.choice(self.users))
            else:
                self.history.share(chosen, (self.random.choice(self.users), "read", None))

    def _act(self) -> None:
        if self.customers:
            at = self.history.now - dt.timedelta(hours=self.random.randint(0, 400))
            self.activities.append(
                self.history.activity(self.random.choice(self.users), self.random.choice(self.customers), at)
            )

    def _correct_activity(self) -> None:
        kept = [one for one in self.activities if not one.state["deleted"]]
        if kept:
            chosen = self.random.choice(kept)
            fate = self.random.randrange(3)
            if fate == 0:
                self.history.delete(chosen)
            elif fate == 1:
                self.history.transfer(chosen, self.random.choice(self.users))
            else:
                chosen.state["happened_at"] -= dt.timedelta(days=3)
                self.history.tell(chosen, "changed")

    _acts = (
        *[_open] * 6,
        *[_close] * 4,
        *[_advance] * 4,
        *[_transfer] * 3,
        *[_customer] * 2,
        _hold,
        _reopen,
        _reopen,
        _change,
        _share,
        _delete,
        _restore,
        _move_user,
        _move_team,
        _deal_with_customer,
        _lose_customer,
        _rename_product,
        _change_pipeline,
        *[_contract] * 3,
        *[_approve_contract] * 4,
        _end_contract,
        *[_pay] * 4,
        *[_approve_payment] * 4,
        *[_hand_over_money] * 2,
        *[_act] * 2,
        _correct_activity,
    )
