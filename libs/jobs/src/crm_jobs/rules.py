"""What is decided about jobs, without queries: states, who holds one, when it is tried again and when given up. And the refusals."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from crm_kernel.errors import Conflict, Forbidden, Refusal, Unavailable

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
#: With whose rights a job runs.
Authority = Literal["asker", "product"]

#: In these a job is still to be worked on.
OPEN: Final[frozenset[State]] = frozenset({"queued", "running"})
#: How long a runner has a job to itself, from the commit of its last step on.
LEASE: Final = dt.timedelta(seconds=30)
#: Rows of one step at most: one transaction, short enough for those who wait for its records.
STEP_ROWS: Final = 500
#: Failures in a row that nothing in the world around explains: then the job is given up.
ATTEMPTS: Final = 8
#: Pauses after failures double from the first to the last, in seconds.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
#: Open jobs that one person may have in a service.
MAX_OPEN: Final = 20
#: How long an ended job and its rows can be read.
KEPT: Final = dt.timedelta(days=30)


class NotAllowed(Forbidden):
    """A job's end: whoever asked for it may not do this any more."""

    code = "job.not_allowed"
    title = "Who asked for the job may not do this any more"


class GaveUp(Refusal):
    """A job's end: it failed again and again at the same place. The log has the reasons, under the job's id."""

    status = 500
    code = "job.gave_up"
    title = "The job failed several times at the same place and was given up"


class TooManyOpenJobs(Conflict):
    """409: the caller has as many jobs under way as one may have."""

    code = "job.too_many"
    title = "You have as many jobs under way as one may have"


class ProductsJob(Conflict):
    """409: what the product does by itself is ended by what began it, not as a job."""

    code = "job.of_the_product"
    title = "This job follows from something else, and ends with that"


class LeaseLost(Exception):
    """Not a failure: the job belongs to another runner by now, or has ended. What the step did is rolled back."""


@dataclass(frozen=True)
class Job:
    """A job as it is read. position: where the next step begins (None: at the start). problem: why it failed."""

    id: uuid.UUID
    version: int
    kind: str
    state: State
    asked_by: uuid.UUID
    client: str | None
    address: str | None
    traceparent: str | None
    parameters: Mapping[str, Any]
    position: Any
    total: int | None
    done: int
    failed: int
    attempts: int
    waits: int
    run_after: dt.datetime
    leased_by: uuid.UUID | None
    lease_until: dt.datetime | None
    problem: Mapping[str, Any] | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    authority: Authority = "asker"

    @property
    def processed(self) -> int:
        """Rows dealt with so far: the index of the next one."""
        return self.done + self.failed


def require_held(job: Job | None, lease: uuid.UUID) -> Job:
    """The job, when the lease is still the one that counts. Raises LeaseLost.

    Asked under the job's row lock, which a step keeps until its commit: who holds the job at the start of a step holds it to the end.
    """
    if job is None or job.state != "running" or job.leased_by != lease:
        raise LeaseLost
    return job


def pause(failures: int) -> dt.timedelta:
    """How long to wait after the n-th failure in a row (1 is the first)."""
    return dt.timedelta(seconds=min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(failures, 1) - 1, 20)))


def is_given_up(attempts: int) -> bool:
    """Whether a job that failed so often in a row is not tried again."""
    return attempts >= ATTEMPTS


def is_transient(refusal: Refusal) -> bool:
    """Whether the same step may succeed later: the database, a lock or the directory was not to be had."""
    return isinstance(refusal, Unavailable)


def as_end(refusal: Refusal) -> Refusal:
    """The refusal that a job ends with: a right that is missing is told in the job's own words."""
    if refusal.code == Forbidden.code:
        return NotAllowed(refusal.detail, extra=refusal.extra)
    return refusal


def problem_of(refusal: Refusal) -> dict[str, Any]:
    """What is kept of the refusal that a job ended with; never a trace, nothing of the driver's."""
    kept: dict[str, Any] = {"code": refusal.code, "title": refusal.title, "detail": refusal.detail}
    if refusal.errors:
        kept["errors"] = [
            {"pointer": error.pointer, "code": error.code, "detail": error.detail} for error in refusal.errors
        ]
    return kept
