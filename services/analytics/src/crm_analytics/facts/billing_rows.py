"""The rows that events of billing make. Pure; nothing here compares one event with another."""

import uuid
from typing import Final

from crm_analytics.facts.parts import Data, Row, moment, money_of, owner_of, shares, weights_of
from crm_contracts import billing

#: What was approved and stays signed: a contract that was ended later was signed all the same.
SIGNED: Final = frozenset({"active", "terminated"})


def contract_row(subject: uuid.UUID, type_name: str, data: Data) -> Row:
    """The contract's fact; `approved` is told by its approval, with the company's day of it."""
    state = data["state"]
    value = money_of(state.get("value"))
    return {
        "id": subject,
        "version": data["version"],
        "owner_id": owner_of(data),
        "customer_id": state["customer_id"],
        "status": state.get("status", "draft"),
        "signed_on": state.get("signed_on"),
        "value_minor": None if value is None else value.minor,
        "currency": None if value is None else value.currency,
        "deleted": state.get("deleted", False),
        **moment("approved", data, tells=type_name == billing.ContractApproved.type, day=data.get("approved_on")),
    }


def contract_shares(subject: uuid.UUID, state: Data) -> list[Row]:
    """The contract's value divided among its products, by what each one's lines come to with taxes: the value is the sum of that."""
    weights = weights_of(state.get("lines", ()), "total")
    return shares("contract_id", subject, money_of(state.get("value")), weights)


def payment_row(subject: uuid.UUID, type_name: str, data: Data) -> Row:
    """The payment's fact; `approved` is told by its approval, with the customer of its contract."""
    state = data["state"]
    amount = money_of(state["amount"])
    customer = (data.get("paid_for") or {}).get("customer_id")
    return {
        "id": subject,
        "version": data["version"],
        "owner_id": owner_of(data),
        "contract_id": state["contract_id"],
        "status": state.get("status", "pending"),
        "paid_on": state["paid_on"],
        "value_minor": None if amount is None else amount.minor,
        "currency": None if amount is None else amount.currency,
        "deleted": state.get("deleted", False),
        **moment("approved", data, tells=type_name == billing.PaymentApproved.type, customer_id=customer),
    }


def payment_shares(subject: uuid.UUID, type_name: str, data: Data) -> list[Row]:
    """The payment divided among the products of its contract, as its approval tells them; nothing of any other event."""
    if type_name != billing.PaymentApproved.type:
        return []
    weights = weights_of((data.get("paid_for") or {}).get("products", ()), "total")
    parts = shares("payment_id", subject, money_of(data["state"]["amount"]), weights)
    return [{**part, "version": data["version"]} for part in parts]
