"""Lines as bodies give them."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from crm_records.annotations import OptionalMoney, Percent, Quantity
from crm_records.lines.rules import LineGiven
from crm_records.models import Id, OptionalId

#: Lines that one record can have.
MAX_LINES = 200


class LineBody(BaseModel):
    """One line. id: of the present line that it is; left out: the next present line of the product, else a new one. unit_price:
    before the discount; the list price unless given. quantity and percents are decimal text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"product_id": "01900000-0000-7000-8000-000000000008", "quantity": "2", "discount_percent": "5"}
            ]
        },
    )

    id: OptionalId = None
    product_id: Id
    quantity: Quantity
    unit_price: OptionalMoney = None
    discount_percent: Percent = Field(default=Decimal(0), json_schema_extra={"default": "0"})
    tax_percent: Percent = Field(default=Decimal(0), json_schema_extra={"default": "0"})

    def given(self) -> LineGiven:
        """As the rules take it."""
        return LineGiven(
            product_id=self.product_id,
            quantity=self.quantity,
            id=self.id,
            unit_price=self.unit_price,
            discount=self.discount_percent,
            tax=self.tax_percent,
        )


Lines = Annotated[list[LineBody], Field(max_length=MAX_LINES)]
