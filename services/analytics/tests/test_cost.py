"""How much the database is asked for: statements per request, and none that grows with the rows."""

from typing import Any

import pytest

from crm_analytics.log.months import make_log_months
from crm_database import ReadSession
from crm_kernel import SystemClock

from .company import Company
from .conftest import Analytics


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that requests run, as they are run."""
    seen: list[str] = []
    for name in ("fetch", "first", "value"):
        original = getattr(ReadSession, name)

        async def noted(self: Any, statement: Any, /, _original: Any = original, **parameters: Any) -> Any:
            seen.append(statement.sql)
            return await _original(self, statement, **parameters)

        monkeypatch.setattr(ReadSession, name, noted)
    return seen


async def test_a_report_takes_at_most_three_statements(analytics: Analytics, asked: list[str]) -> None:
    company = Company(61).live(100)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    await analytics.hear(company.history.told, log_too=False)
    token = analytics.token(company.users[0])
    days = {"first": "2017-01-01", "last": "2017-12-31"}
    for report, query in (
        *(
            ("opportunity-outcomes", {"group_by": g})
            for g in ("department", "user", "product", "pipeline", "month", "source")
        ),
        *(("funnel", {"group_by": g}) for g in ("pipeline", "user", "department", "source")),
        *(
            (report, {"group_by": g})
            for report in ("contract-values", "payments-received")
            for g in ("department", "user", "product", "customer", "month")
        ),
        ("sales-brief", {}),
    ):
        asked.clear()
        await analytics.report(report, token, **days, **query)
        own = [sql for sql in asked if "directory_" not in sql]
        assert 1 < len(own) <= 3, (report, query, own)


async def test_the_months_of_the_log_are_made_ahead(analytics: Analytics) -> None:
    now = SystemClock().now()
    for _ in range(2):
        await make_log_months(analytics.database, now)
    told = Company(62).live(5).history.told
    await analytics.hear_log(told)
    async with analytics.database.read() as session:
        children = await session.connection.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event_log'::regclass"
        )
        beside = await session.connection.fetchval("SELECT count(*) FROM event_log_rest")
    assert len(children) == 4
    assert beside == 0
