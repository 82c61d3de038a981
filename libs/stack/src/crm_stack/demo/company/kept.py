"""What a stack remembers of its sample company: as what it was begun, and whether it is complete. A secret, because of the password."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from crm_stack.layout import Layout, write_private


@dataclass(frozen=True)
class Kept:
    """seed, day: of the plan, which later loads must keep to; day is when it was begun. password: of all its people. complete: nothing is
    missing."""

    seed: int
    day: dt.date
    password: str
    complete: bool = False

    def done(self) -> Kept:
        """The same, complete."""
        return replace(self, complete=True)


def recall(layout: Layout) -> Kept | None:
    """What is remembered; None: no sample company was begun here."""
    try:
        told = json.loads(_file(layout).read_text())
    except FileNotFoundError:
        return None
    return Kept(**{**told, "day": dt.date.fromisoformat(told["day"])})


def remember(layout: Layout, kept: Kept) -> None:
    """Keep it, in a file that only its owner reads."""
    write_private(_file(layout), json.dumps({**asdict(kept), "day": kept.day.isoformat()}))


def begin(seed: int, password: str | None) -> Kept:
    """A company that begins now."""
    return Kept(seed, dt.datetime.now(dt.UTC).date(), password or secrets.token_urlsafe(12))


def _file(layout: Layout) -> Path:
    return layout.secrets / "sample-company.json"
