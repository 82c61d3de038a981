"""Writes or checks the committed documents: `python -m crm_contracts.generate [--check]`.

libs/contracts/schemas/<type>.json one file per event type, libs/contracts/topics/<topic>.json one per topic,
libs/contracts/asyncapi.json all of it. A schema that was released may only change compatibly: see crm_contracts.compatibility.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crm_contracts
from crm_contracts import registry
from crm_contracts.asyncapi import asyncapi, schema, topic_file

FOLDER = Path(crm_contracts.__file__).parents[2]
VERSION = "0.1.0"


def documents() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every committed document with its path below libs/contracts."""
    for name in registry.events:
        yield Path("schemas") / f"{name}.json", schema(name)
    for topic in registry.topics.values():
        yield Path("topics") / f"{topic.name}.json", topic_file(topic)
    yield Path("asyncapi.json"), asyncapi(version=VERSION)


def main(arguments: list[str]) -> int:
    """Exit code 0: written, or all current; 1: some are stale (named on standard error)."""
    check = "--check" in arguments
    stale = []
    expected = set()
    for relative, document in documents():
        path = FOLDER / relative
        expected.add(path)
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(relative)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    left_over = [p for folder in ("schemas", "topics") for p in (FOLDER / folder).glob("*.json") if p not in expected]
    if check and (stale or left_over):
        for path in [*stale, *left_over]:
            sys.stderr.write(f"not current: {path}; run python -m crm_contracts.generate\n")
        return 1
    for path in left_over:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
