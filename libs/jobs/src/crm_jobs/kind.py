"""What a job does: its name, who may have it done, and one step of it."""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from crm_database import WriteSession
from crm_jobs.rules import Authority, Job

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
    """What a step did. position: where the next one begins, JSON; not looked at when `finished`. pause: how long the next step is to
    wait for something that takes its time; others work on other jobs meanwhile."""

    rows: Sequence[JobRow] = field(default_factory=tuple)
    position: Any = None
    finished: bool = False
    pause: dt.timedelta | None = None


Step = Callable[["JobUnit", Job], Awaitable[StepDone]]
#: async (session, job, problem): what else is to be written in the transaction that ends a job as failed.
Failed = Callable[[WriteSession, Job, Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class JobKind:
    """name: unique and stable, `<service>.<record>.<what>`. permission: without which it doesn't run; None: the step asks by itself.

    step: does the next part of the work (at most STEP_ROWS rows) in the unit's transaction, from `job.position` on. It commits nothing
    and reaches nowhere else: when the process dies, the transaction never was, and the same step is done again. What it raises as a
    Refusal ends the job; what is wrong with single rows stands in their JobRows.

    authority: `asker`: it runs with the rights that its asker has at the moment. `product`: the product does by itself what follows from
    something that was permitted; the asker stands in the history and needs no rights (`start_product_job`). reason: why, in words; for
    those. failed: what else is written when it fails, for whoever waits for its outcome.
    """

    name: str
    permission: str | None
    step: Step
    authority: Authority = "asker"
    reason: str = ""
    failed: Failed | None = None

    def __post_init__(self) -> None:
        if (self.authority == "product") != bool(self.reason):
            raise ValueError(f"{self.name}: a job of the product says why it may, others have their asker's rights")
        if self.authority == "product" and self.permission is not None:
            raise ValueError(f"{self.name}: nobody's permission is asked for")
