"""Activities over HTTP: the standard operations; the list can be asked for what is about one record."""

from typing import Annotated, Literal

from fastapi import Query

from crm_kernel.errors import FieldError
from crm_records import FieldProblem, record_router
from crm_records.asked import DEFAULT_LIMIT, MAX_LIMIT, Also, filter_from_query
from crm_records.filter.conditions import Condition
from crm_records.routes.bodies import FILTER_WORDS, SORT_WORDS
from crm_records.routes.lists import answer_list, declared_list
from crm_sales.activity.known import visible_links
from crm_sales.activity.record import ACTIVITY
from crm_sales.activity.rules import LinkUnknown
from crm_sales.activity.tables import LINKS
from crm_web import Json, ReadUnit, Router

router: Router = record_router(ACTIVITY, without={"list"})

_LIST = declared_list(ACTIVITY)
_ABOUT = "Only activities about this record, `customers.customer:<id>`, which you must see. They are those within your own scope."


@router.get(ACTIVITY.path, **{**_LIST, "errors": (*_LIST["errors"], LinkUnknown)})
async def list_activities(
    unit: ReadUnit,
    about: Annotated[str | None, Query(max_length=100, description=_ABOUT)] = None,
    filter: Annotated[str | None, Query(description=f"JSON. {FILTER_WORDS}")] = None,
    q: Annotated[str | None, Query(description="Text that is looked for in the searchable fields, as a part.")] = None,
    sort: Annotated[str | None, Query(max_length=300, description=SORT_WORDS)] = None,
    fields: Annotated[
        str | None, Query(max_length=3000, description="Only these members, separated by commas.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=4000)] = None,
    count: Annotated[Literal["exact", "estimate", "none"], Query()] = "none",
    deleted: Annotated[
        Literal["exclude", "only", "include"], Query(description="Deleted ones; needs the permission to restore.")
    ] = "exclude",
) -> Json:
    return await answer_list(
        unit,
        ACTIVITY,
        filter=filter_from_query(filter),
        also=None if about is None else await _about(unit, about),
        q=q,
        sort=sort,
        fields=None if fields is None else [fields],
        limit=limit,
        cursor=cursor,
        count=count,
        deleted=deleted,
        at="query:",
    )


async def _about(unit: ReadUnit, about: str) -> Also:
    """The condition that an activity is about this record. Raises LinkUnknown when the caller doesn't see the record."""
    try:
        link = LINKS.named(about)
    except FieldProblem as problem:
        raise LinkUnknown(errors=[FieldError("query:about", problem.code, problem.detail)]) from None
    if link not in await visible_links(unit, [link]):
        raise LinkUnknown(errors=[FieldError("query:about", LinkUnknown.code, LinkUnknown.title)])
    return Also(Condition(LINKS, "contains", (link.id,)), {"about": str(link.id)})
