"""What bodies of payments take beyond their fields."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from crm_billing.payment.rules import MAX_ALLOCATIONS
from crm_records import Id
from crm_records.annotations import RequiredMoney


class AllocationBody(BaseModel):
    """How much of the payment is for which instalment."""

    model_config = ConfigDict(extra="forbid")

    instalment_id: Id
    amount: RequiredMoney


Allocations = Annotated[list[AllocationBody], Field(min_length=1, max_length=MAX_ALLOCATIONS)]
