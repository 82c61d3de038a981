"""The unit of work of a step: a transaction in the name of whoever asked for the job, with the rights that they have now."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from crm_authz import ActionClass, Directory, Scope
from crm_authz.grants import Grants, unite
from crm_database import WriteSession
from crm_jobs import store
from crm_jobs.kind import JobKind
from crm_jobs.rules import Job, NotAllowed
from crm_kernel import CompanyCalendar
from crm_web.units import missing


@dataclass(frozen=True)
class JobUnit:
    """What actions get instead of a request's unit. caller: the person's rights by the directory, now and not as they were then."""

    session: WriteSession
    directory: Directory
    caller: Grants
    job: Job

    @property
    def now(self) -> dt.datetime:
        """The instant of this step, UTC."""
        return self.session.context.now

    @property
    def calendar(self) -> CompanyCalendar:
        """The company's."""
        company = self.directory.company
        return CompanyCalendar("UTC" if company is None else company.time_zone)

    def scope(self, record: str, action: ActionClass) -> Scope:
        """What the person reaches now."""
        return Scope.of(self.caller, self.directory, record, action, now=self.now)

    def require(self, permission: str) -> None:
        """Raise Forbidden unless the person has the permission now."""
        if not self.caller.allows(permission):
            raise missing(permission)

    def require_match(self, version: int) -> None:
        """A job makes no condition on versions."""

    async def given(self, part: int) -> Any | None:
        """A part of what the job was given (`start_job(parts=…)`), from 0 on; None behind the last."""
        return await store.read_part(self.session, self.job.id, part)


@dataclass(frozen=True)
class ProductUnit(JobUnit):
    """The unit of a step that the product does by itself: it may do everything, and says why. caller: has no rights, and needs none."""

    reason: str

    def scope(self, record: str, action: ActionClass) -> Scope:
        return Scope.system(self.reason, record_type=record, action=action)

    def require(self, permission: str) -> None:
        """Nothing is refused to the product itself."""


def authorised(session: WriteSession, directory: Directory, job: Job, kind: JobKind) -> JobUnit:
    """The unit of a step. Raises NotAllowed when the person is not active any more, or lacks the permission; not for what the product
    does by itself: whoever asked may have left meanwhile."""
    if kind.authority == "product":
        return ProductUnit(session, directory, unite(job.asked_by, (), ()), job, kind.reason)
    permission = kind.permission
    if not directory.is_active(job.asked_by):
        raise NotAllowed("The user is not active any more")
    unit = JobUnit(session, directory, directory.grants_of(job.asked_by), job)
    if permission is not None and not unit.caller.allows(permission):
        raise NotAllowed(f"The permission {permission} is needed", extra={"permission": permission})
    return unit
