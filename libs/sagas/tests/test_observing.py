"""How sagas stand in metrics (PL-45)."""

import datetime as dt

import pytest

from crm_sagas import SagasObserving

from .conftest import HOUSE, Moving

pytestmark = pytest.mark.requirement("PL-45")

RUNNING = {"kind": HOUSE.name, "state": "running"}
FAILED = {"kind": HOUSE.name, "state": "failed"}


async def test_running_and_failed_sagas_are_counted_and_the_oldest_that_runs_has_an_age(moving: Moving) -> None:
    said = SagasObserving(moving.database, [HOUSE])
    assert (list(said.counts()), list(said.ages())) == ([], []), "nothing is said before it was looked"
    await said.looked.look()
    assert list(said.counts()) == [(0, RUNNING), (0, FAILED)]
    assert list(said.ages()) == [(0.0, {"kind": HOUSE.name})]

    moving.now = dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)
    old = await moving.start([("van",)])
    moving.now += dt.timedelta(hours=1)
    await moving.start([("van",)])
    await said.looked.look()
    assert list(said.counts()) == [(2, RUNNING), (0, FAILED)]
    ((age, _),) = said.ages()
    assert 7200 <= age < 7260

    await moving.news(old, "van", "failed")
    await said.looked.look()
    assert list(said.counts()) == [(1, RUNNING), (1, FAILED)]
    ((age, _),) = said.ages()
    assert 3600 <= age < 3660
