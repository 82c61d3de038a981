"""The reports reckoned once more from the events alone: slowly, record by record, without a line of the product.

Everything is plain JSON as a foreign consumer would read it. It was written from the requirements and the documents of the reports;
change it only when those change.
"""

import datetime as dt
from fractions import Fraction


def records(events, topic):
    """subject → its events' (type, data), in the order of its versions."""
    found = {}
    for envelope, data in events:
        if envelope.topic == topic:
            found.setdefault(str(envelope.subject), []).append((envelope.type.split(".")[-2], data))
    return {subject: sorted(told, key=lambda pair: pair[1]["version"]) for subject, told in found.items()}


def deals(events):
    """Each opportunity: what it is now, who opened it, who closed it last, and its way through the stages."""
    for subject, told in records(events, "crm.sales.opportunity").items():
        now = told[-1][1]
        closings = [data for fact, data in told if fact in ("won", "lost")]
        moves = [(fact, data) for fact, data in told if fact in ("created", "stage-changed")]
        yield {
            "id": subject,
            "state": now["state"],
            "owner": now["access"]["owner_id"],
            "members": now["access"]["members"],
            "opened_by": told[0][1]["credit"],
            "closed_by": closings[-1]["credit"] if closings else None,
            "closed_at": closings[-1]["occurred_at"] if closings else None,
            "moves": moves,
        }


def parts(state):
    """product → its part of the value in minor units; {None: value} for a deal without products."""
    weights = {}
    for line in state["lines"]:
        weights[line["product_id"]] = weights.get(line["product_id"], 0) + minor(line["net"])
    return divided(minor(state["value"]), weights or dict.fromkeys(state["product_ids"], 1))


def divided(value, weights):
    """Key → its part of a value in minor units, largest remainders first; {None: value} without weights."""
    if not weights:
        return {None: value}
    if value is None:
        return dict.fromkeys(weights)
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1)
    exact = {product: Fraction(value * weight, sum(weights.values())) for product, weight in weights.items()}
    given = {product: int(share) for product, share in exact.items()}
    for product in sorted(weights, key=lambda p: exact[p] - given[p], reverse=True):
        if sum(given.values()) == value:
            break
        given[product] += 1
    return given


def minor(money):
    """Minor units of an amount of USD or KRW."""
    if money is None:
        return None
    digits = {"USD": 2, "KRW": 0}[money["currency"]]
    units, _, decimals = money["amount"].partition(".")
    return int(units + decimals.ljust(digits, "0"))


def outcomes(events, first, last, keys, visible, whose=lambda credit: True):
    """key → {"won": n, "lost": n, "open": n, "value": {currency: minor}}, and the same in total under "total".

    keys(deal, credit, day): the keys that a deal counts under, with the part of its value for each. visible(deal): whether the
    caller may read it. whose(credit): whether the credit is asked for.
    """
    answer = {}

    def count(key, kind, currency, value):
        row = answer.setdefault(key, {"won": 0, "lost": 0, "open": 0, "value": {}})
        row[kind] += 1
        if kind == "won" and value is not None:
            row["value"][currency] = row["value"].get(currency, 0) + value

    for deal in deals(events):
        state = deal["state"]
        if state["deleted"] or not visible(deal):
            continue
        opened = dt.date.fromisoformat(state["opened_on"])
        closed = dt.date.fromisoformat(state["closed_on"]) if state["outcome"] in ("won", "lost") else None
        if closed is not None and first <= closed <= last:
            kind, credit, day = state["outcome"], deal["closed_by"], closed
        elif first <= opened <= last and (closed is None or closed > last):
            kind, credit, day = "open", deal["opened_by"], opened
        else:
            continue
        if not whose(credit):
            continue
        currency = state["value"]["currency"] if state["value"] else None
        count("total", kind, currency, minor(state["value"]))
        for key, part in keys(deal, credit, day).items():
            count(key, kind, currency, part)
    return answer


def signed(events):
    """Each contract that counts: day, credit, customer, value, what it is now, and its parts by product."""
    for subject, told in records(events, "crm.billing.contract").items():
        now = told[-1][1]
        state = now["state"]
        approvals = [data for fact, data in told if fact == "approved"]
        if state["deleted"] or state["status"] not in ("active", "terminated"):
            continue
        weights = {}
        for line in state["lines"]:
            weights[line["product_id"]] = weights.get(line["product_id"], 0) + minor(line["total"])
        yield {
            "id": subject,
            "owner": now["access"]["owner_id"],
            "members": now["access"]["members"],
            "kind": state["status"],
            "day": dt.date.fromisoformat(state["signed_on"] or approvals[-1]["approved_on"]),
            "credit": approvals[-1]["credit"],
            "customer": state["customer_id"],
            "value": state["value"],
            "parts": divided(minor(state["value"]), weights),
        }


def received(events):
    """Each payment that counts, in the same form; everything about its contract is read from the contract's own events."""
    contracts = records(events, "crm.billing.contract")
    for subject, told in records(events, "crm.billing.payment").items():
        now = told[-1][1]
        state = now["state"]
        if state["deleted"] or state["status"] != "approved":
            continue
        approved_at = next(data["occurred_at"] for fact, data in told if fact == "approved")
        # Its contract as it stood when the payment was approved.
        before = [data for _, data in contracts[state["contract_id"]] if data["occurred_at"] <= approved_at]
        contract = before[-1]
        weights = {}
        for line in contract["state"]["lines"]:
            weights[line["product_id"]] = weights.get(line["product_id"], 0) + minor(line["total"])
        yield {
            "id": subject,
            "owner": now["access"]["owner_id"],
            "members": now["access"]["members"],
            "kind": "received",
            "day": dt.date.fromisoformat(state["paid_on"]),
            "credit": next(data["credit"] for fact, data in told if fact == "approved"),
            "contract_owner": contract["access"]["owner_id"],
            "customer": contract["state"]["customer_id"],
            "value": state["amount"],
            "parts": divided(minor(state["amount"]), weights),
        }


def sums(found, first, last, keys, visible, whose=lambda credit: True):
    """key → {kind: [count, {currency: minor}]}, and the same in total under "total"."""
    answer = {}

    def count(key, kind, currency, value):
        entry = answer.setdefault(key, {}).setdefault(kind, [0, {}])
        entry[0] += 1
        entry[1][currency] = entry[1].get(currency, 0) + value

    for one in found:
        if first <= one["day"] <= last and visible(one) and whose(one["credit"]):
            currency = one["value"]["currency"]
            count("total", one["kind"], currency, minor(one["value"]))
            for key, part in keys(one).items():
                count(key, one["kind"], currency, part)
    return answer
