"""The reactions as the worker runs them: watermark, inbox, transaction of crm_events, without a broker between."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from crm_analytics.app import SERVICE
from crm_analytics.facts.rules import OWNED, TOPICS
from crm_contracts import Envelope, registry
from crm_events import groups_of
from crm_events.consumer import failures, store
from crm_events.consumer.apply import Applier
from crm_events.consumer.store import Place
from crm_kernel import SystemClock, new_id

from .company import Company
from .conftest import Analytics
from .history import STREAM, data_of
from .tables import facts_of

GROUPS = {group.name: group for group in groups_of(SERVICE.reactions)}


async def deliver(analytics: Analytics, group: str, envelopes: Sequence[Envelope], *, batch: int = 50) -> None:
    """Hand records to a group as they lie in the logs: neighbours of one partition together."""
    applier = Applier(GROUPS[group], analytics.database, SystemClock(), asyncio.Event())
    at = 0
    while at < len(envelopes):
        first = envelopes[at]
        run = [first]
        for following in envelopes[at + 1 : at + batch]:
            if (following.topic, following.partition) != (first.topic, first.partition):
                break
            run.append(following)
        await applier.settle(Place(group, first.topic, first.partition), run)
        at += len(run)


def test_every_topic_of_this_service_is_logged_and_facts_come_from_known_topics() -> None:
    assert set(GROUPS) == {"analytics.log", "analytics.facts"}
    wanted = {topic.name for topic in registry.consumed_by("analytics")}
    assert set(GROUPS["analytics.log"].topics) == wanted
    assert set(GROUPS["analytics.facts"].topics) == set(TOPICS) <= wanted
    # Whatever has owners and becomes a fact is scoped by the name that the producing service uses.
    assert {topic: f"crm.{record}" for topic, record in OWNED.items()} == {topic: topic for topic in OWNED}


@pytest.mark.parametrize("seed", [51, 52])
async def test_doubles_wipes_and_resends_end_in_the_same_facts_and_log(analytics: Analytics, seed: int) -> None:
    company = Company(seed).live(150)
    told = company.history.told
    fact_events = [e for e in told if e.topic in TOPICS]
    await analytics.hear(fact_events, log_too=False)
    expected = await facts_of(analytics.database)
    async with analytics.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET TRANSACTION READ WRITE")
        await connection.execute(f"TRUNCATE {', '.join(expected)}, progress")
    chance = random.Random(seed)
    order = company.history.interleaved(seed)
    for group, wanted in (("analytics.log", order), ("analytics.facts", [e for e in order if e.topic in TOPICS])):
        at = 0
        while at < len(wanted):
            # Some records, then some of the past once more; and some of the future, which must not be applied before their turn.
            step = chance.randrange(1, 30)
            await deliver(analytics, group, wanted[at : at + step], batch=chance.choice((1, 8)))
            back = max(0, at - 20)
            await deliver(analytics, group, wanted[back : at + step])
            await deliver(analytics, group, wanted[at + step + 3 : at + step + 6])
            at += step
    assert await facts_of(analytics.database) == expected
    async with analytics.database.read() as session:
        rows = await session.connection.fetch("SELECT id, topic, partition, number FROM event_log ORDER BY position")
        inbox = await session.connection.fetchval("SELECT count(*) FROM inbox")
        marks = await store.watermarks(session, "analytics.log")
    assert sorted(row["id"] for row in rows) == sorted(e.id for e in told)
    assert inbox == len(told) + len(fact_events)
    per_partition: dict[Any, list[int]] = {}
    for row in rows:
        per_partition.setdefault((row["topic"], row["partition"]), []).append(row["number"])
    for place, numbers in per_partition.items():
        assert numbers == list(range(1, len(numbers) + 1)), "the log keeps the order of each partition"
        assert (marks[place].stream, marks[place].number) == (STREAM, len(numbers))


async def test_poison_waits_alone_and_holds_back_only_its_own_record(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "POISON_PAUSES", [0.0] * len(failures.POISON_PAUSES))
    company = Company(53)
    history, user = company.history, company.users[0]
    ill, well = (history.opportunity(user, company.pipeline) for _ in range(2))
    history.transfer(ill, company.users[1])
    broken = replace(history.told[-1], data=b'{"version": 2, "state": {}}')
    history.transfer(ill, company.users[2])
    history.transfer(well, company.users[2])
    await deliver(analytics, "analytics.facts", [broken if e.id == broken.id else e for e in history.told])
    async with analytics.database.read() as session:
        owners = dict(await session.connection.fetch("SELECT id, owner_id FROM opportunity_fact"))
        letters = [row["event_id"] for row in await session.connection.fetch("SELECT event_id FROM dead_letter")]
    assert letters == [broken.id]
    assert owners == {ill.id: user, well.id: company.users[2]}


def _examples() -> list[str]:
    return sorted(name for name, model in registry.events.items() if model.topic in TOPICS)


async def test_every_example_of_every_contract_is_taken_in_as_it_stands(analytics: Analytics) -> None:
    """Also without the members that have defaults: earlier versions of a producer don't send the later ones."""
    import orjson

    for number, name in enumerate(_examples(), 1):
        model = registry.events[name]
        full = model.model_validate(registry.examples[name]).model_dump_json().encode()
        for data in (orjson.dumps(registry.examples[name]), full):
            envelope = replace(
                Company(0).history.told[0],
                id=new_id(),
                type=name,
                topic=model.topic,
                subject=new_id(),
                data=data,
                sequence=number,
            )
            await analytics.hear([envelope])
            assert data_of(envelope)["version"] >= 1
    facts = await facts_of(analytics.database)
    assert all(rows for table, rows in facts.items() if table != "record_member")


async def test_a_fact_is_visible_in_the_report_of_the_very_next_request(analytics: Analytics) -> None:
    company = Company(54)
    history, user = company.history, company.users[0]
    deal = history.opportunity(user, company.pipeline, value=("7", "USD"))
    await analytics.organise(history.place, history.parent, company.superior)
    await deliver(analytics, "analytics.facts", history.told)
    token = analytics.token(user)
    asked = {"first": "2017-01-01", "last": "2017-12-31", "group_by": "year"}
    assert (await analytics.report("opportunity-outcomes", token, **asked))["total"]["open"]["count"] == 1
    history.close(deal, "won")
    await deliver(analytics, "analytics.facts", history.told[-1:])
    assert (await analytics.report("opportunity-outcomes", token, **asked))["total"]["won"]["count"] == 1
