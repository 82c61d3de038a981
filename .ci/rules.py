"""Small rules that no linter knows; `python .ci/rules.py` names every break of one and exits 1.

- Transactions end in crm_database only: no commit() or rollback() call elsewhere.
- In services, queries are built in store.py only (reactions and actions call it).
- rules.py imports no framework: neither SQLAlchemy, FastAPI, asyncpg nor aiokafka, and no I/O library of ours.
- Inside a slice: routes | reactions > actions > store > tables > rules.
- Raw SQL (text handed to the driver) has a comment that says why, on its line or the line above.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORDER = {"rules": 0, "tables": 1, "store": 2, "actions": 3, "routes": 4, "reactions": 4}
FRAMEWORKS = ("sqlalchemy", "fastapi", "starlette", "asyncpg", "aiokafka", "crm_database", "crm_events", "crm_web")
RAW = re.compile(r"\.connection\.(fetch|fetchrow|fetchval|execute|executemany)\(")


def sources(folder: str) -> Iterator[Path]:
    """The product's Python files below a folder."""
    yield from sorted((ROOT / folder).rglob("src/**/*.py"))


def calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Name and line of each call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            target = node.func
            if isinstance(target, ast.Attribute):
                yield target.attr, node.lineno
            elif isinstance(target, ast.Name):
                yield target.id, node.lineno


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Module names that a file imports, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def breaks() -> Iterator[str]:
    """Every break, as `file:line: what`."""
    for path in [*sources("libs"), *sources("services")]:
        relative = path.relative_to(ROOT)
        library = relative.parts[1] if relative.parts[0] == "libs" else ""
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        lines = text.splitlines()
        for name, line in calls(tree):
            if name in ("commit", "rollback") and library not in ("database", "events"):
                yield f"{relative}:{line}: {name}() outside crm_database and crm_events"
            if (
                relative.parts[0] == "services"
                and name in ("select", "union_all")
                and path.stem not in ("store", "tables")
            ) and "store" not in path.stem:
                yield f"{relative}:{line}: a query outside store.py"
        if path.stem == "rules" and relative.parts[0] == "services":
            for module, line in imports(tree):
                if module.split(".")[0] in FRAMEWORKS:
                    yield f"{relative}:{line}: rules import {module}"
        if relative.parts[0] == "services" and path.stem in ORDER and len(relative.parts) > 5:
            own = ".".join(relative.parts[3:-1])
            for module, line in imports(tree):
                prefix, _, last = module.rpartition(".")
                if prefix == own and last in ORDER and ORDER[last] >= ORDER[path.stem]:
                    yield f"{relative}:{line}: {path.stem} imports {last}"
        if relative.parts[0] == "services" or library in ("approvals", "jobs", "records", "sagas", "web", "authz"):
            for number, content in enumerate(lines, 1):
                if RAW.search(content) and "#" not in content and "#" not in (lines[number - 2] if number > 1 else ""):
                    yield f"{relative}:{number}: raw SQL without a comment that says why"


def main() -> int:
    found = list(breaks())
    for line in found:
        sys.stderr.write(line + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
