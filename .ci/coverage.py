"""Makes docs/coverage.md from docs/coverage.yaml (state and remark of every requirement) and the tests' requirement marks.

`python .ci/coverage.py` writes it, `--check` fails when it is not current, when an id is called done without a journey through
the gateway that names it, when one is called part without any test, or when a test names an id that the specification lacks.
"""

import ast
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
SPECIFICATION = ROOT.parent / "shared" / "spec"
STATES = ("done", "part", "open")
REQUIREMENT = re.compile(r"\*\*((?:PL|ID|CU|SA|BI|SU|AN)-\d+)\b")


def marks() -> dict[str, list[str]]:
    """Requirement id → the tests (file::name) that name it."""
    found: dict[str, list[str]] = {}
    for folder in ("libs", "services", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "tests" not in path.relative_to(ROOT).parts:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                    continue
                for requirement in _named(node):
                    name = "" if isinstance(node, ast.Module) else f"::{node.name}"
                    found.setdefault(requirement, []).append(f"{path.relative_to(ROOT)}{name}")
    return found


def _named(node: ast.AST) -> list[str]:
    decorators = list(getattr(node, "decorator_list", []))
    if isinstance(node, ast.Module):
        for statement in node.body:
            if isinstance(statement, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "pytestmark" for target in statement.targets
            ):
                value = statement.value
                decorators += value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    ids: list[str] = []
    for decorator in decorators:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("mark.requirement"):
            ids += [argument.value for argument in decorator.args if isinstance(argument, ast.Constant)]
    return ids


def specified() -> list[str] | None:
    """All ids of the specification, in its order; None where the specification is not beside the project."""
    if not SPECIFICATION.is_dir():
        return None
    ids: list[str] = []
    for name in ("platform", "identity", "customers", "sales", "billing", "support", "analytics"):
        ids += REQUIREMENT.findall((SPECIFICATION / f"{name}.md").read_text(encoding="utf-8"))
    return list(dict.fromkeys(ids))


def table(entries: dict[str, dict[str, str]], tests: dict[str, list[str]]) -> str:
    """The document."""
    counts = {state: sum(1 for entry in entries.values() if entry["state"] == state) for state in STATES}
    lines = [
        "# Coverage of the specification",
        "",
        "Made from docs/coverage.yaml and the tests' requirement marks by `.ci/coverage.py`; not edited by hand.",
        "`done`: all that the requirement says works, shown by a journey through the gateway. `part`: the remark says what is there and",
        "what is missing. `open`: nothing a user could use yet.",
        "",
        f"{counts['done']} done, {counts['part']} in part, {counts['open']} open.",
        "",
        "| id | state | tests | remark |",
        "|---|---|---|---|",
    ]
    for requirement, entry in entries.items():
        files: dict[str, int] = {}
        for test in tests.get(requirement, []):
            file = test.split("::")[0]
            files[file] = files.get(file, 0) + 1
        shown = "<br>".join(f"{file} ({count})" for file, count in sorted(files.items()))
        lines.append(f"| {requirement} | {entry['state']} | {shown} | {entry.get('remark', '')} |")
    return "\n".join(lines) + "\n"


def complaints(entries: dict[str, dict[str, str]], tests: dict[str, list[str]]) -> list[str]:
    """What is untrue in the table."""
    found = [
        f"{test}: names {r}, which docs/coverage.yaml doesn't list"
        for r, ts in tests.items()
        for test in ts
        if r not in entries
    ]
    for requirement, entry in entries.items():
        named = tests.get(requirement, [])
        if entry["state"] not in STATES:
            found.append(f"{requirement}: state {entry['state']!r} is none of {STATES}")
        if entry["state"] == "done" and not any(test.startswith("tests/journeys/") for test in named):
            found.append(f"{requirement}: called done, but no journey names it")
        if entry["state"] == "part" and not named:
            found.append(f"{requirement}: called part, but no test names it")
        if entry["state"] == "part" and not entry.get("remark"):
            found.append(f"{requirement}: part, but the remark doesn't say what is missing")
    known = specified()
    if known is not None and list(entries) != known:
        found += [f"{r}: in the specification, not in docs/coverage.yaml" for r in known if r not in entries]
        found += [f"{r}: in docs/coverage.yaml, not in the specification" for r in entries if r not in known]
    return found


def main(arguments: list[str]) -> int:
    source = ROOT / "docs" / "coverage.yaml"
    if "--start" in arguments:  # A first table from the specification.
        lines = [f"{r}: {{state: open}}" for r in specified() or []]
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    entries = yaml.safe_load(source.read_text(encoding="utf-8"))
    tests = marks()
    text = table(entries, tests)
    target = ROOT / "docs" / "coverage.md"
    found = complaints(entries, tests)
    if "--check" in arguments and (not target.exists() or target.read_text(encoding="utf-8") != text):
        found.append("docs/coverage.md is not current: run python .ci/coverage.py")
    if "--check" not in arguments:
        target.write_text(text, encoding="utf-8")
    for line in found:
        sys.stderr.write(line + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
