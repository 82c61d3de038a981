"""The merged API documents, made when the code is newer than they are.

They say what the code says, whatever stack runs it: so all stacks of a clone share them, in its environment (six seconds of processor each
time otherwise).
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from crm_stack.layout import workspace
from crm_stack.nursery_part import NurseryPart
from crm_stack.options import StackOptions


def folder_of(options: StackOptions) -> Path:
    """Where identity finds the documents of these services."""
    services = hashlib.sha256("\n".join(options.services).encode()).hexdigest()[:12]
    return Path(sys.prefix) / "pelagic-documents" / services


async def make(options: StackOptions, nursery: NurseryPart) -> None:
    """Make openapi.json, asyncapi.json and permissions.json unless those that are there are newer than all code.

    Raises:
        TaskFailed: the services can't be described.
    """
    if options.documents is None:
        return
    layout = options.layout
    folder = folder_of(options)
    if _current(folder):
        return
    arguments = [str(folder), *options.services]
    await nursery.run(options.documents, arguments, {}, layout.log("documents"), layout.state / "documents.made")


def _current(folder: Path) -> bool:
    made = [folder / name for name in ("openapi.json", "asyncapi.json", "permissions.json")]
    if not all(file.exists() for file in made):
        return False
    oldest = min(file.stat().st_mtime for file in made)
    root = workspace()
    sources = (source for group in ("libs", "services") for source in (root / group).glob("*/src/**/*.py"))
    return all(source.stat().st_mtime < oldest for source in sources)
