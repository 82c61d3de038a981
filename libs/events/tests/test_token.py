"""Consistency tokens (PL-13)."""

import datetime as dt

import pytest

from crm_events import ConsistencyTokens, NotAppliedYet, TokenInvalid, groups_of, token
from crm_kernel.clock import FixedClock
from crm_kernel.ids import new_id

from .conftest import Bench, context, following, until

KEY = bytes(range(32))
NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


def test_a_token_says_what_was_recorded_in_at_most_512_bytes() -> None:
    write = new_id()
    recorded = {f"crm.customers.a-rather-long-record-name-{n}": 1000 for n in range(6)}
    made = token.sign(KEY, write, recorded, NOW)
    assert len(made) <= 512
    assert token.read(KEY, made) == (write, NOW, recorded)


@pytest.mark.parametrize("broken", ["", "a", "a.b", "a.b.c", "é.é", "A" * 600])
def test_what_we_did_not_sign_is_refused(broken: str) -> None:
    with pytest.raises(TokenInvalid):
        token.read(KEY, broken)


def test_a_changed_token_is_refused() -> None:
    made = token.sign(KEY, new_id(), {"crm.a.b": 1}, NOW)
    body, mac = made.split(".")
    with pytest.raises(TokenInvalid):
        token.read(KEY, f"{body[:-2]}AA.{mac}")
    with pytest.raises(TokenInvalid):
        token.read(bytes(32), made)


@pytest.mark.requirement("PL-13")
async def test_a_read_with_the_token_waits_until_the_write_has_arrived(bench: Bench) -> None:
    reactions = [following(bench.things, "follower.things"), following(bench.things, "follower.mail", projection=False)]
    clock = FixedClock(dt.datetime.now(dt.UTC))
    tokens = ConsistencyTokens("follower", KEY, groups_of(reactions), clock)
    database = await bench.database("maker")
    async with database.write(context()) as session:
        assert tokens.token(session) is None
    async with database.write(context()) as session:
        await bench.record_in(session, create=3)
        said = tokens.token(session)
    assert said is not None
    follower = await bench.database("follower")
    with pytest.raises(NotAppliedYet):
        await tokens.wait(said, follower)
    # Only the projection is waited for: the mail group runs nowhere here.
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", reactions[:1])):
        await bench.followed("follower", "follower.things")
        await tokens.wait(said, follower)
    async with database.write(context()) as session:
        await bench.record_in(session, create=1)
        late = tokens.token(session)
    assert late is not None
    clock.advance(dt.timedelta(minutes=11))
    await tokens.wait(late, follower)  # Satisfied by age.


@pytest.mark.requirement("PL-13")
async def test_what_a_group_does_not_want_is_not_waited_for(bench: Bench) -> None:
    only = following(bench.things, "follower.changes", types=frozenset({bench.things.changed.type}))
    tokens = ConsistencyTokens("follower", KEY, groups_of([only]), FixedClock(dt.datetime.now(dt.UTC)))
    maker, follower = await bench.database("maker"), await bench.database("follower")
    async with maker.write(context()) as session:
        await bench.record_in(session, create=2)
        unwanted = tokens.token(session)
    async with maker.write(context()) as session:
        await bench.record_in(session, create=1)
        await bench.record_in(session, change=bench.names[:2])
        both = tokens.token(session)
    assert unwanted is not None
    assert both is not None
    await tokens.wait(unwanted, follower)
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", [only])):

        async def changed() -> bool:
            return len(await bench.effects("follower", "follower.changes")) == 2

        await until(changed, "both changes are applied")
        await tokens.wait(both, follower)


@pytest.mark.requirement("PL-13")
async def test_tokens_of_several_writes_are_waited_for_together(bench: Bench) -> None:
    reactions = [following(bench.things, "follower.things")]
    clock = FixedClock(dt.datetime.now(dt.UTC))
    tokens = ConsistencyTokens("follower", KEY, groups_of(reactions), clock)
    maker, follower = await bench.database("maker"), await bench.database("follower")
    said: list[str] = []
    for number in range(2):
        async with maker.write(context()) as session:
            await bench.record_in(session, create=1)
            said.append(tokens.token(session) or "")
        if number == 0:
            async with bench.running(await bench.worker("maker"), await bench.worker("follower", reactions)):
                await bench.followed("follower", "follower.things")
    await tokens.wait(said[0], follower)
    for together in (", ".join(said), ",".join(reversed(said))):
        with pytest.raises(NotAppliedYet):
            await tokens.wait(together, follower)
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", reactions)):
        await bench.followed("follower", "follower.things")
        await tokens.wait(", ".join(said), follower)
    for refused in (f"{said[0]},", f"{said[0]}, {said[1]}x", ",".join([said[0]] * 9)):
        with pytest.raises(TokenInvalid):
            await tokens.wait(refused, follower)
