"""Events of the sales service: products, pipelines, opportunities, activities."""

import datetime as dt
import uuid
from typing import Literal

from pydantic import Field

from crm_contracts.events import Event, Part
from crm_contracts.examples import CUSTOMER, PIPELINE, PRODUCT, STAGE_FIRST, STAGE_SECOND, USER, owned, sample
from crm_contracts.hand_overs import hand_over_events
from crm_contracts.operations import operation_events
from crm_contracts.records import LineState as LineState
from crm_contracts.records import MoneyState, RecordState, standard_events
from crm_contracts.records import TotalsState as TotalsState
from crm_contracts.registry import Topic, registry

PRODUCT_TOPIC = registry.topic(
    Topic(
        name="crm.sales.product",
        producer="sales",
        consumers=("billing", "analytics"),
        description="What is sold: code, name, category, list price, on or off sale.",
        partitions=1,
    )
)
PIPELINE_TOPIC = registry.topic(
    Topic(
        name="crm.sales.pipeline",
        producer="sales",
        consumers=("analytics",),
        description="Pipelines with their ordered stages.",
        partitions=1,
    )
)
OPPORTUNITY_TOPIC = registry.topic(
    Topic(
        name="crm.sales.opportunity",
        producer="sales",
        consumers=("customers", "billing", "analytics"),
        description="Possible sales moving through the stages of a pipeline, and their outcomes.",
        partitions=3,
    )
)
ACTIVITY_TOPIC = registry.topic(
    Topic(
        name="crm.sales.activity",
        producer="sales",
        consumers=("customers", "analytics"),
        description="What people did: calls, e-mails, visits, notes, linked to the records they are about.",
        partitions=3,
    )
)
SALES_OPERATIONS = operation_events("sales")
SALES_HAND_OVERS = hand_over_events("sales")


class ProductState(RecordState):
    """A product. on_sale: off-sale products can't be put on new lines (SA-10)."""

    code: str
    name: str
    category: str | None = None
    unit: str | None = None
    description: str | None = None
    list_price: MoneyState | None = None
    on_sale: bool = True


class StageState(Part):
    """A stage. probability: percent. allowed: stages one may go to from here, None for any. dwell_days: expected time in it."""

    id: uuid.UUID
    name: str
    probability: int
    position: int
    allowed: list[uuid.UUID] | None = None
    required_fields: list[str] = Field(default_factory=list)
    dwell_days: int | None = None
    retired: bool = False


class PipelineState(Part):
    """A pipeline: its stages in order (SA-1)."""

    name: str
    stages: list[StageState]
    is_default: bool = False
    deleted: bool = False


Outcome = Literal["open", "won", "lost", "on_hold"]


class OpportunityState(RecordState):
    """A possible sale. opened_on, closed_on: days in the company's time zone. value: from the lines, or as estimated;
    what a won one was closed at. probability: percent, in force; probability_override: set by hand for the present stage.
    weighted_value: value times probability. totals: of the lines, None without lines."""

    number: str
    name: str
    customer_id: uuid.UUID | None = None
    contact_ids: list[uuid.UUID] = Field(default_factory=list)
    pipeline_id: uuid.UUID
    stage_id: uuid.UUID
    stage_entered_at: dt.datetime
    outcome: Outcome = "open"
    outcome_reason: str | None = None
    opened_on: dt.date
    closed_on: dt.date | None = None
    deadline: dt.date | None = None
    probability: int
    probability_override: int | None = None
    value: MoneyState | None = None
    weighted_value: MoneyState | None = None
    lines: list[LineState] = Field(default_factory=list)
    totals: TotalsState | None = None
    product_ids: list[uuid.UUID] = Field(default_factory=list)
    next_step: str | None = None
    source: str | None = None
    description: str | None = None


class LinkState(Part):
    """A record that an activity is about. type: as in permissions and scopes, `customers.customer`."""

    type: str
    id: uuid.UUID


class ActivityState(RecordState):
    """What somebody did; the owner did it (SA-30). kind: `call`, `email`, `visit`, `message`, `note`, `meeting` or a key of the
    company's own. happened_at: when, other than the event's `occurred_at`, which is when it was noted. links: one to five.
    outcome: what came of it. customer_id: of the first link that has a customer. participants: users who took part."""

    number: str
    kind: str
    subject: str
    text: str | None = None
    happened_at: dt.datetime
    duration_minutes: int | None = None
    direction: Literal["in", "out", "none"] = "none"
    outcome: str | None = None
    links: list[LinkState]
    customer_id: uuid.UUID | None = None
    participants: list[uuid.UUID] = Field(default_factory=list)
    next_contact_at: dt.datetime | None = None
    next_contact_note: str | None = None


