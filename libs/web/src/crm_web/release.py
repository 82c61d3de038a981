"""Freezing what a release promises, and comparing what is there now with the newest release.

    python -m crm_web.release 1.2.0        # freezes what is there as docs/released/1.2.0
    python -m crm_web.release --check      # CI: is everything kept that the newest release promised?

docs/released/<version>/ has `topics.json`, `events.json` (crm_contracts.promises) and `openapi.json` (crm_web.compatibility): what is
compared, and nothing for people. A release is frozen once; `--again` is for one that nobody has yet.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

import crm_web
from crm_contracts import registry
from crm_contracts.promises import Promises, broken
from crm_contracts.promises import promised as promised_events
from crm_web.compatibility import no_longer_held, promised
from crm_web.documents import documents
from crm_web.routes import installed
from crm_web.service import load_service

RELEASED = Path(crm_web.__file__).resolve().parents[4] / "docs" / "released"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def last_release(folder: Path) -> Path | None:
    """The folder of the highest version; None when nothing was released."""
    found = [path for path in folder.glob("*") if _VERSION.fullmatch(path.name)]
    return max(found, key=lambda path: _number(path.name), default=None)


def present() -> dict[str, Any]:
    """File name → what stands in it, of what is there now."""
    return {**promised_events().documents(), "openapi.json": orjson.loads(_operations())}


@cache
def _operations() -> bytes:
    """What is promised of the operations; the services' code doesn't change while this runs, and making the document takes seconds."""
    whole = orjson.loads(documents(load_service(name) for name in installed())["openapi.json"])
    return orjson.dumps(promised(whole))


def read(folder: Path) -> dict[str, Any]:
    """The same of a release. FileNotFoundError when a file is missing."""
    return {name: orjson.loads((folder / name).read_bytes()) for name in ("topics.json", "events.json", "openapi.json")}


def not_kept(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What of a release's promises is not kept, in words; both as `present` gives them."""
    yield from broken(Promises.read(old), Promises.read(new))
    yield from no_longer_held(old["openapi.json"], new["openapi.json"])


def freeze(folder: Path, version: str, *, again: bool = False) -> list[str]:
    """Write a release's files; answers why not, in words (empty: written).

    again: one of this version is replaced, and what it promised counts no more.
    """
    if not _VERSION.fullmatch(version):
        return [f"{version} is no version: give three numbers, as 1.2.0"]
    newest = last_release(folder)
    if newest is not None and newest.name == version:
        if not again:
            return [f"{version} is released already, and what it promised stays"]
        newest = max(
            (path for path in folder.glob("*") if _VERSION.fullmatch(path.name) and path.name != version),
            key=lambda path: _number(path.name),
            default=None,
        )
    elif newest is not None and _number(version) < _number(newest.name):
        return [f"{version} is older than the newest release, {newest.name}"]
    made = present()
    problems = registry.problems() + ([] if newest is None else list(not_kept(read(newest), made)))
    if problems:
        return problems
    target = folder / version
    target.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (target / name).write_bytes(orjson.dumps(content, option=_SORTED))
    return []


def check(folder: Path) -> list[str]:
    """What is wrong now: versions that don't fit together, and what the newest release promised and is not kept."""
    newest = last_release(folder)
    return registry.problems() + ([] if newest is None else list(not_kept(read(newest), present())))


def main(arguments: list[str] | None = None) -> int:
    """Freeze or check: 1 when something is in the way, which is told on standard error."""
    parser = argparse.ArgumentParser(prog="python -m crm_web.release", description="What a release promises.")
    parser.add_argument("version", nargs="?", help="freeze what is there as this release")
    parser.add_argument("--again", action="store_true", help="replace the newest release, which nobody has yet")
    parser.add_argument("--check", action="store_true", help="compare with the newest release")
    chosen = parser.parse_args(arguments)
    if (chosen.version is None) != chosen.check:
        parser.error("give either a version or --check")
    problems = check(RELEASED) if chosen.check else freeze(RELEASED, chosen.version, again=chosen.again)
    for words in problems:
        sys.stderr.write(f"{words}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
