"""Rule 11: an older state never overwrites a newer one, in whichever replica. Taken out, the service's own tests notice.

The directory's replica has its guard test in libs/authz/tests/test_guards.py (`test_events_that_overwrite_newer_ones_are_noticed`).
"""

from typing import Any

import pytest
from services.analytics.tests import test_facts
from services.analytics.tests.conftest import Analytics, analytics, analytics_dsn, analytics_template
from services.sales.tests.conftest import rep, sales, sales_dsn
from services.sales.tests.opportunity import test_customers

from crm_analytics.facts import store as facts
from crm_records.replica import store as replicas
from crm_testing.service import Caller, Running

__all__ = ["analytics", "analytics_dsn", "analytics_template", "rep", "sales", "sales_dsn"]


async def test_guard_without_the_version_sales_takes_older_customers_back(
    sales: Running, rep: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replicas.upsert_sql

    def unversioned(table: Any) -> str:
        broken = whole(table).replace("WHERE r.version < excluded.version", "")
        assert broken != whole(table)
        return broken

    monkeypatch.setattr(replicas, "upsert_sql", unversioned)
    with pytest.raises(AssertionError):
        await test_customers.test_older_events_change_nothing_whenever_they_come(sales, rep)


async def test_with_the_version_sales_takes_none_back(sales: Running, rep: Caller) -> None:
    await test_customers.test_older_events_change_nothing_whenever_they_come(sales, rep)


async def test_guard_without_the_version_facts_go_back(analytics: Analytics, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = facts.upsert_sql

    def unversioned(table: Any, moments: Any) -> str:
        sql = whole(table, moments)
        broken = sql.replace("excluded.version > t.version", "true")
        assert broken != sql
        return broken

    monkeypatch.setattr(facts, "upsert_sql", unversioned)
    with pytest.raises(AssertionError):
        await test_facts.test_even_events_of_one_record_in_the_wrong_order_end_in_its_newest_state(analytics)


async def test_guard_without_a_moments_version_an_earlier_closing_takes_the_credit_back(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = facts.upsert_sql

    def unversioned(table: Any, moments: Any) -> str:
        sql = whole(table, moments)
        for moment in moments:
            sql = sql.replace(
                f"excluded.{moment}_version > coalesce(t.{moment}_version, 0)", f"excluded.{moment}_version IS NOT NULL"
            )
        return sql

    monkeypatch.setattr(facts, "upsert_sql", unversioned)
    with pytest.raises(AssertionError):
        await test_facts.test_an_earlier_closing_never_takes_the_credit_back(analytics)


async def test_with_the_versions_facts_stay(analytics: Analytics) -> None:
    await test_facts.test_an_earlier_closing_never_takes_the_credit_back(analytics)
