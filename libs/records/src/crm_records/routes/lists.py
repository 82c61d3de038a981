"""Routes: list and search (PL-4, PL-5)."""

from typing import Annotated, Any, Literal

from fastapi import Query

from crm_records.asked import DEFAULT_LIMIT, MAX_LIMIT, FieldsInvalid, SortInvalid, ask, filter_from_query
from crm_records.beside import add_beside
from crm_records.filter.parse import FilterInvalid
from crm_records.listing import read_page
from crm_records.reading import filter_context
from crm_records.record_type import RecordType
from crm_records.routes.bodies import FILTER_WORDS, SORT_WORDS, SearchBody
from crm_records.routes.names import EXAMPLE_CURSOR, example_view, plural, typed
from crm_records.rows import to_bytes
from crm_web import CursorInvalid, Json, ReadUnit, Router

_ERRORS = (FilterInvalid, SortInvalid, FieldsInvalid, CursorInvalid)


def declared_list(record: RecordType) -> dict[str, Any]:
    """What the GET of a list declares: `@router.get(record.path, **declared_list(record))`."""
    return {
        **_declared(record),
        "operation_id": f"list_{plural(record)}",
        "summary": f"List {record.title.lower()} records that you may see",
    }


def _declared(record: RecordType) -> dict[str, Any]:
    return {
        "permission": record.permission("read"),
        "response": record.models.listed,
        "errors": _ERRORS,
        "example": {"items": [example_view(record)], "next": EXAMPLE_CURSOR},
    }


def add_lists(router: Router, record: RecordType, *, listed: bool = True) -> None:
    """Add GET (list) and POST …/search. listed: False leaves the GET to the slice, which answers it with `answer_list`."""
    named = plural(record)
    title = record.title.lower()

    async def list_records(
        unit: ReadUnit,
        filter: Annotated[str | None, Query(description=f"JSON. {FILTER_WORDS}")] = None,
        q: Annotated[
            str | None, Query(description="Text that is looked for in the searchable fields, as a part.")
        ] = None,
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
    ) -> Any:
        return await answer_list(
            unit,
            record,
            filter=filter_from_query(filter),
            q=q,
            sort=sort,
            fields=None if fields is None else [fields],
            limit=limit,
            cursor=cursor,
            count=count,
            deleted=deleted,
            at="query:",
        )

    async def search_records(body: SearchBody, unit: ReadUnit) -> Any:
        return await answer_list(unit, record, **body.__dict__, at="/")

    if listed:
        router.get(record.path, **declared_list(record))(typed(list_records))
    router.post(
        f"{record.path}/search",
        operation_id=f"search_{named}",
        summary=f"List {title} records by a filter in the body",
        reads=True,
        **_declared(record),
    )(search_records)


async def answer_list(unit: ReadUnit, record: RecordType, *, cursor: str | None, at: str, **given: Any) -> Json:
    """A page of records within the caller's scope, from what `ask` takes (`also` with it)."""
    asked = ask(record, filter_context(unit), cursor=cursor, at=at, **given)
    if asked.deleted != "exclude":
        unit.require(record.permission("restore"))
    position = None if cursor is None else unit.open_cursor(cursor, query=asked.binding)
    scope = unit.scope(record.key, "read") if record.scoped else None
    page = await read_page(unit.session, record, scope, asked, position)
    following = None if page.position is None else unit.sign_cursor(page.position, query=asked.binding)
    await add_beside(unit, record, page.items, asked.beside)
    for item in page.items:
        for name in asked.hidden:
            del item[name]
    answer: dict[str, Any] = {"items": page.items, "next": following}
    if page.count is not None:
        answer["count"] = page.count
    return Json(to_bytes(answer))
