"""The company's settings over HTTP."""

from typing import Any

from pydantic import BaseModel

from crm_identity.company import actions, store
from crm_identity.company.rules import NotSetUp, UnacceptableCompany
from crm_identity.models import Name, Request, left_out
from crm_kernel import Stale
from crm_web import Json, ReadUnit, Router, WriteUnit

router = Router("identity", tag="Company")

_EXAMPLE = {"version": 2, "name": "Example Ltd", "time_zone": "Asia/Seoul", "currency": "KRW", "locale": "ko"}


class Company(BaseModel):
    """time_zone: IANA; days, weeks and months are reckoned in it. currency: ISO 4217. locale: `en`, `ko`, `zh` or `ru`."""

    version: int
    name: str
    time_zone: str
    currency: str
    locale: str


class PatchCompany(Request):
    """What is to change; what is left out stays."""

    name: Name = left_out()
    time_zone: Name = left_out()
    currency: Name = left_out()
    locale: Name = left_out()


@router.get("/company", access="authenticated", response=Company, errors=[NotSetUp], example=_EXAMPLE)
async def get_company(unit: ReadUnit) -> Json:
    """The company's settings."""
    return _view(await store.one(unit.session))


@router.patch(
    "/company",
    permission="identity.company:update",
    response=Company,
    errors=[NotSetUp, UnacceptableCompany, Stale],
    example=_EXAMPLE,
)
async def change_company(body: PatchCompany, unit: WriteUnit) -> Json:
    """Change settings of the company."""
    row = await store.locked(unit.session)
    unit.require_match(row["version"])
    await actions.change(unit.session, row, body.given())
    return _view(await store.one(unit.session))


def _view(row: Any) -> Json:
    return Json(Company(version=row["version"], **{name: row[name] for name in actions.FIELDS}), etag=row["version"])
