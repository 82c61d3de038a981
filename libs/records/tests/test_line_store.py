"""Lines in their table: in order, for many records at once, replaced as a whole."""

import uuid
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_database import Database, WriteContext, service_metadata
from crm_kernel import Money
from crm_records.lines import Line, line_ddl_1, line_table, lines_of, replace_lines
from crm_testing.servers import MakeDatabase, SharedPostgres

from .replicas import NOW, execute

metadata = service_metadata()
deal = sa.Table("deal", metadata, sa.Column("id", sa.Uuid, primary_key=True))
deal_line = line_table(metadata, deal)


@pytest.fixture
def deals_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    tables = ("CREATE TABLE deal (id UUID PRIMARY KEY)", *line_ddl_1("deal"))
    return make_database(postgres_server.template("records-deals", lambda dsn: execute(dsn, tables)))


@pytest.fixture
async def database(deals_dsn: str) -> AsyncIterator[Database]:
    found = await Database.open(deals_dsn, name="deals")
    yield found
    await found.close()


def line(quantity: str, minor: int = 100) -> Line:
    price = Money(minor, "KWD")
    return Line(uuid.uuid4(), uuid.uuid4(), Decimal(quantity), price, Money(minor + 1, "KWD"), Decimal("0.000001"))


@pytest.mark.requirement("SA-5")
async def test_lines_are_kept_exactly_in_order_and_replaced_as_a_whole(database: Database) -> None:
    one, other, third = (uuid.uuid4() for _ in range(3))
    first = {one: (line("0.000001"), line("1000000000")), other: (line("3"),), third: ()}
    async with database.write(WriteContext(now=NOW)) as session:
        await session.connection.executemany("INSERT INTO deal VALUES ($1)", [(one,), (other,), (third,)])
        await replace_lines(session, deal_line, first, new=[one, other, third])
        assert await lines_of(session, deal_line, [third, one, other]) == first
    changed = (first[one][1], line("2"))
    async with database.write(WriteContext(now=NOW)) as session:
        await replace_lines(session, deal_line, {one: changed, third: (line("1"),)})
        await replace_lines(session, deal_line, {third: ()})
        await replace_lines(session, deal_line, {})
    async with database.read() as session:
        assert await lines_of(session, deal_line, [one, other, third]) == {one: changed, other: first[other], third: ()}
        assert await lines_of(session, deal_line, []) == {}
        assert await session.connection.fetchval("SELECT count(*) FROM deal_line") == 3
