"""The replica from events to memory: reactions, the keeper, and the two processes with a row between them."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import orjson
import pytest

from crm_authz import (
    DIRECTORY_TOPICS,
    Directory,
    DirectoryBehind,
    DirectoryKeeper,
    Rule,
    TokenInvalid,
    TokenStale,
    TokenVerifier,
    apply,
    apply_state,
    directory_reactions,
    forget_ended_sessions,
    heard,
    keeper_of,
)
from crm_authz.keeper import LOOK_EVERY
from crm_authz.loading import ReplicaMissing
from crm_contracts import Envelope, identity, registry
from crm_database import Database, ReadSession, WriteContext
from crm_kernel import FixedClock, new_id
from crm_testing.servers import MakeDatabase

from .world import ISSUER, KEY, NOW, issue, migrated, uid

SECOND = dt.timedelta(seconds=1)
HOLDER, ROLE, SESSION, NORTH, SOUTH = uid(1000), uid(4001), uid(6), uid(2), uid(3)


@pytest.fixture
async def database(make_database: MakeDatabase) -> AsyncIterator[Database]:
    async with migrated(make_database()) as opened:
        yield opened


class Monotonic:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def event(type_name: str, subject: uuid.UUID, version: int, state: dict[str, Any]) -> Envelope:
    """One of identity's events, as it travels."""
    data = {
        "version": version,
        "occurred_at": "2026-11-23T12:00:00Z",
        "actor": {"kind": "system"},
        "origin": {"channel": "system"},
        "state": state,
    }
    return Envelope(new_id(), f"crm.identity.{type_name}.v1", "/crm/identity", subject, NOW, orjson.dumps(data))


def user(version: int = 1, subject: uuid.UUID = HOLDER, **more: Any) -> Envelope:
    state = {"name": "Holder", "status": "active", "department_id": NORTH, "role_ids": [ROLE], "epoch": 1, **more}
    return event("user.created" if version == 1 else "user.changed", subject, version, state)


def role(version: int = 1, **more: Any) -> Envelope:
    scopes = {"customers.*": {"*": {"scope": "department"}}}
    return event(
        "role.created" if version == 1 else "role.changed",
        ROLE,
        version,
        {"name": "Sales", "permissions": ["customers.customer:read"], "scopes": scopes, "epoch": 1, **more},
    )


def department(subject: uuid.UUID, parent: uuid.UUID | None = None) -> Envelope:
    state = {"name": "North", "parent_id": parent, "business_area": "sales", "path": [subject]}
    return event("department.created", subject, 1, state)


def ended(ended_at: dt.datetime = NOW) -> Envelope:
    state = {"user_id": HOLDER, "client": "console", "started_at": NOW, "ended_at": ended_at}
    return event("session.ended", SESSION, 2, state)


async def tell(database: Database, *envelopes: Envelope, now: dt.datetime = NOW) -> None:
    """What the worker does: one transaction."""
    async with database.write(WriteContext(now=now)) as session:
        for envelope in envelopes:
            await apply(session, envelope)


async def known(database: Database) -> Directory:
    return await DirectoryKeeper(FixedClock(NOW)).current(database)


async def version(database: Database) -> int:
    async with database.read() as session:
        return int(await session.connection.fetchval("SELECT version FROM directory_version"))


@pytest.mark.requirement("ID-24")
async def test_every_example_of_identitys_events_becomes_part_of_the_directory(database: Database) -> None:
    examples = [
        Envelope(new_id(), name, "/crm/identity", uid(n), NOW, orjson.dumps(_readable(registry.examples[name])))
        for n, (name, model) in enumerate(registry.events.items())
        if model.topic in DIRECTORY_TOPICS
    ]
    assert set(directory_reactions) == set(DIRECTORY_TOPICS)
    await tell(database, *examples)
    directory = await known(database)
    assert directory.version == 1  # One transaction, one version.
    assert directory.company is not None
    assert directory.company.time_zone == "Asia/Seoul"
    assert {u.name for u in directory.users.values()} == {"김철수"}
    assert {d.name for d in directory.departments.values()} == {"Central"}
    # One record for each example, whatever event types there are.
    kinds = {topic: sum(model.topic == topic for model in registry.events.values()) for topic in DIRECTORY_TOPICS}
    assert len(directory.users) == kinds["crm.identity.user"] >= 3
    assert len(directory.departments) == kinds["crm.identity.department"] >= 3
    assert len(directory.roles) == kinds["crm.identity.role"] >= 3
    assert len(directory.sets) == kinds["crm.identity.department-set"] >= 2
    assert len(directory.ended_sessions) == 1  # Of the examples, only this one ended.
    assert set(directory.keys) == {"2026-03-a"}


