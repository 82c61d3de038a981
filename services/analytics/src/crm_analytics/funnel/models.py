"""What the report answers, for the documents."""

import uuid

from pydantic import BaseModel, Field

from crm_analytics.report.models import Counted, Report


class Converted(Counted):
    """How many went on to a later stage, or were won; as a share of those that entered (0 to 1)."""

    share: float


class Dwell(Counted):
    """Stays that have ended, by another stage or by closing, and how long they took."""

    average_seconds: int | None
    median_seconds: int | None


class FunnelStage(BaseModel):
    """What became of the opportunities that entered a stage in the period. regressions: stays that ended by going back."""

    pipeline_id: uuid.UUID
    stage_id: uuid.UUID
    label: str
    position: int | None
    entered: Counted
    converted: Converted
    dwell: Dwell
    regressions: Counted
    won: Counted
    lost: Counted


class FunnelFigures(BaseModel):
    """Distinct opportunities that entered any stage in the period, what became of them until now, and the stages."""

    entered: Counted
    won: Counted
    lost: Counted
    stages: list[FunnelStage]


class FunnelRow(FunnelFigures):
    """key: an id or a source; null: credited to nobody."""

    key: str | None
    label: str | None = Field(description="The present name; the bare id of what is not known here (yet)")


class FunnelReport(Report):
    """Stages that nobody entered are left out."""

    rows: list[FunnelRow]
    total: FunnelFigures
