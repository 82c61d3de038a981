"""What one image holds of the workspace: `python3 members.py WORKSPACE TARGET SERVICE…`, inside the image's build.

TARGET/app gets the source of the named services, of the libraries that they declare (and those declare, and so on), in the
workspace's own folders; TARGET/requirements.txt the pinned and hashed lines of requirements.lock that these need, and no others.
With `--packages NAME…` instead of services: the lines alone that these packages of others need.
Standard library only: nothing is installed yet where this runs.
"""

import re
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_OURS = "pelagic-"
#: `alembic==1.20.1 \\`, or `colorama==0.4.6 ; sys_platform == 'win32' \\`
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==\S+")
_VIA = re.compile(r"^    #(?: via)? +(\S+)")


class Unresolvable(Exception):
    """A member declares what is not in the workspace or not in the lock file, or a member does not exist."""


@dataclass(frozen=True)
class Member:
    """One package of the workspace. needs: the names in its pyproject.toml, normalised, without versions and extras."""

    folder: Path
    needs: frozenset[str]


@dataclass(frozen=True)
class Pin:
    """One package of the lock file: its lines, and who asked for it."""

    lines: tuple[str, ...]
    via: frozenset[str]


def normal(name: str) -> str:
    """A package's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def members(workspace: Path) -> dict[str, Member]:
    """All members by package name."""
    found = {}
    for file in sorted(workspace.glob("*/*/pyproject.toml")):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        needs = frozenset(normal(re.split(r"[^A-Za-z0-9._-]", need)[0]) for need in project.get("dependencies", []))
        found[normal(project["name"])] = Member(file.parent, needs)
    return found


def closure(start: Iterable[str], known: Mapping[str, Member]) -> list[Member]:
    """The members of these names and of all that they need, each once. Raises Unresolvable."""
    chosen: dict[str, Member] = {}
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name in chosen:
            continue
        if name not in known:
            raise Unresolvable(f"{name} is not a member of the workspace")
        chosen[name] = known[name]
        waiting += [need for need in known[name].needs if need.startswith(_OURS)]
    return [chosen[name] for name in sorted(chosen)]


def pins(lock: str) -> dict[str, Pin]:
    """The lock file's packages with their lines, the comments left out."""
    found: dict[str, Pin] = {}
    name = ""
    for line in lock.splitlines():
        if match := _PIN.match(line):
            name = normal(match[1])
            # A package may stand there more than once, for different systems.
            known = found.get(name, Pin((), frozenset()))
            found[name] = Pin((*known.lines, line), known.via)
        elif name and line.startswith("    --hash"):
            found[name] = Pin((*found[name].lines, line), found[name].via)
        elif name and (match := _VIA.match(line)) and line.strip() != "# via":
            found[name] = Pin(found[name].lines, found[name].via | {normal(match[1])})
    return found


def required(direct: Iterable[str], locked: Mapping[str, Pin]) -> list[str]:
    """The names of all pinned packages that these need, themselves included. Raises Unresolvable."""
    chosen: set[str] = set()
    waiting = set(direct)
    while waiting:
        if absent := sorted(waiting - locked.keys()):
            raise Unresolvable(f"not in requirements.lock: {', '.join(absent)}")
        chosen |= waiting
        waiting = {name for name, pin in locked.items() if pin.via & waiting} - chosen
    return sorted(chosen)


def lay_out(workspace: Path, target: Path, services: Iterable[str]) -> None:
    """Write TARGET. Raises Unresolvable."""
    chosen = closure([_OURS + service for service in services], members(workspace))
    locked = pins((workspace / "requirements.lock").read_text(encoding="utf-8"))
    direct = {need for member in chosen for need in member.needs if not need.startswith(_OURS)}
    for member in chosen:
        for part in ("src", "migrations"):
            source = member.folder / part
            if source.is_dir():
                place = target / "app" / source.relative_to(workspace)
                shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    write_requirements(target, direct, locked)


def write_requirements(target: Path, direct: Iterable[str], locked: Mapping[str, Pin]) -> None:
    """Write TARGET/requirements.txt for these packages and what they need. Raises Unresolvable."""
    lines = [line for name in required(direct, locked) for line in locked[name].lines]
    target.mkdir(parents=True, exist_ok=True)
    (target / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """The command: 0 done, 1 refused."""
    alone = "--packages" in arguments
    workspace, target, *names = [argument for argument in arguments if argument != "--packages"]
    try:
        if alone:
            locked = pins((Path(workspace) / "requirements.lock").read_text(encoding="utf-8"))
            write_requirements(Path(target), names, locked)
        else:
            lay_out(Path(workspace), Path(target), names)
    except Unresolvable as refused:
        sys.stderr.write(f"members: {refused}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
