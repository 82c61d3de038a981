"""The API documents are made once per clone and set of services, and again when the code is newer."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crm_stack import api_documents
from crm_stack.options import StackOptions

NAMES = ("openapi.json", "asyncapi.json", "permissions.json")


class Nursery:
    """Notes what it was asked to make, and makes it."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def run(
        self, function: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path, done: Path
    ) -> None:
        self.make(Path(arguments[0]))

    def make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            (folder / name).write_text("{}")
        self.made.append(str(folder))


async def test_stacks_share_them_until_the_code_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "libs/one/src/one.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    monkeypatch.setattr(api_documents, "workspace", lambda: tmp_path)
    monkeypatch.setattr(api_documents.sys, "prefix", str(tmp_path / "environment"))
    nursery: Any = Nursery()
    first = StackOptions(folder=str(tmp_path / "a"), services=("identity", "sales"))
    second = replace(first, folder=str(tmp_path / "b"))
    fewer = replace(first, services=("identity",))
    for options in (first, second, first):
        await api_documents.make(options, nursery)
    assert nursery.made == [str(api_documents.folder_of(first))]
    assert api_documents.folder_of(second) == api_documents.folder_of(first)
    await api_documents.make(fewer, nursery)
    assert nursery.made[1:] == [str(api_documents.folder_of(fewer))]
    assert api_documents.folder_of(fewer) != api_documents.folder_of(first)
    later = time.time() + 5
    os.utime(source, (later, later))
    await api_documents.make(second, nursery)
    assert len(nursery.made) == 3
    await api_documents.make(replace(second, documents=None), nursery)
    assert len(nursery.made) == 3
