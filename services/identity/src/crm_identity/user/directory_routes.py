"""The directory of colleagues over HTTP, open to all who log in (ID-8)."""

import uuid
from typing import Annotated

from fastapi import Query

from crm_identity.user import list_store as store
from crm_identity.user import models
from crm_identity.user.models import EXAMPLE
from crm_web import ReadUnit, Router

router = Router("identity", tag="Directory")

_COLLEAGUE = {
    "id": EXAMPLE["id"],
    "name": "김철수",
    "position": "Account manager",
    "department_id": EXAMPLE["department_id"],
    "department_name": "Central",
}


@router.get("/directory", access="authenticated", example={"items": [_COLLEAGUE], "next": None})
async def list_directory(
    unit: ReadUnit,
    q: Annotated[str | None, Query(max_length=200)] = None,
    department_id: uuid.UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> models.ColleagueList:
    """Active users by name: who they are and where they stand. `q` is looked for in names."""
    asked = {"q": q, "department_id": None if department_id is None else str(department_id)}
    after: store.Position | None = None
    if cursor is not None:
        name, last = unit.open_cursor(cursor, query=asked)
        after = (name, uuid.UUID(last))
    wanted = store.Filter(department_id=department_id, text=q)
    rows = await store.directory(unit.session, wanted, after=after, limit=limit + 1)
    following = None
    if len(rows) > limit:
        following = unit.sign_cursor([rows[limit - 1]["name_key"], rows[limit - 1]["id"]], query=asked)
    items = [models.Colleague(**{name: row[name] for name in models.Colleague.model_fields}) for row in rows[:limit]]
    return models.ColleagueList(items=items, next=following)
