"""What the newest release promised is kept, and a release that breaks a promise can't be frozen."""

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest

from crm_contracts import registry
from crm_web import release
from crm_web.release import RELEASED, check, freeze, last_release, not_kept, present, read


@pytest.mark.requirement("PL-1", "PL-13")
def test_everything_that_the_newest_release_promised_is_kept() -> None:
    assert last_release(RELEASED) is not None
    assert check(RELEASED) == []


def test_the_newest_release_is_the_highest_version(tmp_path: Path) -> None:
    assert last_release(tmp_path / "none") is None
    for name in ("1.9.0", "1.10.0", "notes"):
        (tmp_path / name).mkdir()
    assert last_release(tmp_path) == tmp_path / "1.10.0"


def test_what_is_frozen_says_the_same_as_what_is_there(tmp_path: Path) -> None:
    assert freeze(tmp_path, "1.0.0") == []
    assert sorted(path.name for path in (tmp_path / "1.0.0").iterdir()) == [
        "events.json",
        "openapi.json",
        "topics.json",
    ]
    made = present()
    assert read(tmp_path / "1.0.0") == made
    assert made["events.json"]["types"].keys() == registry.events.keys()
    # Small enough to keep one of each release.
    assert sum(path.stat().st_size for path in (tmp_path / "1.0.0").iterdir()) < 1_000_000


def test_a_release_is_frozen_once_and_versions_go_up(tmp_path: Path) -> None:
    assert freeze(tmp_path, "1.2.0") == []
    assert freeze(tmp_path, "1.2.0") == ["1.2.0 is released already, and what it promised stays"]
    assert freeze(tmp_path, "1.1.9") == ["1.1.9 is older than the newest release, 1.2.0"]
    assert freeze(tmp_path, "2") == ["2 is no version: give three numbers, as 1.2.0"]
    assert freeze(tmp_path, "1.2.0", again=True) == []
    assert freeze(tmp_path, "1.10.0") == []


def _without_an_event(made: dict[str, Any]) -> None:
    del made["events.json"]["types"]["crm.support.ticket.moved.v1"]


def _without_a_topic(made: dict[str, Any]) -> None:
    del made["topics.json"]["crm.support.queue"]


def _without_an_operation(made: dict[str, Any]) -> None:
    del made["openapi.json"]["paths"]["/api/customers/v1/customers"]["post"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_without_an_event, "crm.support.ticket.moved.v1 is gone"),
        (_without_a_topic, "topic crm.support.queue is gone"),
        (_without_an_operation, "post /api/customers/v1/customers: is gone"),
    ],
)
def test_a_broken_promise_stops_check_and_freeze(
    harm: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = present()
    assert freeze(tmp_path, "1.0.0") == []
    broken = copy.deepcopy(made)
    harm(broken)
    assert [told for told in not_kept(made, broken) if words in told]
    monkeypatch.setattr(release, "present", lambda: broken)
    monkeypatch.setattr(release, "RELEASED", tmp_path)
    assert release.main(["--check"]) == 1
    assert words in capsys.readouterr().err
    assert [told for told in freeze(tmp_path, "1.1.0") if words in told]
    assert not (tmp_path / "1.1.0").exists()


def test_versions_that_do_not_fit_together_stop_check_and_freeze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(registry), "problems", lambda _: ["a.v2 has no upcaster"])
    assert check(tmp_path) == ["a.v2 has no upcaster"]
    assert freeze(tmp_path, "1.0.0") == ["a.v2 has no upcaster"]
    assert not (tmp_path / "1.0.0").exists()


def test_every_example_of_the_newest_release_is_still_read() -> None:
    """As it stands in journals: in its version, given to readers in the newest."""
    newest = last_release(RELEASED)
    assert newest is not None
    types = orjson.loads((newest / "events.json").read_bytes())["types"]
    assert len(types) > 80
    for name, told in types.items():
        now, data = registry.upcast_data(name, copy.deepcopy(told["example"]))
        registry.events[now].model_validate(data)
