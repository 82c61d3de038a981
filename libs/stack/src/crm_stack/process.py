"""Starting, recognising and ending processes.

A pid alone names nobody: the system gives it to another process after the first one ended. So a process is
remembered as pid **and** start time
(`ProcessIdentity`), and nothing here sends a signal to a process whose start time is another.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ProcessDidNotEnd(Exception):
    """A process was still there after every signal and its deadline."""


@dataclass(frozen=True)
class ProcessIdentity:
    """One process for good: `started` is its start in clock ticks since boot (as the kernel counts them)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of the living process `pid`; None when there is none. A zombie counts as ended."""
        fields = _stat(pid)
        return None if fields is None or fields[0] in "ZX" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal if this very process still runs; a process that is gone is no error."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def end(self, steps: Sequence[tuple[int, float]]) -> None:
        """Send each signal in turn, waiting up to its seconds, until the process is gone.

        Raises:
            ProcessDidNotEnd: it survived the last step.
        """
        for number, seconds in steps:
            self.signal(number)
            if wait_until(lambda: not self.alive(), seconds):
                return
        raise ProcessDidNotEnd(f"process {self.pid} is still there after {[signal.Signals(n).name for n, _ in steps]}")


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the command name: [0] is the state, [19] the start time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return text[text.rindex(")") + 2 :].split()


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
    """Poll `condition` for at most `seconds`; whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel to send `number` to this process when its parent ends, however it ends (Linux; elsewhere
    nothing happens).

    The kernel means the *thread* that started us: start such children from a thread that lives as long as its
    process.
    """
    if _libc is not None and _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    death_signal: int | None = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own (a Ctrl-C in the terminal is ours to pass on), its output appended to
    `log`.

    Args:
        env: the whole environment; None hands on ours.
        death_signal: what it gets when we end; None lets it outlive us. A command that changes its user must set
            this itself, afterwards: the
            kernel forgets it on such a change.
    """
    parent = os.getpid()

    def in_child() -> None:
        if death_signal is not None:
            die_with_parent(death_signal)
            if os.getppid() != parent:  # We ended between fork and prctl: no signal would ever come.
                os._exit(1)

    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603  (a list of arguments, no shell)
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
            preexec_fn=in_child,  # prctl only; our parents are single-threaded
        )


def end_child(process: subprocess.Popen[bytes], steps: Sequence[tuple[int, float]]) -> None:
    """End our own child by `steps` of (signal, seconds to wait) and collect its exit status.

    Raises:
        ProcessDidNotEnd: it survived the last step.
    """
    for number, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout=seconds)
            return
        except subprocess.TimeoutExpired:
            continue
    raise ProcessDidNotEnd(f"process {process.pid} is still there after {[signal.Signals(n).name for n, _ in steps]}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, for an error message; empty when there is none."""
    try:
        with log.open("rb") as source:
            source.seek(0, os.SEEK_END)
            source.seek(max(0, source.tell() - 16_384))
            return "\n".join(source.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
