"""What the report answers, for the documents."""

from pydantic import BaseModel, Field

from crm_analytics.report.models import Report, Valued


class PaymentFigures(BaseModel):
    """received: approved payments."""

    received: Valued


class PaymentRow(PaymentFigures):
    """key: an id, or a period ("2017-03"); null: what is credited to nobody, or is for no product."""

    key: str | None
    label: str | None = Field(
        description="The present name; the bare id of what is not known here (yet), and of customers that the caller doesn't see"
    )


class PaymentReport(Report):
    """Groups that nothing falls into are left out. The total counts a payment for several products once."""

    rows: list[PaymentRow]
    total: PaymentFigures


_FIGURES = {"received": {"count": 42, "value": {"amount": "201180.00", "currency": "USD"}}}
EXAMPLE = {
    "as_of": "2026-11-23T09:30:00.123456Z",
    "rows": [{"key": "2026-03", "label": "2026-03", **_FIGURES}],
    "total": _FIGURES,
}
