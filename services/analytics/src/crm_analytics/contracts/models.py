"""What the report answers, for the documents."""

from pydantic import BaseModel, Field

from crm_analytics.report.models import Report, Valued


class ContractFigures(BaseModel):
    """signed: approved contracts, whatever became of them. terminated: those of them that were ended before their time since."""

    signed: Valued
    terminated: Valued


class ContractRow(ContractFigures):
    """key: an id, or a period ("2017-03"); null: what is credited to nobody, or has no product."""

    key: str | None
    label: str | None = Field(
        description="The present name; the bare id of what is not known here (yet), and of customers that the caller doesn't see"
    )


class ContractReport(Report):
    """Groups that nothing falls into are left out. The total counts a contract with several products once."""

    rows: list[ContractRow]
    total: ContractFigures


_FIGURES = {
    "signed": {"count": 42, "value": {"amount": "201180.00", "currency": "USD"}},
    "terminated": {"count": 1, "value": {"amount": "4821.00", "currency": "USD"}},
}
EXAMPLE = {
    "as_of": "2026-11-23T09:30:00.123456Z",
    "rows": [{"key": "2026-03", "label": "2026-03", **_FIGURES}],
    "total": _FIGURES,
}
