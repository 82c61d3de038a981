"""Jobs: work that outlives its request, survives the death of its process, and is done with its asker's rights of the moment.

What is listed here is public.
"""

from crm_jobs.actions import cancel_job, read_job, start_job, start_product_job
from crm_jobs.kind import JobKind, JobRow, Step, StepDone
from crm_jobs.routes import job_router
from crm_jobs.rules import STEP_ROWS, Job, NotAllowed, ProductsJob, TooManyOpenJobs
from crm_jobs.runner import Runner
from crm_jobs.schema import JOBS_1, JOBS_2
from crm_jobs.service_jobs import Jobs
from crm_jobs.unit import JobUnit, ProductUnit
from crm_jobs.views import JOB_EXAMPLE, JobView, accepted

__all__ = [
    "JOBS_1",
    "JOBS_2",
    "JOB_EXAMPLE",
    "STEP_ROWS",
    "Job",
    "JobKind",
    "JobRow",
    "JobUnit",
    "JobView",
    "Jobs",
    "NotAllowed",
    "ProductUnit",
    "ProductsJob",
    "Runner",
    "Step",
    "StepDone",
    "TooManyOpenJobs",
    "accepted",
    "cancel_job",
    "job_router",
    "read_job",
    "start_job",
    "start_product_job",
]
