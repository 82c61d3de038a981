"""The nursery, alone: a process that forks others on request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crm_stack.nursery_part import forked
from crm_stack.process import ProcessIdentity, wait_until

from .conftest import STANDIN


@pytest.fixture
def nursery() -> Iterator[subprocess.Popen[str]]:
    """A nursery that imported the module which draws random numbers."""
    command = [sys.executable, "-m", "crm_stack.nursery", json.dumps(["standin_drawing"]), json.dumps([str(STANDIN)])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert _answer(process) == {"ready": True}
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def _answer(nursery: subprocess.Popen[str]) -> dict[str, Any]:
    assert nursery.stdout is not None
    told: dict[str, Any] = json.loads(nursery.stdout.readline())
    return told


def _ask(nursery: subprocess.Popen[str], entry: str, arguments: list[Any], folder: Path, result: Path | None) -> int:
    """Have a child forked; its pid."""
    request = forked(entry, arguments, None, {"PATH": os.environ["PATH"]}, folder / "child.log", result=result)
    assert nursery.stdin is not None
    nursery.stdin.write(json.dumps({**request, "id": 1}) + "\n")
    nursery.stdin.flush()
    answer = _answer(nursery)
    assert answer["id"] == 1
    return int(answer["pid"])


def test_children_of_one_parent_draw_different_random_numbers(nursery: subprocess.Popen[str], tmp_path: Path) -> None:
    drawn = []
    for number in range(2):
        result = tmp_path / str(number)
        pid = _ask(nursery, "standin_drawing:draw", [""], tmp_path, result)
        assert _answer(nursery) == {"exited": pid, "status": 0}
        drawn.append(json.loads(result.read_text()))
    assert not set(drawn[0]) & set(drawn[1])


def test_a_child_that_fails_leaves_its_traceback_in_its_log_and_its_status(
    nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    pid = _ask(nursery, "standin_drawing:nothing_of_that_name", [], tmp_path, tmp_path / "result")
    assert _answer(nursery) == {"exited": pid, "status": 1}
    assert "nothing_of_that_name" in (tmp_path / "child.log").read_text()
    assert not (tmp_path / "result").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_children_end_with_their_nursery(nursery: subprocess.Popen[str], tmp_path: Path, number: int) -> None:
    child = ProcessIdentity.of(_ask(nursery, "time:sleep", [60], tmp_path, None))
    assert child is not None
    nursery.send_signal(number)
    nursery.wait(30)
    assert wait_until(lambda: not child.alive(), 10.0)
