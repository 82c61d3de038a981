"""A random company and what happens in it, from a seed: people move, departments move, deals come, go, return and change hands."""

import datetime as dt
import random
import uuid

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
    )
