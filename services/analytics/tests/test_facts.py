"""Facts don't depend on how often, in which batches, or in which order of records the events come."""

import datetime as dt
import random
from typing import Any

import pytest

from crm_analytics.facts.rules import Unfit
from crm_database import UnscopedStatement, query

from .company import Company
from .conftest import Analytics
from .history import data_of
from .tables import facts_of


@pytest.mark.parametrize("seed", range(4))
async def test_any_interleaving_and_any_batches_give_the_same_facts(analytics: Analytics, seed: int) -> None:
    company = Company(seed).live(200)
    await analytics.hear(company.history.told, batch=1000, log_too=False)
    expected = await facts_of(analytics.database)
    assert all(expected.values()), "the history fills every table"
    await _forget(analytics)
    await analytics.hear(company.history.interleaved(seed), batch=random.Random(seed).choice((1, 3, 17)), log_too=False)
    assert await facts_of(analytics.database) == expected


async def test_doubles_and_replays_have_no_effect(analytics: Analytics) -> None:
    """The inbox keeps doubles away; should it ever fail, the facts hold all the same."""
    company = Company(11).live(150)
    told = company.history.told
    await analytics.hear(told, log_too=False)
    expected = await facts_of(analytics.database)
    chance = random.Random(11)
    for _ in range(3):
        start = chance.randrange(len(told))
        await analytics.hear(told[start : start + 60], batch=chance.choice((1, 10)), log_too=False)
        assert await facts_of(analytics.database) == expected
    await analytics.hear([e for e in told for _ in range(2)], batch=9, log_too=False)
    assert await facts_of(analytics.database) == expected


@pytest.mark.requirement("AN-6")
async def test_an_earlier_closing_never_takes_the_credit_back(analytics: Analytics) -> None:
    company = Company(16)
    history, (first, second) = company.history, company.users[:2]
    deal = history.opportunity(first, company.pipeline)
    history.close(deal, "won")
    earlier = history.told[-1]
    history.reopen(deal)
    history.transfer(deal, second)
    history.close(deal, "won")
    await analytics.hear(history.told, batch=1, log_too=False)
    expected = await facts_of(analytics.database)
    assert second in expected["opportunity_fact"][0]
    await analytics.hear([earlier], log_too=False)
    assert await facts_of(analytics.database) == expected


@pytest.mark.requirement("AN-6")
@pytest.mark.parametrize("batch", [1, 10])
async def test_a_first_deal_that_was_moved_back_counts_on_its_earlier_day(analytics: Analytics, batch: int) -> None:
    """`dealt` is told again when an earlier deal is heard of later: once more is not twice, and the last word counts."""
    company = Company(17)
    history, user = company.history, company.users[0]
    customer = history.customer(user)
    late, early = history.now, history.now - dt.timedelta(days=3)
    for at in (late, early):
        customer.state |= {"lifecycle": "customer", "dealt_at": at}
        history.tell(customer, "dealt", occurred_at=at)

    async def dealt() -> list[Any]:
        async with analytics.database.read() as session:
            rows = await session.connection.fetch("SELECT dealt_at, dealt_version, dealt_user_id FROM customer_fact")
        return [tuple(row) for row in rows]

    await analytics.hear(history.told, batch=batch, log_too=False)
    assert await dealt() == [(early, 3, user)]
    await _forget(analytics)
    await analytics.hear(history.told[::-1], batch=batch, log_too=False)
    assert await dealt() == [(early, 3, user)]


async def test_even_events_of_one_record_in_the_wrong_order_end_in_its_newest_state(analytics: Analytics) -> None:
    company = Company(12).live(150)
    told = [*company.history.told]
    await analytics.hear(told, log_too=False)
    expected = await facts_of(analytics.database)
    await _forget(analytics)
    random.Random(12).shuffle(told)
    await analytics.hear(told, batch=7, log_too=False)
    assert await facts_of(analytics.database) == expected


async def test_a_type_that_is_not_known_yet_is_left_alone(analytics: Analytics) -> None:
    company = Company(13).live(20)
    newer = [_retyped(e, e.type.replace(".v1", ".v9")) for e in company.history.told]
    await analytics.hear_facts(newer)
    assert not any((await facts_of(analytics.database)).values())
    await analytics.hear_log(newer)
    async with analytics.database.read() as session:
        assert await session.connection.fetchval("SELECT count(*) FROM event_log") == len(newer)


async def test_data_that_breaks_its_contract_is_refused_and_leaves_nothing(analytics: Analytics) -> None:
    company = Company(14).live(20)
    told = company.history.told
    broken = _with_data(told[-1], b'{"version": 1}')
    with pytest.raises(Unfit):
        await analytics.hear_facts([*told[:-1], broken])
    assert not any((await facts_of(analytics.database)).values())


@pytest.mark.requirement("PL-30")
async def test_facts_with_an_owner_can_not_be_read_without_a_scope() -> None:
    import sqlalchemy as sa

    from crm_analytics.facts import tables

    for table in (
        tables.opportunity_fact,
        tables.customer_fact,
        tables.contact_fact,
        tables.contract_fact,
        tables.payment_fact,
        tables.activity_fact,
    ):
        with pytest.raises(UnscopedStatement):
            query(sa.select(table.c.id))


async def test_events_say_who_shares_in_a_record(analytics: Analytics) -> None:
    company = Company(15)
    history, (a, b) = company.history, company.users[:2]
    deal = history.opportunity(a, company.pipeline)
    history.share(deal, (b, "read", None), (a, "write", history.now))
    history.share(deal, (b, "write", None))
    await analytics.hear(history.told, batch=1, log_too=False)
    members = (await facts_of(analytics.database))["record_member"]
    assert members == [("sales.opportunity", deal.id, b, "write", None)]
    assert data_of(history.told[-1])["access"]["members"][0]["right"] == "write"
    history.share(deal)
    await analytics.hear(history.told[-1:], log_too=False)
    assert (await facts_of(analytics.database))["record_member"] == []


def _retyped(envelope, type_name):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(envelope, type=type_name)


def _with_data(envelope, data):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(envelope, data=data)


async def _forget(analytics: Analytics) -> None:
    async with analytics.database.pool.acquire() as connection:
        tables = ", ".join(await _names(analytics))
        async with connection.transaction(readonly=False):
            await connection.execute("SET TRANSACTION READ WRITE")
            await connection.execute(f"TRUNCATE {tables}, progress")


async def _names(analytics: Analytics) -> list[str]:
    return [*(await facts_of(analytics.database))]
