"""G3: fifty identical requests under one key do their work once and are all answered the same, although the service dies meanwhile.

Small here; full size (`./crm bench faults --gate G3 --full`): 1,000 keys, the service killed 50 times.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from journeys.person import Person, whole
from journeys.victim import KINDS, Victim, victim_of

from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import migrated, running
from crm_web import idempotency
from crm_web.service import load_service

from .gate import FULL, held

KEYS = 1_000 if FULL else 12
KILLS = 50 if FULL else 3
AT_ONCE = 50
#: Keys that are worked on at the same time.
KEYS_AT_ONCE = 4
#: Seconds that one request is tried again for.
PATIENCE = 120.0
PATH = whole("customers/customers")

#: async (headers, body) → the answer. Raises httpx.TransportError where nobody answers.
Ask = Callable[[Mapping[str, str], Any], Awaitable[httpx.Response]]


async def _answered(ask: Ask, key: str, body: Any) -> httpx.Response:
    """The answer of somebody who tries again under the same key, as any client does, until it is one."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            answer = await ask({"idempotency-key": key}, body)
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
        else:
            again = answer.status_code in (429, 502, 503, 504) or (
                answer.status_code in (401, 409) and answer.json().get("code") in ("token.stale", "idempotency.running")
            )
            if not again or time.monotonic() > until:
                return answer
        await asyncio.sleep(0.05)  # Between tries, as any client.


async def one_key(mine: Ask, anothers: Ask, number: int, done: list[str]) -> None:
    """AT_ONCE identical requests; then another body under the key, and the same request of somebody else's. `done` gets the record's id.

    AssertionError when the answers differ, another body is taken, or somebody gets another's answer.
    """
    key, body = uuid.uuid4().hex, {"name": f"Once {number} {uuid.uuid4().hex[:8]}"}
    answers = await asyncio.gather(*(_answered(mine, key, body) for _ in range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {201}, Counter(answer.status_code for answer in answers)
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["etag"] for answer in answers}) == 1
    other = await _answered(mine, key, {"name": "Another body"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.key_reused")
    theirs = await _answered(anothers, key, body)
    assert theirs.status_code == 201
    made, apart = answers[0].json(), theirs.json()
    assert apart["id"] != made["id"]
    assert apart["owner_id"] != made["owner_id"]
    done.append(str(made["id"]))


async def every_key(mine: Ask, anothers: Ask, keys: int, done: list[str]) -> None:
    """So many keys, a few at a time; `done` grows with each."""
    numbers = iter(range(keys))

    async def some() -> None:
        for number in numbers:
            await one_key(mine, anothers, number, done)

    async with asyncio.TaskGroup() as group:
        for _ in range(KEYS_AT_ONCE):
            group.create_task(some())


@pytest.fixture(scope="module", params=KINDS)
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A company on a stack of its own, on each broker."""
    with victim_of(request.param, tmp_path_factory) as found:
        yield found


@pytest.mark.requirement("PL-8")
def test_identical_requests_make_one_record_and_get_one_answer_although_the_service_dies(victim: Victim) -> None:
    company = victim.company
    mine, anothers = company.administrator, company.hire("Another", "super_administrator", company.root)
    app = next(part for part in victim.processes if part in ("customers", "customers-app"))
    done: list[str] = []
    killed = 0

    async def work() -> None:
        nonlocal killed
        limits = httpx.Limits(max_connections=KEYS_AT_ONCE * AT_ONCE)
        async with httpx.AsyncClient(base_url=company.stack.address, timeout=60.0, limits=limits) as client:
            asking = asyncio.create_task(every_key(_asks(client, mine), _asks(client, anothers), KEYS, done))
            for number in range(KILLS):
                while len(done) < KEYS * number // KILLS and not asking.done():
                    await asyncio.wait({asking}, timeout=0.02)
                if asking.done():
                    break
                await asyncio.to_thread(victim.kill, app)
                killed += 1
            await asking

    began = time.monotonic()
    asyncio.run(work())
    seconds = time.monotonic() - began
    assert (len(done), len(set(done)), killed) == (KEYS, KEYS, KILLS)
    names = Counter(one["name"] for one in mine.pages("customers/customers") if one["name"].startswith("Once "))
    assert len(names) == KEYS
    # Mine and the other's.
    assert set(names.values()) == {2}
    held(
        "G3",
        broker="embedded broker" if victim.kafka is None else "Apache Kafka",
        keys=KEYS,
        identical_requests_a_key=AT_ONCE,
        killed=killed,
        records=len(set(done)),
        seconds=round(seconds),
    )


def _asks(client: httpx.AsyncClient, person: Person) -> Ask:
    """Somebody's POST through the gateway; a token that a service takes no more, for it heard nothing for a while, is renewed."""
    renewing = asyncio.Lock()

    async def ask(headers: Mapping[str, str], body: Any) -> httpx.Response:
        async with renewing:
            if time.monotonic() > person._expires_at:
                await asyncio.to_thread(person.refresh)
            token = person.access_token
        answer = await client.post(PATH, json=body, headers={**headers, "authorization": f"Bearer {token}"})
        if answer.status_code == 401 and answer.json().get("code") == "token.stale":
            async with renewing:
                if person.access_token == token:
                    await asyncio.to_thread(person.refresh)
        return answer

    return ask


@pytest.fixture
def customers_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(migrated("customers", postgres_server))


async def test_the_gate_notices_that_answers_are_not_kept(customers_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same questions to one service in this process: with its guard they hold, without it they don't."""
    async with running(load_service("customers"), customers_dsn) as service:

        def asks(token: str) -> Ask:
            async def ask(headers: Mapping[str, str], body: Any) -> httpx.Response:
                given = {**headers, "authorization": f"Bearer {token}"}
                return await service.client.post(PATH, json=body, headers=given)

            return ask

        mine, anothers = asks(service.token(service.people.rep)), asks(service.token(service.people.colleague))
        await every_key(mine, anothers, 2, [])

        async def keep(*_: Any, **__: Any) -> None:
            return

        monkeypatch.setattr(idempotency.Key, "keep", keep)
        with pytest.raises(ExceptionGroup) as noticed:
            await every_key(mine, anothers, 2, [])
        assert noticed.group_contains(AssertionError)
