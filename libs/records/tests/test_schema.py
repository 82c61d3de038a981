"""What the database makes of text; the plans of the hot queries; the DDL that services copy."""

import asyncio
import unicodedata
from typing import Any

import asyncpg
import orjson
import pytest

from crm_authz import Scope
from crm_kernel import CompanyCalendar, new_id
from crm_records import ddl
from crm_records.asked import ask
from crm_records.filter import FilterContext
from crm_records.listing import _page_statement, searched_texts

from .conftest import NOW, World
from .fleet import WORDS, fold
from .sample import VOYAGE, port, voyage


async def test_folding_takes_case_width_and_accents_away(world: World) -> None:
    for word in [*WORDS, "Ёж", "Й", "É", "ﬁ", "ｶﾞ", "가나다", unicodedata.normalize("NFD", "Ёлка é")]:
        (row,) = await world.rows("SELECT crm_fold($1) AS folded", word)
        assert row["folded"] == fold(word), word


async def test_the_index_has_letters_pairs_and_triples_and_a_search_asks_for_the_longest(world: World) -> None:
    (row,) = await world.rows("SELECT crm_grams('김철Su') AS held, crm_grams('') AS nothing, crm_grams('a') AS letter")
    assert sorted(row["held"]) == sorted(["김", "철", "s", "u", "김철", "철s", "su", "김철s", "철su"])
    assert (row["nothing"], row["letter"]) == ([], ["a"])
    for asked, grams in (("김철Su", ["김철s", "철su"]), ("김철", ["김철"]), ("김", ["김"]), ("", [])):
        (row,) = await world.rows("SELECT crm_search_grams($1) AS grams", asked)
        assert row["grams"] == grams


async def test_order_is_by_letters_not_by_code(world: World) -> None:
    words = ["я", "Ёлка", "ель", "é", "f", "Zoo", "apfel", "Äpfel2"]
    sql = "SELECT word FROM unnest($1::text[]) AS w(word) ORDER BY crm_sort_key(word), word"
    rows = await world.rows(sql, words)
    assert [row["word"] for row in rows] == ["apfel", "Äpfel2", "é", "f", "Zoo", "Ёлка", "ель", "я"]


def test_the_tables_statements_are_complete() -> None:
    statements = "\n".join((*ddl(voyage), *ddl(port)))
    for part in (
        "CREATE SEQUENCE voyage_number",
        "GENERATED ALWAYS AS (crm_fold(coalesce(name, '') || chr(10) || coalesce(phone, ''))) STORED",
        "ON voyage (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
        "ON voyage (owner_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
        "ON voyage (crm_sort_key(name), id) WHERE deleted_at IS NULL",
        "USING gin (crm_pairs(search_text, true))",
        "CREATE UNIQUE INDEX uq_port_external ON port (external_system, external_id) WHERE external_id IS NOT NULL",
    ):
        assert part in statements
    assert "ix_port_owner_newest" not in statements


def test_a_pages_limit_stands_in_the_statement() -> None:
    """As a parameter the server takes it for a tenth of the table, and its plan for all values sorts whatever the scope reaches."""
    context = FilterContext(None, tuple, NOW, CompanyCalendar("Asia/Seoul"))
    statement = _page_statement(VOYAGE, scope_of([new_id() for _ in range(50)]), ask(VOYAGE, context, limit=7), 0, None)
    assert "LIMIT 8" in statement.sql


OWNERS = 2000
COUNT = 40_000


