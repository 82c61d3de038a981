"""What was submitted stays what it was: in Python, in the database, and against hands in the database."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from crm_approvals.snapshots import digest_of, frozen
from crm_kernel import Money, new_id

from .conftest import World


@pytest.mark.requirement("BI-15")
@pytest.mark.parametrize(
    "content",
    [
        {},
        {"b": 1, "a": {"z": None, "y": [True, False, []]}},
        {"이름": "주식회사 Ёж ﬁ ｶﾞ 🦢", "": "", 'quote"\\/\n\t': "\u2028\x7f"},
        {"most": 2**63 - 1, "least": -(2**63), "beyond doubles": 2**53 + 1, "zero": 0},
        {"id": new_id(), "on": dt.date(2026, 2, 28), "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"numbers as text": ["1.10", "1e5", "-0"], "deep": [[[[{"a": [{"b": []}]}]]]]},
    ],
)
async def test_the_digest_is_the_same_before_and_after_the_database(world: World, content: dict[str, Any]) -> None:
    snapshot = frozen(content)
    ((stored,),) = await world.rows("SELECT $1::jsonb", snapshot)
    assert stored == snapshot
    assert digest_of(stored) == digest_of(snapshot)


def test_the_digest_does_not_go_by_the_order_of_names_but_by_every_value() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    different = [{"a": 1}, {"a": "1"}, {"a": True}, {"a": None}, {}, {"b": 1}, {"a": [1]}, {"a": 2}]
    assert len({digest_of(one) for one in different}) == len(different)
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})


@pytest.mark.parametrize(
    "value", [1.5, {"deep": [0.0]}, float("inf"), (1, 2.0), Money(110, "USD"), {1, 2}, b"bytes", object()]
)
def test_what_would_not_survive_the_database_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        frozen({"value": value})


_OTHER = {
    "subject_type": "office.letter",
    "subject_id": uuid.uuid4(),
    "subject_version": 77,
    "title": "Another",
    "snapshot": {"name": "Yachts"},
    "snapshot_digest": "0" * 64,
    "submitted_by": uuid.uuid4(),
    "submitted_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "comment": "Another",
}


@pytest.mark.requirement("BI-15")
@pytest.mark.parametrize("column", sorted(_OTHER))
async def test_the_database_itself_refuses_to_change_what_was_submitted(world: World, column: str) -> None:
    await world.caller(world.rep).submits()
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="frozen"):
        await world.change(f"UPDATE approval SET {column} = $1", _OTHER[column])


@pytest.mark.requirement("BI-15")
@pytest.mark.parametrize("column", ["snapshot", "snapshot_digest"])
async def test_nobody_decides_on_what_was_changed_past_the_database(world: World, column: str) -> None:
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    given = await rep.submits()
    async with past_triggers(world) as change:
        await change(f"UPDATE approval SET {column} = $1", _OTHER[column])
    for verb in ("approve", "reject"):
        assert (await manager.decides(given, verb, "Well")).outcome == (409, "approval.snapshot_changed")
    assert await world.facts() == [(1, "submitted")]
    assert (await rep("POST", f"{given.path}/withdraw")).status == 200


@pytest.mark.requirement("BI-14")
async def test_a_decision_is_whole_or_none(world: World) -> None:
    await world.caller(world.rep).submits()
    for half in ("decision = 'approve'", "decided_by = uuidv7()", "decided_on_digest = 'x'", "decision = 'maybe'"):
        with pytest.raises(asyncpg.CheckViolationError):
            await world.change(f"UPDATE approval_step SET {half}")
    for half in ("status = 'approved'", "status = 'lost'", "ended_at = now()"):
        with pytest.raises(asyncpg.CheckViolationError):
            await world.change(f"UPDATE approval SET {half}")


async def test_a_record_waits_for_one_approval_at_most(world: World) -> None:
    await world.caller(world.rep).submits()
    copied = ", ".join(name for name in _OTHER if name != "comment")
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.change(
            f"INSERT INTO approval (id, version, status, current_step, {copied}) "
            f"SELECT uuidv7(), 1, status, current_step, {copied} FROM approval"
        )


class past_triggers:  # noqa: N801  (used like a function)
    """As somebody who may switch triggers off."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __aenter__(self) -> Callable[..., Any]:
        self._connection = await self._world.database.pool.acquire()
        await self._connection.execute("BEGIN READ WRITE")
        await self._connection.execute("ALTER TABLE approval DISABLE TRIGGER approval_frozen")
        return self._connection.execute

    async def __aexit__(self, *error: Any) -> None:
        if not error[0]:
            await self._connection.execute("ALTER TABLE approval ENABLE TRIGGER approval_frozen")
        await self._connection.execute("ROLLBACK" if error[0] else "COMMIT")
        await self._world.database.pool.release(self._connection)
