"""The disk below the database is slow, or full, while people work; and comes back without anybody's hand."""

import asyncio
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from journeys.company import ADMINISTRATOR
from journeys.person import Answer, Person
from journeys.victim import SERVICES
from journeys.waiting import until

from crm_stack.local import Stack
from crm_testing.faulty_system import FaultySystem, NoCompiler

from .gate import held

CUSTOMERS = "customers/customers"
#: Megabytes of the disk that fills up: data, WAL, and room for some work.
SIZE = 400
#: Seconds in which everything must be there again; parts that died wait longer from one start to the next.
PATIENCE = 180.0
#: What is written while nothing can be: it may be there or not, for nobody was told that it is.
REFUSED = "Refused"


def wrote(person: Person, name: str, key: str | None = None) -> Answer:
    """A new customer, asked for under a key, once."""
    return Answer.of(person.send("POST", CUSTOMERS, json={"name": name}, key=key or uuid.uuid4().hex))


def written(person: Person, name: str, key: str) -> Answer:
    """The same, asked for until it is answered with a success, as any client does."""

    def ask() -> Answer | None:
        try:
            answer = wrote(person, name, key)
            if answer.status == 401:
                # A service that could not note for 30 s that it hears identity takes fresh tokens only (ID-24).
                person.refresh()
        except (httpx.TransportError, AssertionError):
            # Identity may not be able to tell yet, either.
            return None
        return answer if answer.status < 300 else None

    return until(ask, PATIENCE, f"{name} is written")  # type: ignore[return-value]


def everything_is_there_once(person: Person, acknowledged: dict[str, str]) -> None:
    """acknowledged: id → name."""
    found = [(one["id"], one["name"]) for one in person.pages(CUSTOMERS) if one["name"] != REFUSED]
    assert sorted(found) == sorted(acknowledged.items())


# -- slow ---------------------------------------------------------------------------------------------------------------


def test_on_a_slow_disk_writes_wait_and_nothing_is_refused_or_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sync takes 0.25 s; then one longer than any statement may take: the outcome is unknown, and the key tells it."""
    try:
        faulty = FaultySystem.build(tmp_path / "faulty")
    except NoCompiler as missing:
        pytest.skip(f"no disk can be made slow: {missing}")
    for name, value in faulty.environment.items():
        monkeypatch.setenv(name, value)
    settings = {"CRM_COMMAND_TIMEOUT_SECONDS": "3"}
    with Stack.start(tmp_path / "stack", volatile=False, administrator=ADMINISTRATOR, environment=settings) as stack:
        person = Person(stack.address, *ADMINISTRATOR).sign_in()
        acknowledged: dict[str, str] = {}
        faulty.sync_takes(0.25)
        began = time.monotonic()
        for number in range(10):
            answer = wrote(person, f"Slow {number}")
            assert answer.status == 201, answer
            acknowledged[answer["id"]] = answer["name"]
        seconds = time.monotonic() - began
        assert seconds >= 10 * 0.25, "no write was acknowledged before the disk had it"
        faulty.sync_takes(8)
        key = uuid.uuid4().hex
        answer = wrote(person, "Stuck", key)
        assert (answer.status, answer.code) == (503, "service.outcome_unknown")
        assert Answer.of(person.send("GET", CUSTOMERS)).status == 200, "reading needs no sync"
        faulty.sync_takes(0)
        answer = written(person, "Stuck", key)
        acknowledged[answer["id"]] = answer["name"]
        everything_is_there_once(person, acknowledged)
        assert {stack.part(name).restarts for name in (*SERVICES, "postgres")} == {0}
        person.close()
    held("slow disk", seconds_a_write=round(seconds / 10, 2), writes=len(acknowledged))


# -- full ---------------------------------------------------------------------------------------------------------------


class Disk:
    """A small file system; `fill` leaves no byte of it, `empty` gives all of that back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as ballast:
            size = 1 << 20
            while size:
                try:
                    if ballast.write(b"\0" * size) < size:
                        size //= 2
                except OSError:
                    size //= 2

    def empty(self) -> None:
        self._ballast.unlink()


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Disk]:
    """A file system of its own in the folder. Skips where nothing may be mounted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(folder)]
    if os.geteuid() != 0:
        pytest.skip("no disk can be made full: only root mounts one")
    answer = subprocess.run(mount, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.skip(f"no disk can be made full: {answer.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_writes_keeps_reading_and_goes_on_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    with mounted(folder / "postgres", SIZE) as disk:
        # So that the disk fills by what is written, not by WAL that is kept for later.
        (disk.folder / "local.conf").write_text("min_wal_size = '32MB'\nmax_wal_size = '64MB'\n")
        with Stack.start(folder, volatile=False, administrator=ADMINISTRATOR) as stack:
            person = Person(stack.address, *ADMINISTRATOR).sign_in()
            acknowledged: dict[str, str] = {}
            refused: dict[str, str] = {}
            for number in range(5):
                answer = wrote(person, f"Before {number}")
                assert answer.status == 201, answer
                acknowledged[answer["id"]] = answer["name"]
            disk.fill()
            # Pages that are there already have room for some more.
            while len(refused) < 3:
                name, key = f"Full {len(acknowledged)} {len(refused)}", uuid.uuid4().hex
                answer = wrote(person, name, key)
                if answer.status == 201:
                    acknowledged[answer["id"]] = name
                    continue
                assert (answer.status, answer.code) == (503, "service.storage_full"), answer
                assert int(answer.headers["retry-after"]) > 0
                refused[key] = name
            everything_is_there_once(person, acknowledged)
            disk.empty()
            for key, name in refused.items():
                acknowledged[written(person, name, key)["id"]] = name
            everything_is_there_once(person, acknowledged)
            part = stack.part("postgres")
            assert part.restarts == 0, "it was never down"
            # The log of what is written can't grow either: PostgreSQL itself ends, and finds no room to start.
            disk.fill()
            log_is_full(stack)
            answer = until(lambda: asked(person), PATIENCE, "writes are refused")
            assert answer.code in ("service.unavailable", "service.outcome_unknown", "service.timeout"), answer
            disk.empty()
            key = uuid.uuid4().hex
            acknowledged[written(person, "After", key)["id"]] = "After"
            stack.wait_ready(PATIENCE)
            everything_is_there_once(person, acknowledged)
            assert "PANIC" in stack.layout.log("postgres").read_text(), "PostgreSQL did end"
            assert {stack.part(name).restarts for name in SERVICES} == {0}
            person.close()
    held("full disk", writes=len(acknowledged), refused=len(refused))


def asked(person: Person) -> Answer | None:
    """A refused write; None while writes are taken, or not answered at all."""
    answer = wrote(person, REFUSED)
    assert answer.status >= 500, "nothing is acknowledged that can't be kept"
    return answer


def log_is_full(stack: Stack) -> None:
    """Have PostgreSQL need a new file for its log until it has none."""

    async def write() -> Any:
        connection = await asyncpg.connect(stack.superuser_dsn(), command_timeout=30)
        try:
            for _ in range(SIZE // 16):
                await connection.execute("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))")
                await connection.execute("SELECT pg_switch_wal()")
        finally:
            connection.terminate()

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        asyncio.run(write())