def _readable(example: dict[str, Any]) -> dict[str, Any]:
    """The example of a key abbreviates its point."""
    if "jwk" not in example["state"]:
        return example
    return {**example, "state": {**example["state"], "jwk": KEY.public_jwk()}}


async def test_a_key_that_is_no_point_does_not_keep_the_others_out(database: Database) -> None:
    await tell(
        database,
        event("signing-key.published", uid(1), 1, {"kid": "bad", "jwk": {"kty": "EC", "crv": "P-256", "x": "…"}}),
        event("signing-key.published", uid(2), 1, {"kid": "good", "jwk": KEY.public_jwk()}),
    )
    assert set((await known(database)).keys) == {"good"}


async def test_events_may_come_twice_and_late_and_in_any_order_across_records(database: Database) -> None:
    facts = [
        [user(1), user(2, department_id=SOUTH), user(3, department_id=SOUTH, epoch=2, name="Renamed")],
        [role(1), role(2, epoch=2)],
        [department(NORTH), department(SOUTH, NORTH)],
    ]
    for seed in range(8):
        random = Random(seed)
        await _wipe(database)
        stream = [fact for of_record in facts for fact in of_record] * 2
        random.shuffle(stream)
        for fact in stream:
            await tell(database, fact)
        directory = await known(database)
        holder = directory.users[HOLDER]
        assert (holder.name, holder.department_id, holder.epoch) == ("Renamed", SOUTH, 2)
        assert directory.roles[ROLE].epoch == 2
        assert directory.owners(Rule("department_tree"), HOLDER) == {HOLDER}


async def _wipe(database: Database) -> None:
    async with database.write(WriteContext(now=NOW)) as session:
        await session.connection.execute("TRUNCATE directory_user, directory_role, directory_department")


async def test_a_type_that_is_not_known_here_is_left_alone(database: Database) -> None:
    await tell(database, event("user.promoted-to-saint", HOLDER, 1, {}))
    assert await version(database) == 0


async def test_a_login_changes_nothing_and_locks_nothing(database: Database) -> None:
    started = {"user_id": HOLDER, "client": "console", "started_at": NOW}
    await tell(database, event("session.started", SESSION, 1, started))
    assert await version(database) == 0


async def test_a_rolled_back_change_raises_no_version(database: Database) -> None:
    async def fail() -> None:
        async with database.write(WriteContext(now=NOW)) as session:
            await apply(session, user())
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await fail()
    assert await version(database) == 0
    assert not (await known(database)).users


async def test_identity_applies_its_own_states(database: Database) -> None:
    async with database.write(WriteContext(now=NOW)) as session:
        state = identity.CompanyState(name="Example", time_zone="Europe/Moscow", currency="RUB")
        await apply_state(session, identity.COMPANY.name, uid(1), 1, state)
    company = (await known(database)).company
    assert company is not None
    assert company.currency == "RUB"


class Counted:
    """A database that counts what is asked of it; the real one answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.looks = 0
        self.loads = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        self.looks += 1
        async with self._database.read() as session:
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[ReadSession]:
        self.loads += 1
        async with self._database.snapshot() as session:
            yield session


async def test_many_requests_at_once_look_once_and_only_every_200_ms(database: Database) -> None:
    await tell(database, user(), role())
    counted: Any = Counted(database)
    clock = Monotonic()
    keeper = DirectoryKeeper(FixedClock(NOW), monotonic=clock)
    found = await asyncio.gather(*(keeper.current(counted) for _ in range(50)))
    assert all(directory is found[0] for directory in found)
    assert (counted.looks, counted.loads) == (1, 1)
    clock.seconds += LOOK_EVERY - 0.01
    await keeper.current(counted)
    assert counted.looks == 1
    clock.seconds += 0.02
    assert await keeper.current(counted) is found[0]
    assert (counted.looks, counted.loads) == (2, 1)


class Slow(Counted):
    """A database whose looks take until the gate is opened, and see what was there before."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.gate = asyncio.Event()
        self.seen = asyncio.Event()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        async with super().read() as session:
            yield session
            self.seen.set()
            await self.gate.wait()


