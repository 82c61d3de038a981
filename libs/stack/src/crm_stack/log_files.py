"""Log files: kept small, read from the end, followed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

ROTATE_ABOVE = 10 * 1024 * 1024
"""Bytes."""
KEEP = 3
"""How many older files of each log are kept: `name.log.1` is the youngest."""


def rotate(folder: Path, above: int = ROTATE_ABOVE) -> list[Path]:
    """Rotate every log in `folder` that is larger than `above` bytes; returns which were.

    The content is copied and the file emptied: the processes write on into the same file, each line at its end
    (O_APPEND). A line written between copy and emptying is lost; these are logs, not data.
    """
    rotated = []
    for log in sorted(folder.glob("*.log")):
        if log.stat().st_size <= above:
            continue
        for number in range(KEEP - 1, 0, -1):
            older = log.with_name(f"{log.name}.{number}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{number + 1}"))
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
        rotated.append(log)
    return rotated


def last_lines(log: Path, count: int) -> list[str]:
    """The last `count` lines of a log; none when it does not exist."""
    try:
        with log.open("rb") as source:
            size = source.seek(0, os.SEEK_END)
            block = b""
            while size and block.count(b"\n") <= count:
                step = min(65536, size)
                size -= step
                source.seek(size)
                block = source.read(step) + block
    except FileNotFoundError:
        return []
    return block.decode("utf-8", "replace").splitlines()[-count:] if count else []


class Follower:
    """New lines of several logs, by name, as they are written; a log that is emptied is read from its beginning."""

    def __init__(self, logs: Mapping[str, Path]) -> None:
        """Start at the present end of each log."""
        self._logs = logs
        self._places = {name: log.stat().st_size if log.exists() else 0 for name, log in logs.items()}
        self._rest = dict.fromkeys(logs, b"")

    def new_lines(self) -> Iterator[tuple[str, str]]:
        """What was written since the last call: (name, line) pairs."""
        for name, log in self._logs.items():
            if not log.exists():
                continue
            with log.open("rb") as source:
                if source.seek(0, os.SEEK_END) < self._places[name]:
                    self._places[name] = 0
                source.seek(self._places[name])
                written = source.read()
                self._places[name] = source.tell()
            *lines, self._rest[name] = (self._rest[name] + written).split(b"\n")
            for line in lines:
                yield name, line.decode("utf-8", "replace")
