"""The rows that single events make, out of their plain JSON. Pure; nothing here compares one event with another.

Members that the contract gives a default may be missing: events of earlier versions are read too.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from crm_contracts import customers, sales
from crm_kernel import Money

Row = dict[str, Any]
Data = Mapping[str, Any]

#: Outcomes that end an opportunity. On hold is not over: it counts as open.
CLOSED: Final = frozenset({"won", "lost"})


def opportunity_row(subject: uuid.UUID, type_name: str, data: Data) -> Row:
    """The opportunity's fact; `opened` is told by its creation, `closed` by what won or lost it."""
    state = data["state"]
    outcome = state.get("outcome", "open")
    fact = type_name.rsplit(".", 2)[1]
    # Not what comes after: a transfer of a won one, say, changes nothing of who won it.
    closes = outcome in CLOSED and fact in ("won", "lost", "created")
    value = _money(state.get("value"))
    return {
        "id": subject,
        "version": data["version"],
        "owner_id": _owner(data),
        "customer_id": state.get("customer_id"),
        "pipeline_id": state["pipeline_id"],
        "stage_id": state["stage_id"],
        "outcome": outcome,
        "outcome_reason": state.get("outcome_reason"),
        "opened_on": state["opened_on"],
        "closed_on": state.get("closed_on"),
        "value_minor": None if value is None else value.minor,
        "currency": None if value is None else value.currency,
        "source": state.get("source"),
        "deleted": state.get("deleted", False),
        **_moment("opened", data, tells=fact == "created"),
        **_moment("closed", data, tells=closes),
    }


def stage_entry_row(subject: uuid.UUID, type_name: str, data: Data) -> Row | None:
    """The entry into a stage that the event tells; None when it tells none."""
    moved = type_name == sales.OpportunityStageChanged.type
    if not moved and not _is_created(type_name):
        return None
    state = data["state"]
    return {
        "opportunity_id": subject,
        "version": data["version"],
        "pipeline_id": state["pipeline_id"],
        "stage_id": state["stage_id"],
        "at": data["occurred_at"],
        "from_stage_id": data["from_stage_id"] if moved else None,
        "regression": data["regression"] if moved else False,
        **_credit(data.get("credit")),
    }


def shares(subject: uuid.UUID, state: Data) -> list[Row]:
    """The opportunity's value divided among its products.

    In proportion to what each product's lines come to; in equal parts when there are no lines, or all of them are free. Parts add up to
    the value exactly. Without lines the products of interest count, each once.
    """
    weights: dict[str, int] = {}
    for line in state.get("lines", ()):
        net = Money.parse(line["net"]["amount"], line["net"]["currency"]).minor
        weights[line["product_id"]] = weights.get(line["product_id"], 0) + net
    if not weights:
        weights = dict.fromkeys(state.get("product_ids", ()), 1)
    value = _money(state.get("value"))
    return [
        {"opportunity_id": subject, "product_id": product_id, "value_minor": part}
        for product_id, part in zip(weights, _divided(value, list(weights.values())), strict=True)
    ]


def _divided(value: Money | None, weights: Sequence[int]) -> Sequence[int | None]:
    if value is None:
        return [None] * len(weights)
    if len(weights) < 2:
        return [value.minor] * len(weights)
    usable = any(weights) and min(weights) >= 0
    return [part.minor for part in (value.allocate(weights) if usable else value.split(len(weights)))]


def customer_row(subject: uuid.UUID, type_name: str, data: Data) -> Row:
    """The customer's fact; `dealt` is the first won deal."""
    state = data["state"]
    dealt = type_name == customers.CustomerDealt.type
    row = {
        "id": subject,
        "version": data["version"],
        "owner_id": _owner(data),
        "lifecycle": state["lifecycle"],
        "source": state.get("source"),
        "industry": state.get("industry"),
        "pool_id": state.get("pool_id"),
        "deleted": state.get("deleted", False),
        **_moment("created", data, tells=_is_created(type_name)),
        **_moment("dealt", data, tells=dealt),
    }
    if dealt and state.get("dealt_at") is not None:
        # The instant of the deal; the event itself came a moment later, over the bus.
        row["dealt_at"] = state["dealt_at"]
    return row


def contact_row(subject: uuid.UUID, type_name: str, data: Data) -> Row:
    """The contact's fact."""
    state = data["state"]
    return {
        "id": subject,
        "version": data["version"],
        "owner_id": _owner(data),
        "customer_id": state["customer_id"],
        "deleted": state.get("deleted", False),
        **_moment("created", data, tells=_is_created(type_name)),
    }


def _is_created(type_name: str) -> bool:
    return type_name.endswith(".created.v1")


def _owner(data: Data) -> Any:
    access = data.get("access")
    return (data["state"] if access is None else access).get("owner_id")


def _money(value: Data | None) -> Money | None:
    return None if value is None else Money.parse(value["amount"], value["currency"])


_NO_MOMENT: Final = {
    name: {f"{name}_{column}": None for column in ("version", "at", "user_id", "department_id", "path")}
    for name in ("opened", "closed", "created", "dealt")
}


def _moment(name: str, data: Data, *, tells: bool) -> Row:
    if not tells:
        return _NO_MOMENT[name]
    credit = _credit(data.get("credit"))
    return {
        f"{name}_version": data["version"],
        f"{name}_at": data["occurred_at"],
        **{f"{name}_{column}": value for column, value in credit.items()},
    }


def _credit(credit: Data | None) -> Row:
    if credit is None:
        return {"user_id": None, "department_id": None, "path": None}
    return {
        "user_id": credit["user_id"],
        "department_id": credit.get("department_id"),
        "path": credit.get("department_path", ()),
    }
