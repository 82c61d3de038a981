"""`record_router`: all standard operations of a record type."""

from collections.abc import Collection

from crm_records.record_type import RecordType
from crm_records.routes.bulk import add_bulk, add_change_many
from crm_records.routes.history import add_history
from crm_records.routes.lists import add_lists
from crm_records.routes.ownership import add_ownership
from crm_records.routes.single import add_single
from crm_web import Router

#: What can be left out.
_OPTIONAL = frozenset({"list", "create", "update", "delete", "batch"})


def record_router(record: RecordType, *, module: str | None = None, without: Collection[str] = ()) -> Router:
    """The standard operations; a slice adds its own to the router (`@router.post("/customers/{id}/claim", …)`).

    module: the module that tokens must open. without: of `list` (a slice then declares the GET itself, see
    routes.lists), `create`, `update`, `delete` (with restore), `batch`.
    Records without owners have no transfer, members or owner history.
    """
    unknown = set(without) - _OPTIONAL
    if unknown:
        raise TypeError(f"{', '.join(sorted(unknown))} can't be left out")
    router = Router(record.service, tag=record.plural, module=module, scoped=record.scoped)
    add_lists(router, record, listed="list" not in without)
    if "batch" not in without:
        add_bulk(router, record)
    if "update" not in without:
        add_change_many(router, record)
    if record.scoped:
        add_ownership(router, record)
    add_single(router, record, frozenset(without))
    add_history(router, record)
    return router
