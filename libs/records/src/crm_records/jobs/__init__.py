"""What is too much for one request, as jobs (PL-9, PL-40): through the same actions, with the rights of the moment."""

from crm_records.jobs.kinds import record_jobs

__all__ = ["record_jobs"]
