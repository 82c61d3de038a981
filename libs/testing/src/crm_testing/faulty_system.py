"""A machine whose clock jumps and whose disk is slow, for processes that tests start: a small C library before the system's own.

faulty = FaultySystem.build(tmp_path)       # or `skip`, where there is no C compiler
with PostgresServer(…, environment=faulty.environment): faulty.sync_takes(0.2)

Only what goes through the C library is affected: Python's and Rust's clocks are, and PostgreSQL's syncs.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).with_name("faulty_system.c")


class NoCompiler(Exception):
    """The library can't be made here; the text says why. Tests are skipped for it."""


@dataclass(frozen=True)
class FaultySystem:
    """The library, and the files that say how wrong things are. Other accounts may read them: PostgreSQL doesn't run as root."""

    library: Path
    clock: Path
    sync: Path

    @classmethod
    def build(cls, folder: Path) -> FaultySystem:
        """Compile the library into the folder. Nothing is wrong yet.

        Raises:
            NoCompiler: there is none, or it has no headers.
        """
        compiler = shutil.which("cc")
        if compiler is None:
            raise NoCompiler("there is no C compiler (cc)")
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "faulty_system.so", folder / "clock", folder / "sync")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made.library), str(_SOURCE)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if answer.returncode != 0:
            raise NoCompiler(f"cc fails: {answer.stderr.strip()[-500:]}")
        made.clock_is_off(0)
        made.sync_takes(0)
        return made

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process's environment has to have."""
        return {"LD_PRELOAD": str(self.library), "FAULTY_CLOCK": str(self.clock), "FAULTY_SYNC": str(self.sync)}

    def clock_is_off(self, seconds: float) -> None:
        """Have the wall clock of these processes show so much more than it is, from now on; the clock that only counts stays right."""
        _replace(self.clock, seconds)

    def sync_takes(self, seconds: float) -> None:
        """Have each fsync and fdatasync that begins from now on take so much longer."""
        _replace(self.sync, seconds)


def _replace(file: Path, seconds: float) -> None:
    """Never empty, never half written: it is read all the time."""
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.chmod(0o644)
    new.rename(file)
