"""All metrics of this library, in one list. The gauges are read from the service's database by its worker."""

from crm_database.measuring import Measures

MEASURES = Measures("crm_jobs")

jobs_age = MEASURES.observed(
    "crm.jobs.age", unit="s", meaning="how long the oldest job that is due waits for a runner; 0 when none waits"
)
jobs_due = MEASURES.observed("crm.jobs.due", unit="{job}", meaning="jobs that are due and that nobody works on")
jobs_running = MEASURES.observed("crm.jobs.running", unit="{job}", meaning="jobs that a runner holds")
jobs_ended = MEASURES.counter(
    "crm.jobs.ended", unit="{job}", labels=["kind", "state"], meaning="jobs that ended; state: `succeeded` or `failed`"
)
job_step_duration = MEASURES.histogram(
    "crm.jobs.step.duration", unit="s", labels=["kind"], meaning="one step of a job, its commit included"
)
job_failures = MEASURES.counter(
    "crm.jobs.step.failures", unit="{failure}", labels=["kind"], meaning="steps that failed and will be tried again"
)
