"""What the report answers, for the documents."""

from pydantic import BaseModel, Field

from crm_analytics.report.models import Counted, Report, Valued


class OutcomeFigures(BaseModel):
    """won, lost: closed in the period. open: opened in the period and not closed by its end; on hold counts as open."""

    won: Valued
    lost: Counted
    open: Counted


class OutcomeRow(OutcomeFigures):
    """key: an id, a source, or a period ("2017-03"); null: what is credited to nobody, or has no product."""

    key: str | None
    label: str | None = Field(description="The present name; the bare id of what is not known here (yet)")


class OutcomeReport(Report):
    """Groups that nothing falls into are left out. The total counts an opportunity with several products once."""

    rows: list[OutcomeRow]
    total: OutcomeFigures


EXAMPLE = {
    "as_of": "2026-11-23T09:30:00.123456Z",
    "rows": [
        {
            "key": "2017-03",
            "label": "2017-03",
            "won": {"count": 531, "value": {"amount": "1134672.00", "currency": "USD"}},
            "lost": {"count": 88},
            "open": {"count": 12},
        }
    ],
    "total": {
        "won": {"count": 531, "value": {"amount": "1134672.00", "currency": "USD"}},
        "lost": {"count": 88},
        "open": {"count": 12},
    },
}