_money = {"amount": "4821.00", "currency": "USD"}
_product = {
    "code": "GTX-PRO",
    "name": "GTX Pro",
    "list_price": _money,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}
_pipeline = {
    "name": "Sales",
    "is_default": True,
    "stages": [
        {"id": STAGE_FIRST, "name": "Prospecting", "probability": 10, "position": 1},
        {"id": STAGE_SECOND, "name": "Engaging", "probability": 40, "position": 2},
    ],
}
_opportunity = {
    "number": "OPP-2603-0001",
    "name": "GTX Pro for Example",
    "customer_id": CUSTOMER,
    "pipeline_id": PIPELINE,
    "stage_id": STAGE_FIRST,
    "stage_entered_at": "2026-03-01T09:00:00Z",
    "opened_on": "2026-03-01",
    "probability": 10,
    "value": _money,
    "weighted_value": {"amount": "482.10", "currency": "USD"},
    "product_ids": [PRODUCT],
    "owner_id": USER,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}
_activity = {
    "number": "ACT-2603-00001",
    "kind": "call",
    "subject": "Asked about the offer",
    "happened_at": "2026-03-01T08:30:00Z",
    "duration_minutes": 10,
    "direction": "out",
    "outcome": "They want the offer in writing",
    "links": [{"type": "customers.customer", "id": CUSTOMER}],
    "customer_id": CUSTOMER,
    "next_contact_at": "2026-03-08T09:00:00Z",
    "owner_id": USER,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}

PRODUCT_EVENTS = standard_events(PRODUCT_TOPIC, ProductState, _product, has_owner=False)
OPPORTUNITY_EVENTS = standard_events(OPPORTUNITY_TOPIC, OpportunityState, _opportunity)
ACTIVITY_EVENTS = standard_events(ACTIVITY_TOPIC, ActivityState, _activity)


@registry.event("crm.sales.pipeline.created.v1", PIPELINE_TOPIC, example=sample(_pipeline))
class PipelineCreated(Event[PipelineState]):
    """A pipeline was set up."""


@registry.event("crm.sales.pipeline.changed.v1", PIPELINE_TOPIC, example=sample(_pipeline, version=2))
class PipelineChanged(Event[PipelineState]):
    """A pipeline's stages changed."""


@registry.event(
    "crm.sales.opportunity.stage-changed.v1",
    OPPORTUNITY_TOPIC,
    example=owned(
        {**_opportunity, "stage_id": STAGE_SECOND},
        version=2,
        from_stage_id=STAGE_FIRST,
        to_stage_id=STAGE_SECOND,
        dwell_seconds=86400,
        regression=False,
    ),
)
class OpportunityStageChanged(Event[OpportunityState]):
    """The opportunity went to another stage (SA-3). dwell_seconds: time it was in the one it left."""

    from_stage_id: uuid.UUID
    to_stage_id: uuid.UUID
    dwell_seconds: int
    regression: bool


@registry.event(
    "crm.sales.opportunity.won.v1",
    OPPORTUNITY_TOPIC,
    example=owned({**_opportunity, "outcome": "won", "closed_on": "2026-03-05", "probability": 100}, version=3),
)
class OpportunityWon(Event[OpportunityState]):
    """The deal was won at `state.value` on `state.closed_on` (SA-4)."""


@registry.event(
    "crm.sales.opportunity.lost.v1",
    OPPORTUNITY_TOPIC,
    example=owned(
        {**_opportunity, "outcome": "lost", "closed_on": "2026-03-05", "outcome_reason": "price", "probability": 0},
        version=3,
    ),
)
class OpportunityLost(Event[OpportunityState]):
    """The deal was lost; `state.outcome_reason` says why (SA-4)."""


@registry.event(
    "crm.sales.opportunity.held.v1",
    OPPORTUNITY_TOPIC,
    example=owned({**_opportunity, "outcome": "on_hold", "outcome_reason": "budget frozen"}, version=3),
)
class OpportunityHeld(Event[OpportunityState]):
    """The opportunity is on hold (SA-4)."""


@registry.event("crm.sales.opportunity.reopened.v1", OPPORTUNITY_TOPIC, example=owned(_opportunity, version=4))
class OpportunityReopened(Event[OpportunityState]):
    """A won, lost or held opportunity is open again (SA-4)."""