async def test_who_comes_during_a_slow_look_does_not_get_what_is_older_than_200_ms(database: Database) -> None:
    slow: Any = Slow(database)
    clock = Monotonic()
    keeper = DirectoryKeeper(FixedClock(NOW), monotonic=clock)
    await keeper.current(database)
    clock.seconds += 1
    first = asyncio.create_task(keeper.current(slow))
    await slow.seen.wait()
    await tell(database, user())
    clock.seconds += LOOK_EVERY + 0.01
    late = asyncio.create_task(keeper.current(slow))
    await asyncio.sleep(0)
    slow.gate.set()
    assert not (await first).users
    assert HOLDER in (await late).users
    assert slow.looks == 2


async def test_only_the_difference_is_loaded_and_nothing_is_missed(database: Database) -> None:
    clock = Monotonic()
    keeper = DirectoryKeeper(FixedClock(NOW), monotonic=clock)
    await tell(database, user(), role(), department(NORTH))
    first = await keeper.current(database)
    await tell(database, user(2, name="Renamed"))
    await tell(database, ended())
    clock.seconds += 1
    second = await keeper.current(database)
    assert second.users[HOLDER].name == "Renamed"
    assert SESSION in second.ended_sessions
    assert second.roles[ROLE] is first.roles[ROLE]
    assert second.version == 3


