"""The rows that events of sales and customers make, out of their plain JSON. Pure; nothing here compares one event with another.

Members that the contract gives a default may be missing: events of earlier versions are read too.
"""

import uuid
from typing import Final

from crm_analytics.facts import parts
from crm_analytics.facts.parts import Data, Row, credit_of, is_created, moment, money_of, owner_of, weights_of
from crm_contracts import customers, sales

#: Outcomes that end an opportunity. On hold is not over: it counts as open.
CLOSED: Final = frozenset({"won", "lost"})


def opportunity_row(subject: uuid.UUID, type_name: str, data: Data) -> Row:
    """The opportunity's fact; `opened` is told by its creation, `closed` by what won or lost it."""
    state = data["state"]
    outcome = state.get("outcome", "open")
    fact = type_name.rsplit(".", 2)[1]
    # Not what comes after: a transfer of a won one, say, changes nothing of who won it.
    closes = outcome in CLOSED and fact in ("won", "lost", "created")
    value = money_of(state.get("value"))
    return {
        "id": subject,
        "version": data["version"],
        "owner_id": owner_of(data),
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
        **moment("opened", data, tells=fact == "created"),
        **moment("closed", data, tells=closes),
    }


def stage_entry_row(subject: uuid.UUID, type_name: str, data: Data) -> Row | None:
    """The entry into a stage that the event tells; None when it tells none."""
    moved = type_name == sales.OpportunityStageChanged.type
    if not moved and not is_created(type_name):
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
        **credit_of(data.get("credit")),
    }


def shares(subject: uuid.UUID, state: Data) -> list[Row]:
    """The opportunity's value divided among its products.

    In proportion to what each product's lines come to; in equal parts when there are no lines, or all of them are free. Parts add up to
    the value exactly. Without lines the products of interest count, each once.
    """
    weights = weights_of(state.get("lines", ()), "net") or dict.fromkeys(state.get("product_ids", ()), 1)
    return parts.shares("opportunity_id", subject, money_of(state.get("value")), weights)


def customer_row(subject: uuid.UUID, type_name: str, data: Data) -> Row:
    """The customer's fact; `dealt` is the first deal, which is told again when an earlier one is heard of."""
    state = data["state"]
    dealt = type_name == customers.CustomerDealt.type
    row = {
        "id": subject,
        "version": data["version"],
        "owner_id": owner_of(data),
        "lifecycle": state["lifecycle"],
        "source": state.get("source"),
        "industry": state.get("industry"),
        "pool_id": state.get("pool_id"),
        "deleted": state.get("deleted", False),
        "name": state["name"],
        **moment("created", data, tells=is_created(type_name)),
        **moment("dealt", data, tells=dealt),
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
        "owner_id": owner_of(data),
        "customer_id": state["customer_id"],
        "deleted": state.get("deleted", False),
        **moment("created", data, tells=is_created(type_name)),
    }


def activity_row(subject: uuid.UUID, type_name: str, data: Data) -> Row:
    """The activity's fact: when it happened may be corrected; whose it was when it was noted stays."""
    state = data["state"]
    return {
        "id": subject,
        "version": data["version"],
        "owner_id": owner_of(data),
        "customer_id": state.get("customer_id"),
        "kind": state["kind"],
        "happened_at": state["happened_at"],
        "deleted": state.get("deleted", False),
        **moment("created", data, tells=is_created(type_name)),
    }
