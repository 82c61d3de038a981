"""Folding counted rows into funnels."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FunnelBy = Literal["pipeline", "user", "department", "source"]


@dataclass
class Funnel:
    """One row: counted opportunities, and its stages by (pipeline, stage)."""

    entered: int = 0
    won: int = 0
    lost: int = 0
    stages: dict[tuple[uuid.UUID, uuid.UUID], Mapping[str, Any]] = field(default_factory=dict)


def fold(counted: Iterable[Mapping[str, Any]]) -> tuple[dict[Any, Funnel], Funnel]:
    """Funnels per key, and the total. counted: see the store."""
    funnels: dict[Any, Funnel] = {}
    total = Funnel()
    for row in counted:
        funnel = total if row["is_total"] else funnels.setdefault(row["key"], Funnel())
        if row["is_whole"]:
            funnel.entered, funnel.won, funnel.lost = row["entered"], row["won"], row["lost"]
        else:
            funnel.stages[row["pipeline_id"], row["stage_id"]] = row
    return funnels, total


def shown_stage(pipeline_id: uuid.UUID, stage_id: uuid.UUID, row: Mapping[str, Any], known: Any) -> dict[str, Any]:
    """A stage as the report shows it. known: its name and position; None: not known here (yet)."""
    entered, converted = row["entered"], row["converted"]
    return {
        "pipeline_id": pipeline_id,
        "stage_id": stage_id,
        "label": str(stage_id) if known is None else known["name"],
        "position": None if known is None else known["position"],
        "entered": {"count": entered},
        "converted": {"count": converted, "share": round(converted / entered, 4)},
        "dwell": {
            "count": row["left"],
            "average_seconds": None if row["average"] is None else round(float(row["average"])),
            "median_seconds": None if row["median"] is None else round(float(row["median"])),
        },
        "regressions": {"count": row["regressions"]},
        "won": {"count": row["won"]},
        "lost": {"count": row["lost"]},
    }


def shown(funnel: Funnel, stages: Mapping[uuid.UUID, Any]) -> dict[str, Any]:
    """A funnel, its stages in the order of their pipelines; stages that are not known here last."""
    rows = [
        (_place(stages.get(stage_id), stage_id), shown_stage(pipeline_id, stage_id, row, stages.get(stage_id)))
        for (pipeline_id, stage_id), row in funnel.stages.items()
    ]
    return {
        "entered": {"count": funnel.entered},
        "won": {"count": funnel.won},
        "lost": {"count": funnel.lost},
        "stages": [row for _, row in sorted(rows, key=lambda pair: pair[0])],
    }


def _place(known: Any, stage_id: uuid.UUID) -> tuple[bool, str, str, int, str]:
    if known is None:
        return True, "", "", 0, str(stage_id)
    return False, known["pipeline_name"] or "", str(known["pipeline_id"]), known["position"], str(stage_id)


def report(
    funnels: Mapping[Any, Funnel],
    total: Funnel,
    *,
    stages: Mapping[uuid.UUID, Any],
    label: Callable[[Any], str | None],
) -> dict[str, Any]:
    """`rows` by label, those of nobody last, and `total`."""
    rows = [
        {"key": None if key is None else str(key), "label": label(key), **shown(funnel, stages)}
        for key, funnel in funnels.items()
    ]
    rows.sort(key=lambda row: (row["key"] is None, str(row["label"]).casefold(), str(row["key"])))
    return {"rows": rows, "total": shown(total, stages)}
