"""Fails when the pinned requirements are stale: a declared dependency is missing or outside its range, or a file carries an address."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")


def pins(name: str) -> dict[str, str]:
    """Package → version of one requirements file. ValueError when it carries an address."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if re.search(r"https?://|--index-url|--extra-index-url", text):
        raise ValueError(f"{name} carries an address")
    return {canonicalize_name(m[1]): m[2] for line in text.splitlines() if (m := PIN.match(line))}


def main() -> int:
    """Exit code 0 when every declared range is met by its pin."""
    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [(r, runtime, "requirements.lock") for r in project["project"]["dependencies"]]
    declared += [(r, development, "requirements-dev.lock") for r in project["dependency-groups"]["dev"]]
    for member in sorted([*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]):
        names = tomllib.loads(member.read_text(encoding="utf-8"))["project"].get("dependencies", [])
        pinned = development if "testing" in str(member) else runtime
        declared += [
            (r, pinned, f"the pins ({member.relative_to(ROOT)})") for r in names if not r.startswith("pelagic-")
        ]
    found = []
    for text, pinned, where in declared:
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{text}: {version or 'nothing'} in {where}")
    found += [
        f"{n}: {v} in requirements.lock, {development.get(n)} in requirements-dev.lock"
        for n, v in runtime.items()
        if development.get(n) != v
    ]
    for line in found:
        sys.stderr.write(line + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
