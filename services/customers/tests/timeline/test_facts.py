"""The table from event types to entries, over the contracts' own examples."""

from typing import Any

import pytest
from services.customers.tests.timeline.stories import told

from crm_contracts import registry
from crm_contracts.billing import CONTRACT_EVENTS
from crm_contracts.customers import CUSTOMER_EVENTS, CustomerDealt, CustomerReleased
from crm_contracts.sales import ACTIVITY_EVENTS, OpportunityLost, OpportunityStageChanged
from crm_contracts.support import TicketReplied
from crm_customers.timeline.facts import MAX_TEXT, MEANINGS, entry_of
from crm_customers.timeline.sources_store import BY_TOPIC

OURS = sorted(name for name, model in registry.events.items() if model.topic in BY_TOPIC)
#: A changed event whose change is nothing for a timeline makes no entry; these do.
MATTERING = {"customer": "grade", "contact": "name", "opportunity": "value", "contract": "status", "ticket": "priority"}


def example(name: str) -> Any:
    """The example, of a changed event with a change that matters."""
    record = name.split(".")[2]
    change = {MATTERING.get(record, "status"): {"old": None, "new": "VIP"}}
    extra = {"changes": change} if name.endswith(".changed.v1") else {}
    return told(registry.events[name], extra=extra)


def test_the_table_says_of_every_event_type_of_its_topics_what_it_is() -> None:
    assert sorted(MEANINGS) == OURS
    assert len(OURS) > 50
    silent = {name.split(".")[3] for name, meaning in MEANINGS.items() if meaning is None}
    assert silent == {"members-changed"}


@pytest.mark.requirement("CU-17")
@pytest.mark.parametrize("name", [name for name in OURS if MEANINGS[name] is not None])
def test_every_event_type_makes_its_entry(name: str) -> None:
    event = example(name)
    found = entry_of(event)
    content = registry.events[name].model_validate_json(event.data)
    assert found is not None
    assert (found.record_type, found.record_id) == (".".join(name.split(".")[1:3]), event.subject)
    if found.record_type == "sales.activity":
        assert (found.id, found.at, found.kind) == (event.subject, content.state.happened_at, "noted")
        assert found.recorded_at == content.state.created_at
    else:
        assert (found.id, found.at) == (event.id, content.occurred_at)
        assert (found.recorded_at, found.actor_id) == (event.time, content.actor.id)
    for value in found.summary.values():
        assert value is None or isinstance(value, str | int | bool | dict), "small facts only"


def test_kinds_are_words_of_the_facts() -> None:
    by_record: dict[str, set[str]] = {}
    for name, meaning in MEANINGS.items():
        if meaning is not None:
            by_record.setdefault(name.split(".")[2], set()).add(meaning.kind)
    standard = {"created", "changed", "deleted", "restored", "transferred"}
    assert by_record == {
        "customer": standard | {"claimed", "assigned", "released", "dealt"},
        "contact": standard,
        "opportunity": standard | {"moved", "won", "lost", "held", "reopened"},
        "activity": {"noted"},
        "contract": standard | {"approved", "terminated"},
        "payment": standard - {"created"} | {"recorded", "approved"},
        "ticket": standard | {"moved", "assigned", "replied"},
    }


@pytest.mark.requirement("CU-17")
def test_summaries_have_what_happened() -> None:
    stage = registry.examples[OpportunityStageChanged.type]
    moved = entry_of(told(OpportunityStageChanged))
    assert moved is not None
    assert moved.summary == {
        "from_stage_id": stage["from_stage_id"],
        "to_stage_id": stage["to_stage_id"],
        "regression": False,
        "value": {"amount": "4821.00", "currency": "USD"},
    }
    lost = entry_of(told(OpportunityLost))
    assert lost is not None
    assert (lost.summary["outcome_reason"], lost.summary["closed_on"]) == ("price", "2026-03-05")
    released = entry_of(told(CustomerReleased))
    assert released is not None
    assert (released.summary["to_user_id"], released.summary["reason"]) == (None, "No need this year")
    dealt = entry_of(told(CustomerDealt))
    assert dealt is not None
    # Not which: who sees the customer need not see its opportunities.
    assert dealt.summary == {"lifecycle": "customer", "by": "opportunity"}


@pytest.mark.requirement("CU-17")
def test_changes_that_matter_make_an_entry_with_before_and_after_and_others_none() -> None:
    both = {"grade": {"old": None, "new": "VIP"}, "phone": {"old": "1", "new": "2"}}
    found = entry_of(told(CUSTOMER_EVENTS.changed, extra={"changes": both}))
    assert found is not None
    assert found.summary == {"changes": {"grade": {"old": None, "new": "VIP"}}}
    assert entry_of(told(CUSTOMER_EVENTS.changed, extra={"changes": {"phone": both["phone"]}})) is None
    submitted = {"status": {"old": "draft", "new": "in_approval"}, "instalments": {"old": [], "new": [{}]}}
    found = entry_of(told(CONTRACT_EVENTS.changed, extra={"changes": submitted}))
    assert found is not None
    assert found.summary == {"changes": {"status": submitted["status"]}}


@pytest.mark.requirement("CU-17", "SU-2")
def test_the_text_of_replies_and_activities_never_gets_in() -> None:
    for visibility, text in (("public", "Please try again now."), ("internal", None)):
        found = entry_of(told(TicketReplied, extra={"visibility": visibility, "text": text}))
        assert found is not None
        assert found.summary == {"author": "staff", "visibility": visibility, "length": 21}
    noted = entry_of(told(ACTIVITY_EVENTS.created, text="They want a discount of a third"))
    assert noted is not None
    assert set(noted.summary) == {"kind", "direction", "duration_minutes", "next_contact_at"}


def test_long_reasons_are_cut() -> None:
    found = entry_of(told(CustomerReleased, extra={"reason": "x" * 1000}))
    assert found is not None
    assert found.summary["reason"] == "x" * (MAX_TEXT - 1) + "…"
