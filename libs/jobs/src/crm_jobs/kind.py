"""What a job does: its name, who may have it done, and one step of it."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from crm_jobs.rules import Job

if TYPE_CHECKING:
    from crm_jobs.unit import JobUnit


@dataclass(frozen=True)
class JobRow:
    """What became of one row. index: its place in what was asked for, or in the order of the work. done: what was done with it."""

    index: int
    status: Literal["ok", "error"]
    done: str | None = None
    record_id: uuid.UUID | None = None
    record_version: int | None = None
    code: str | None = None
    detail: str | None = None
    errors: Sequence[dict[str, Any]] | None = None


@dataclass(frozen=True)
class StepDone:
    """What a step did. position: where the next one begins, JSON; not looked at when `finished`."""

    rows: Sequence[JobRow] = field(default_factory=tuple)
    position: Any = None
    finished: bool = False


Step = Callable[["JobUnit", Job], Awaitable[StepDone]]


@dataclass(frozen=True)
class JobKind:
    """name: unique and stable, `<service>.<record>.<what>`. permission: without which it doesn't run; None: the step asks by itself.

    step: does the next part of the work (at most STEP_ROWS rows) in the unit's transaction, from `job.position` on. It commits nothing
    and reaches nowhere else: when the process dies, the transaction never was, and the same step is done again. What it raises as a
    Refusal ends the job; what is wrong with single rows stands in their JobRows.
    """

    name: str
    permission: str | None
    step: Step
