"""How much memory processes really take: their proportional share (PSS), in which shared pages are divided by users."""

from __future__ import annotations

from pathlib import Path


def pss_mb(pid: int, *, descendants: bool = True) -> float | None:
    """The share of `pid`, with all its descendants unless told otherwise, in MB; None when we may not see it."""
    children = _children() if descendants else {}
    total = 0
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        waiting += children.get(current, [])
        share = _share_kb(current)
        if share is None:
            return None
        total += share
    return total / 1024


def _share_kb(pid: int) -> int | None:
    """PSS of one process in kB; 0 when it is gone, None when we may not look."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError:
        return None
    return 0


def _children() -> dict[int, list[int]]:
    """All processes by their parent."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            parent = int(text[text.rindex(")") + 2 :].split()[1])
            found.setdefault(parent, []).append(int(entry.name))
    return found
