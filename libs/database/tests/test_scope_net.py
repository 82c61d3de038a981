"""A statement that reads or changes a scoped table without a scope is never compiled."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.elements import ClauseElement

from crm_database import ScopeMark, UnscopedStatement, query

from .conftest import line, record

MARK = ScopeMark(record, record.c.owner_id == sa.bindparam("owner"))
other = record.alias("other")
cte = sa.select(record.c.id, record.c.name).cte("found")
inner = sa.select(record.c.id).subquery("inside")

#: Every way to a scoped table that we know; each as a function of what is added to its WHERE.
UNSCOPED: dict[str, ClauseElement] = {
    "select of the table": sa.select(record),
    "select of a column": sa.select(record.c.name),
    "count": sa.select(sa.func.count()).select_from(record),
    "count of a column": sa.select(sa.func.count(record.c.id)),
    "select one and lock it": sa.select(record).where(record.c.id == sa.bindparam("id")).with_for_update(),
    "join": sa.select(line.c.quantity).join(record, line.c.record_id == record.c.id),
    "outer join": sa.select(line.c.quantity).select_from(line.outerjoin(record, line.c.record_id == record.c.id)),
    "a column in the where clause only": sa.select(line.c.id).where(line.c.record_id == record.c.id),
    "a column in the order only": sa.select(line.c.id).order_by(record.c.name),
    "alias": sa.select(other.c.name),
    "lateral": sa.select(sa.select(record.c.name).lateral("l").c.name),
    "subquery in FROM": sa.select(inner.c.id),
    "scalar subquery": sa.select(sa.select(sa.func.max(record.c.name)).scalar_subquery()),
    "exists": sa.select(line.c.id).where(sa.exists().where(record.c.id == line.c.record_id)),
    "in": sa.select(line.c.id).where(line.c.record_id.in_(sa.select(record.c.id))),
    "any of an array": sa.select(line.c.id).where(
        line.c.record_id == sa.any_(sa.select(sa.func.array_agg(record.c.id)).scalar_subquery())
    ),
    "CTE": sa.select(cte.c.name),
    "union": sa.union_all(sa.select(line.c.id), sa.select(record.c.id)),
    "case": sa.select(sa.case((record.c.name == "x", 1), else_=0)),
    "window": sa.select(sa.func.row_number().over(order_by=record.c.name)),
    "update": sa.update(record).values(name="x"),
    "update of one": sa.update(record).where(record.c.id == sa.bindparam("at")).values(name="x"),
    "update from": sa.update(line).where(line.c.record_id == record.c.id).values(quantity=1),
    "update with a subquery": sa.update(line).values(quantity=sa.select(sa.func.count(record.c.id)).scalar_subquery()),
    "delete": sa.delete(record),
    "delete using": sa.delete(line).where(line.c.record_id == record.c.id),
    "insert from select": sa.insert(line).from_select(["id"], sa.select(record.c.id)),
    "insert of a subquery's value": sa.insert(line).values(
        id=sa.bindparam("id"), quantity=sa.select(sa.func.count(record.c.id)).scalar_subquery()
    ),
    "insert of many with a subquery's value": sa.insert(line).values(
        [{"id": sa.bindparam("id"), "quantity": sa.select(sa.func.count(record.c.id)).scalar_subquery()}]
    ),
    "insert of a scoped table's rows into itself": sa.insert(record).from_select(["id"], sa.select(record.c.id)),
    "a CTE that deletes": sa.select(sa.delete(record).returning(record.c.id).cte("gone").c.id),
}


@pytest.mark.requirement("PL-30")
@pytest.mark.parametrize("statement", UNSCOPED.values(), ids=UNSCOPED.keys())
def test_a_statement_without_a_scope_is_not_compiled(statement: ClauseElement) -> None:
    with pytest.raises(UnscopedStatement, match="record"):
        query(statement)


@pytest.mark.parametrize("statement", UNSCOPED.values(), ids=UNSCOPED.keys())
def test_saying_why_no_scope_is_needed_lets_it_pass(statement: ClauseElement) -> None:
    assert query(statement, unscoped="a test of the net").sql


SCOPED_ONES: dict[str, Callable[[], ClauseElement]] = {
    "select": lambda: sa.select(record).where(MARK),
    "join": lambda: sa.select(line.c.quantity).join(record, line.c.record_id == record.c.id).where(MARK),
    "alias": lambda: sa.select(other.c.name).where(ScopeMark(record, other.c.owner_id == sa.bindparam("owner"))),
    "subquery": lambda: sa.select(sa.select(record.c.id).where(MARK).subquery().c.id),
    "CTE": lambda: sa.select(sa.select(record.c.id).where(MARK).cte().c.id),
    "update": lambda: sa.update(record).where(MARK).values(name="x"),
    "delete": lambda: sa.delete(record).where(MARK),
}


@pytest.mark.parametrize("statement", SCOPED_ONES.values(), ids=SCOPED_ONES.keys())
def test_with_a_scope_it_compiles_to_what_the_scope_says(statement: Callable[[], ClauseElement]) -> None:
    assert "owner_id = $" in query(statement()).sql


def test_the_scope_of_another_table_does_not_count() -> None:
    foreign = ScopeMark(line, sa.true())
    with pytest.raises(UnscopedStatement):
        query(sa.select(record).where(foreign))


def test_a_scope_that_is_built_but_not_used_does_not_count() -> None:
    assert MARK is not None
    with pytest.raises(UnscopedStatement):
        query(sa.select(record).where(record.c.owner_id == sa.bindparam("owner")))


def test_inserting_rows_needs_no_scope_but_reading_them_while_at_it_does() -> None:
    assert query(sa.insert(record).values(id=sa.bindparam("id"), name=sa.bindparam("name"))).sql
    upsert = insert(record).values(id=sa.bindparam("id"))
    assert query(upsert.on_conflict_do_nothing()).sql
    assert query(upsert.returning(record.c.id)).sql
    with pytest.raises(UnscopedStatement):
        # It changes, and shows, a row that may be somebody else's.
        query(upsert.on_conflict_do_update(index_elements=["id"], set_={"name": "x"}))


def test_a_table_without_scope_is_nobodys_business() -> None:
    assert query(sa.select(line)).sql
    assert query(sa.delete(line)).sql
