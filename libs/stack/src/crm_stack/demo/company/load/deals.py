"""Opportunities with their way through the stages, and what people did meanwhile: entered afterwards, as it happened."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from crm_stack.demo.company.facts import Activity, Opportunity
from crm_stack.demo.company.load.market import grouped
from crm_stack.demo.company.load.organisation import money
from crm_stack.demo.company.load.staff import Staff, ref

_PATH = "/api/sales/v1/opportunities"
#: So far back one may enter what one did oneself; for what is older one's superior does.
_OWN_PAST = dt.timedelta(days=28)


def load_deals(staff: Staff, currency: str) -> None:
    """Opportunities where they began, then step by step to where they are, then how they ended."""
    pipeline = next(p for p in staff.operator.get("/api/sales/v1/pipelines")["items"] if p["is_default"])
    stages = [stage["id"] for stage in pipeline["stages"] if not stage["retired"]]
    plan = staff.plan.opportunities
    new = [one for key, one in plan.items() if key not in staff.known["opportunity"]]
    rows = grouped(new, lambda one: staff.leader(one.owner), lambda one: _row(staff, one, stages[0], currency))
    staff.rows("opportunities", f"{_PATH}/batch", rows, mode="upsert")
    ahead = {key: _ahead(one, staff.known["opportunity"].get(key), stages) for key, one in plan.items()}
    whole, before = sum(len(steps) for steps in ahead.values()), 0
    for turn in range(max(len(steps) for steps in ahead.values())):
        moving = [one for key, one in plan.items() if len(ahead[key]) > turn]
        steps = grouped(
            moving,
            lambda one: staff.leader(one.owner),
            lambda one, turn=turn: {"external_ref": ref(one.key), **ahead[one.key][turn]},  # type: ignore[misc]
        )
        staff.rows("stages", f"{_PATH}/advance", steps, before=before, whole=whole)
        before += len(moving)
    ended = [one for key, one in plan.items() if one.outcome != "open" and not _is_ended(staff, key)]
    # As they happened: then the first deal that a customer's record hears of is the first.
    ended.sort(key=lambda one: (one.ended or one.opened, one.key))
    outcomes = grouped(ended, lambda one: staff.leader(one.owner), _outcome)
    staff.rows("outcomes", f"{_PATH}/outcomes", outcomes)


def load_activities(staff: Staff) -> None:
    """What people noted, and what their superiors entered for them because it is longer ago."""
    new = [one for one in staff.plan.activities if one.key not in staff.known["activity"]]
    # By the clock, not by the plan's day: an interrupted load may be completed weeks later.
    recent = dt.datetime.now(dt.UTC) - _OWN_PAST

    def enters(one: Activity) -> str:
        return one.owner if one.happened > recent else staff.leader(one.owner)

    rows = grouped(new, enters, lambda one: _activity(staff, one))
    staff.rows("activities", "/api/sales/v1/activities/batch", rows, mode="upsert")


def _row(staff: Staff, one: Opportunity, stage: str, currency: str) -> dict[str, Any]:
    lines = [
        {
            "product_id": staff.ids[line.product],
            "quantity": str(line.quantity),
            "discount_percent": str(line.discount),
        }
        for line in one.lines
    ]
    return {
        "external_ref": ref(one.key),
        "name": one.name,
        "owner_id": staff.ids[one.owner],
        "customer_id": staff.ids[one.customer],
        "contact_ids": [staff.ids[one.contact]] if one.contact else [],
        "product_ids": [staff.ids[product] for product in one.products],
        "stage_id": stage,
        "occurred_at": one.opened.isoformat(),
        "source": one.source,
        "deadline": one.deadline and one.deadline.isoformat(),
        "next_step": one.next_step,
        **({"lines": lines} if lines else {"value": money(one.value, currency)}),
    }


def _ahead(one: Opportunity, seen: Mapping[str, Any] | None, stages: list[str]) -> list[dict[str, Any]]:
    """The steps that it has not gone yet: after the last one that was entered before the load was interrupted."""
    steps = [{"stage_id": stages[stage], "occurred_at": at.isoformat()} for stage, at in one.steps]
    if seen is None:
        return steps
    if seen["outcome"] != "open" or seen["deleted_at"]:
        return []
    entered = dt.datetime.fromisoformat(seen["stage_entered_at"])
    return [step for step, (_, at) in zip(steps, one.steps, strict=True) if at > entered]


def _is_ended(staff: Staff, key: str) -> bool:
    seen = staff.known["opportunity"].get(key)
    return seen is not None and (seen["outcome"] != "open" or seen["deleted_at"] is not None)


def _outcome(one: Opportunity) -> dict[str, Any]:
    at = one.ended or one.opened
    return {
        "external_ref": ref(one.key),
        "outcome": one.outcome,
        "occurred_at": at.isoformat(),
        **({"reason": one.reason} if one.reason else {}),
    }


def _activity(staff: Staff, one: Activity) -> dict[str, Any]:
    return {
        "external_ref": ref(one.key),
        "owner_id": staff.ids[one.owner],
        "kind": one.kind,
        "subject": one.subject,
        "text": one.text,
        "happened_at": one.happened.isoformat(),
        "duration_minutes": one.minutes,
        "direction": one.direction,
        "links": [{"type": kind, "id": staff.ids[key]} for kind, key in one.links],
        "next_contact_at": one.next_contact and one.next_contact.isoformat(),
    }
