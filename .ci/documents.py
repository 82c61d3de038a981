"""What no renderer of documents knows; `python .ci/documents.py` names every break of one and exits 1.

- A relative link leads to a file or folder that is there, an anchor to a heading that is there.
- A path in backticks that begins with one of the repository's folders is there, at the root or in a member.
- A service's page names each of its tables, consumer groups and topics, and each operation that is not one of every record.
"""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: `[text](target)`, pictures too; the target without a title.
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^\s*(```|~~~)")
#: `services/sales`, `docs/runbooks/events.md`; not what has places to fill in.
PATH = re.compile(r"`((?:libs|services|tests|docs|deploy|\.ci)/[A-Za-z0-9_./-]*)`")
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:")
#: Operations that every record has, every service with jobs, and every service; libs/records/README.md, libs/jobs/README.md and
#: docs/architecture/operations.md tell them, once.
EVERY_RECORD = re.compile(
    r"^/jobs/|^/operations/|/(search|batch|batch-jobs|change|transfer)$|/\{id\}(/(restore|transfer|owners|members|members/\{user_id\}|history"
    r"|history/\{version\}/revert))?$"
)


def documents() -> list[Path]:
    """The Markdown files of the repository: those that git has, or would take."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return sorted(path for name in found.split("\0") if name and (path := ROOT / name).is_file())


def made_later(name: str) -> bool:
    """Whether git is told to leave this path out: it is made where the product runs."""
    return subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False).returncode == 0  # noqa: S603, S607


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines outside fenced blocks."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            yield number, line


def anchors(path: Path) -> set[str]:
    """What the headings of a document are called in links, by GitHub's rule."""
    found: set[str] = set()
    for _, line in prose(path.read_text(encoding="utf-8")):
        if match := re.match(r"#{1,6}\s+(.*)", line):
            words = re.sub(r"[^\w\- ]", "", match[1].strip().lower().replace("`", ""))
            name = words.replace(" ", "-")
            found.add(name if name not in found else f"{name}-1")
    return found


def link_breaks(path: Path) -> Iterator[str]:
    """Links and paths of a document that lead nowhere."""
    place = path.relative_to(ROOT)
    for number, line in prose(path.read_text(encoding="utf-8")):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line) if "](" not in line else line):
            if SCHEME.match(target):
                continue
            file, _, anchor = target.partition("#")
            aim = (path.parent / file).resolve() if file else path
            if not aim.is_relative_to(ROOT) or not aim.exists():
                yield f"{place}:{number}: {target} leads nowhere"
            elif anchor and aim.suffix == ".md" and anchor not in anchors(aim):
                yield f"{place}:{number}: {target}: no such heading"
        for named in PATH.findall(line):
            # What begins with `tests/` may be meant of a member.
            if not (ROOT / named).exists() and not any(ROOT.glob(f"*/*/{named}")) and not made_later(named):
                yield f"{place}:{number}: there is no {named}"


def service_breaks(service: str) -> Iterator[str]:
    """What a service has that its page doesn't name."""
    from crm_contracts import registry

    page = ROOT / "services" / service / "README.md"
    text = page.read_text(encoding="utf-8")
    worker = importlib.import_module(f"crm_{service}.worker")
    importlib.import_module(f"crm_{service}.app")
    tables = importlib.import_module(f"crm_{service}.metadata").metadata.tables
    consumed = {topic.name for topic in registry.consumed_by(service)}
    for table in sorted(tables):
        if f"`{table}`" not in text:
            yield f"{page.relative_to(ROOT)}: table {table} is not named"
    for reaction in getattr(worker, "REACTIONS", ()):
        if f"`{reaction.group}`" not in text:
            yield f"{page.relative_to(ROOT)}: group {reaction.group} is not named"
        for unheard in sorted(set(reaction.topics) - consumed):
            yield f"{page.relative_to(ROOT)}: {reaction.group} reads {unheard}, whose consumers don't include {service}"
    for topic in registry.produced_by(service):
        if f"`{topic.name}`" not in text:
            yield f"{page.relative_to(ROOT)}: topic {topic.name} is not named"
    prefix = f"/api/{service}/v1"
    for route in json.loads((ROOT / "deploy" / "gateway" / "routes.json").read_text(encoding="utf-8")):
        if route["service"] != service or not route["path"].startswith(prefix):
            continue
        own = route["path"].removeprefix(prefix)
        if not EVERY_RECORD.search(own) and own.count("/") > 1 and f"{own}`" not in text and f"{own}?" not in text:
            yield f"{page.relative_to(ROOT)}: {route['method']} {own} is not named"


def main() -> int:
    """The check: 0 when nothing is found."""
    found = [line for path in documents() for line in link_breaks(path)]
    for folder in sorted((ROOT / "services").iterdir()):
        if (folder / "README.md").is_file():
            found += service_breaks(folder.name)
    for line in found:
        sys.stderr.write(line + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