async def test_a_request_that_is_cancelled_does_not_end_the_look_of_the_others(database: Database) -> None:
    await tell(database, user())
    keeper = DirectoryKeeper(FixedClock(NOW))
    first, second = (asyncio.create_task(keeper.current(database)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert HOLDER in (await second).users


async def test_a_database_that_cannot_be_asked_is_an_error_not_an_old_answer(database: Database) -> None:
    clock = Monotonic()
    keeper = DirectoryKeeper(FixedClock(NOW), monotonic=clock)
    await keeper.current(database)
    async with database.write(WriteContext(now=NOW)) as session:
        await session.connection.execute("DELETE FROM directory_version")
    clock.seconds += 1
    with pytest.raises(ReplicaMissing):
        await keeper.current(database)


async def test_a_restored_database_is_read_anew(database: Database) -> None:
    clock = Monotonic()
    keeper = DirectoryKeeper(FixedClock(NOW), monotonic=clock)
    await tell(database, user())
    await tell(database, user(2, subject=uid(1001)))
    assert len((await keeper.current(database)).users) == 2
    async with database.write(WriteContext(now=NOW)) as session:
        await session.connection.execute("UPDATE directory_version SET version = 1")
        await session.connection.execute("DELETE FROM directory_user WHERE changed_at_version > 1")
    clock.seconds += 1
    assert set((await keeper.current(database)).users) == {HOLDER}


async def test_concurrent_writers_never_hide_a_change_from_a_reader(database: Database) -> None:
    keeper = DirectoryKeeper(FixedClock(NOW))
    people = [uid(1000 + n) for n in range(30)]

    async def write(subject: uuid.UUID) -> None:
        await tell(database, user(subject=subject))

    async def read() -> None:
        while True:
            if len((await keeper.current(database, at_most=0)).users) == len(people):
                return

    async with asyncio.timeout(20):
        await asyncio.gather(read(), *(write(subject) for subject in people))
    assert await version(database) == len(people)


async def test_what_a_clock_heard_that_was_ahead_counts_no_more_once_it_is_right(database: Database) -> None:
    """Identity's clock and ours were an hour ahead; they are put right, and identity falls silent: that has to be noticed."""
    ahead = NOW + 3600 * SECOND
    for now, sent_at in ((ahead, ahead), (NOW, NOW)):
        async with database.write(WriteContext(now=now)) as session:
            await heard(session, sent_at)
    directory = await DirectoryKeeper(FixedClock(NOW)).current(database)
    assert directory.heard_at == NOW
    assert directory.is_deaf(NOW + 31 * SECOND)


@pytest.mark.parametrize("jump", [0, -1800, -3600, -86_400])
def test_time_goes_on_for_tokens_although_the_clock_is_set_back(jump: int) -> None:
    clock = FixedClock(NOW)
    keeper = DirectoryKeeper(clock)
    clock.advance(400 * SECOND)
    clock.jump(jump * SECOND)
    assert keeper.time() == NOW + 400 * SECOND
    assert keeper.set_back() == -jump * SECOND


def test_a_clock_that_was_ahead_and_is_put_right_is_right() -> None:
    clock = FixedClock(NOW)
    keeper = DirectoryKeeper(clock)
    clock.jump(3600 * SECOND)
    assert keeper.time() == NOW + 3600 * SECOND
    clock.jump(-3600 * SECOND)
    assert (keeper.time(), keeper.set_back()) == (NOW, 0 * SECOND)


def test_a_clock_that_is_put_right_in_small_steps_is_followed() -> None:
    clock = FixedClock(NOW)
    keeper = DirectoryKeeper(clock)
    clock.advance(60 * SECOND)
    clock.jump(-60 * SECOND)
    assert (keeper.time(), keeper.set_back()) == (NOW, 0 * SECOND)


async def test_the_heartbeat_is_heard_when_it_was_sent_and_never_from_the_future(database: Database) -> None:
    clock = Monotonic()
    keeper = DirectoryKeeper(FixedClock(NOW), monotonic=clock)
    assert (await keeper.current(database)).is_deaf(NOW)
    for sent_at, expected in (
        (NOW - 40 * SECOND, NOW - 40 * SECOND),  # Read late: no sign of life.
        (NOW - 50 * SECOND, NOW - 40 * SECOND),  # Older than the last one.
        (NOW + 60 * SECOND, NOW),
        (None, NOW),
    ):
        async with database.write(WriteContext(now=NOW)) as session:
            await heard(session, sent_at)
        clock.seconds += 1
        assert (await keeper.current(database)).heard_at == expected
    assert await version(database) == 0


@pytest.mark.requirement("ID-24")
async def test_a_token_is_refused_from_the_next_look_after_the_event(database: Database) -> None:
    clock = Monotonic()
    keeper = DirectoryKeeper(FixedClock(NOW), monotonic=clock)
    await tell(
        database, user(), role(), event("signing-key.published", uid(1), 1, {"kid": KEY.kid, "jwk": KEY.public_jwk()})
    )
    async with database.write(WriteContext(now=NOW)) as session:
        await heard(session)
    verifier = TokenVerifier(ISSUER)
    token = issue()
    principal = verifier.verify(token, (await keeper.current(database)).keys, NOW)
    assert (await keeper.admit(database, principal)).users[HOLDER].active
    await tell(database, ended())
    clock.seconds += LOOK_EVERY + 0.01
    with pytest.raises(TokenStale):
        await keeper.admit(database, principal)
    retired = {"kid": KEY.kid, "jwk": KEY.public_jwk(), "not_after": NOW}
    await tell(database, event("signing-key.retired", uid(1), 2, retired))
    clock.seconds += LOOK_EVERY + 0.01
    with pytest.raises(TokenInvalid):
        verifier.verify(token, (await keeper.current(database)).keys, NOW)


@pytest.mark.requirement("ID-24")
async def test_a_newer_token_waits_for_its_event_and_gives_up_after_two_seconds(database: Database) -> None:
    keeper = DirectoryKeeper(FixedClock(NOW))
    await tell(database, user(), role())
    async with database.write(WriteContext(now=NOW)) as session:
        await heard(session)
    directory = await keeper.current(database)
    key = {KEY.kid: KEY.verifying()}
    newer = TokenVerifier(ISSUER).verify(issue(epoch=2), key, NOW)
    waiting = asyncio.create_task(keeper.admit(database, newer))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    await tell(database, user(2, epoch=2))
    async with asyncio.timeout(2):
        assert (await waiting).users[HOLDER].epoch == 2
    assert directory.users[HOLDER].epoch == 1
    started = asyncio.get_running_loop().time()
    with pytest.raises(DirectoryBehind):
        await keeper.admit(database, TokenVerifier(ISSUER).verify(issue(epoch=3), key, NOW))
    assert 1.9 <= asyncio.get_running_loop().time() - started < 4


async def test_ended_sessions_are_forgotten_when_no_token_of_them_can_live(database: Database) -> None:
    await tell(database, ended())
    for later, gone in ((599, 0), (600, 1), (601, 0)):
        async with database.write(WriteContext(now=NOW + later * SECOND)) as session:
            assert await forget_ended_sessions(session) == gone


async def test_a_process_has_one_keeper_per_database(database: Database) -> None:
    assert keeper_of(database) is keeper_of(database)
    assert keeper_of(Database(database.pool)) is not keeper_of(database)
