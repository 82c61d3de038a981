"""Starting, recognising and ending processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crm_stack.process import ProcessDidNotEnd, ProcessIdentity, end_child, spawn, wait_until


def _sleeper(tmp_path: Path, code: str = "pass") -> subprocess.Popen[bytes]:
    ready = tmp_path / "ready"
    program = f"import signal, time; {code}; open({str(ready)!r}, 'w').close(); time.sleep(60)"
    process = spawn([sys.executable, "-c", program], log=tmp_path / "log")
    assert wait_until(ready.exists, 10.0)
    return process


def test_another_process_with_the_same_pid_is_not_taken_for_the_one_remembered(tmp_path: Path) -> None:
    process = _sleeper(tmp_path)
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    earlier = ProcessIdentity(process.pid, identity.started - 1)
    assert not earlier.alive()
    earlier.signal(signal.SIGKILL)
    assert identity.alive(), "no signal goes to a process that only has the pid"
    identity.signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def test_a_zombie_counts_as_ended(tmp_path: Path) -> None:
    process = _sleeper(tmp_path)
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    process.kill()
    assert wait_until(lambda: not identity.alive(), 10.0)
    assert Path(f"/proc/{process.pid}").exists(), "nobody has collected it yet"
    process.wait()


def test_a_child_that_ignores_the_first_signal_gets_the_next(tmp_path: Path) -> None:
    process = _sleeper(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    with pytest.raises(ProcessDidNotEnd):
        end_child(process, ((signal.SIGTERM, 0.1),))
    end_child(process, ((signal.SIGTERM, 0.1), (signal.SIGKILL, 10.0)))
    assert process.returncode == -signal.SIGKILL


def test_a_child_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from crm_stack.process import spawn\n"
        "child = spawn(['sleep', '60'], log=Path(sys.argv[1]) / 'log')\n"
        "print(child.pid, flush=True); child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = ProcessIdentity.of(int(parent.stdout.readline()))
        assert child is not None
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert wait_until(lambda: not child.alive(), 10.0)