@pytest.fixture(scope="module")
def large(postgres_server: Any, shipping_dsn: str) -> Any:
    """Many voyages of many owners, with statistics: (dsn, owners)."""

    async def fill(dsn: str) -> list[Any]:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(
                f"""INSERT INTO voyage (id, version, number, name, insured, status, stop_ids, owner_id, created_at, updated_at)
                SELECT uuidv7(), 1, 'V-' || i, 'Voyage ' || md5(i::text) || CASE WHEN i % 500 = 0 THEN ' 김철수' ELSE '' END, false,
                  'planned', '{{}}', md5((i % {OWNERS})::text)::uuid, now(), now() - i * interval '1 second'
                FROM generate_series(1, {COUNT}) AS i"""
            )
            await connection.execute("VACUUM ANALYZE voyage")
            return [row["owner_id"] for row in await connection.fetch("SELECT DISTINCT owner_id FROM voyage")]
        finally:
            await connection.close()

    del shipping_dsn  # Its template exists by then.
    dsn = postgres_server.create(postgres_server.template("records-shipping", lambda _: None))
    yield dsn, asyncio.run(fill(dsn))
    postgres_server.drop(dsn)


async def plan_of(dsn: str, scope: Scope, *, generic: bool = True, **given: Any) -> tuple[str, list[dict[str, Any]]]:
    """The text of the server's plan, and every node of it, as it was executed.

    generic: the plan for all values, on which the server may settle after some uses of a kept statement.
    """
    context = FilterContext(None, tuple, NOW, CompanyCalendar("Asia/Seoul"))
    asked = ask(VOYAGE, context, **given)
    texts = searched_texts(asked.text)
    statement = _page_statement(VOYAGE, scope, asked, len(texts), None)
    parameters = {**scope.parameters(voyage), **{f"text{i}": text for i, text in enumerate(texts)}}
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"SET plan_cache_mode = force_{'generic' if generic else 'custom'}_plan")
        # By PREPARE and EXECUTE: EXPLAIN of the statement itself is always planned for its values.
        await connection.execute(f"PREPARE page AS {statement.sql}")
        values = ", ".join(_literal(parameters[name]) for name in statement.names)
        execute = f"EXECUTE page({values})" if values else "EXECUTE page"
        (plan,) = orjson.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {execute}"))
        return str(plan), list(_nodes(plan["Plan"]))
    finally:
        await connection.close()


def _literal(value: Any) -> str:
    return "'{" + ",".join(map(str, value)) + "}'" if isinstance(value, list) else f"'{value}'"


def _nodes(plan: dict[str, Any]) -> Any:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def scope_of(owners: list[Any], everything: bool = False) -> Scope:
    return Scope("shipping.voyage", "read", everything, frozenset(owners), None if everything else owners[0], NOW)


@pytest.mark.requirement("PL-4")
async def test_the_first_page_walks_an_index_at_every_width(large: tuple[str, list[Any]]) -> None:
    """Rows looked at stay near what is shown, however large the table is."""
    dsn, owners = large
    for count, index in (
        (1, "owner_newest"),
        (8, "owner_newest"),
        (16, "owner_newest"),
        (1000, "newest"),
        (0, "newest"),
    ):
        # With many owners the server keeps planning for the values: its plan for all costs more, on any table large enough to matter.
        scope = scope_of(owners[:count] or owners[:1], everything=count == 0)
        text, nodes = await plan_of(dsn, scope, generic=count <= 16)
        assert f"ix_voyage_{index}" in text, (count, text)
        assert "Seq Scan" not in {node["Node Type"] for node in nodes if node.get("Relation Name") == "voyage"}, count
        looked_at = sum(
            node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0) * node["Actual Loops"]
            for node in nodes
            if node.get("Relation Name") == "voyage"
        )
        assert looked_at <= 51 * max(count, 3) + 51 if count <= 16 else looked_at <= 51 * 4, (count, looked_at)


@pytest.mark.requirement("PL-11")
async def test_a_search_for_two_korean_letters_uses_the_index(large: tuple[str, list[Any]]) -> None:
    dsn, owners = large
    for scope in (scope_of(owners[:1]), scope_of(owners[:100]), scope_of(owners, everything=True)):
        text, nodes = await plan_of(dsn, scope, generic=False, q="김철")
        assert "Seq Scan" not in {node["Node Type"] for node in nodes if node.get("Relation Name") == "voyage"}
        assert "ix_voyage_grams" in text or "ix_voyage_owner_newest" in text
