"""Parts of the reports' queries, and the names of products, pipelines and stages."""

import uuid
from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_analytics.facts.tables import customer_fact, pipeline, pipeline_stage, product
from crm_analytics.report.parameters import Whose
from crm_authz import Scope
from crm_database import Query, ReadSession, query

#: The days of the period that a report is about.
FIRST: Final = sa.bindparam("first", type_=sa.Date)
LAST: Final = sa.bindparam("last", type_=sa.Date)

_KEYS = sa.bindparam("keys", type_=ARRAY(sa.Uuid))
_NAMES = {
    "product": query(sa.select(product.c.id, product.c.name).where(product.c.id == sa.any_(_KEYS))),
    "pipeline": query(sa.select(pipeline.c.id, pipeline.c.name).where(pipeline.c.id == sa.any_(_KEYS))),
}
_STAGES = query(
    sa.select(
        pipeline_stage.c.id,
        pipeline_stage.c.name,
        pipeline_stage.c.position,
        pipeline_stage.c.pipeline_id,
        pipeline.c.name.label("pipeline_name"),
    )
    .select_from(pipeline_stage.outerjoin(pipeline, pipeline.c.id == pipeline_stage.c.pipeline_id))
    .where(pipeline_stage.c.pipeline_id == sa.any_(_KEYS))
)


async def names(session: ReadSession, kind: str, keys: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Names of products or pipelines (`kind`), as far as they are known; also of deleted ones."""
    if not keys or kind not in _NAMES:
        return {}
    return {row["id"]: row["name"] for row in await session.fetch(_NAMES[kind], keys=list(keys))}


#: Compiled statements, by the shape of the scope.
_customer_names: dict[Any, Query] = {}


async def customer_names(session: ReadSession, scope: Scope, keys: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Names of those customers that the scope reaches and that are not deleted."""
    if not keys:
        return {}
    c = customer_fact.c
    statement = _customer_names.get(scope.shape)
    if statement is None:
        found = sa.select(c.id, c.name).where(
            c.id == sa.any_(_KEYS), c.name.is_not(None), c.deleted.is_(False), scope.open_predicate(customer_fact)
        )
        statement = _customer_names[scope.shape] = query(found)
    rows = await session.fetch(statement, keys=list(keys), **scope.parameters(customer_fact))
    return {row["id"]: row["name"] for row in rows}


async def stages(session: ReadSession, pipelines: Collection[uuid.UUID]) -> dict[uuid.UUID, Any]:
    """The stages that pipelines have or had: name, position, pipeline."""
    return {row["id"]: row for row in await session.fetch(_STAGES, keys=list(pipelines))}


def credited(
    user: sa.ColumnElement[Any], path: sa.ColumnElement[Any], filters: Collection[str]
) -> list[sa.ColumnElement[bool]]:
    """Conditions on a credit. filters: which of `user`, `department` are asked for; values by the same names."""
    conditions: list[sa.ColumnElement[bool]] = []
    if "user" in filters:
        conditions.append(user == sa.bindparam("user", type_=sa.Uuid))
    if "department" in filters:
        conditions.append(sa.bindparam("department", type_=sa.Uuid) == sa.any_(path))
    return conditions


def asked_for(whose: Whose) -> dict[str, uuid.UUID]:
    """The values for `credited`, by name; its keys are the filters."""
    return {
        name: value for name, value in (("user", whose.user), ("department", whose.department)) if value is not None
    }
