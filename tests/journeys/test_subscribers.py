"""The programs of docs/subscribe.md run as they stand there, against a running stack, and get what happens."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from crm_stack import apache_kafka

from .company import Company, usd
from .person import Person

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "subscribe.md").read_text(encoding="utf-8")


def program(language: str, holding: str) -> str:
    """The one program of the page in a language, with this in it."""
    (found,) = [block for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.S) if holding in block]
    return str(found)


@contextmanager
def running(command: list[str], folder: Path, name: str = "out") -> Iterator[Callable[[str], str]]:
    """A program under way; gives a function that waits until it has printed a text, and answers the line."""
    path = folder / name
    with path.open("wb") as out, (folder / f"{name}.errors").open("wb") as errors:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=errors)

        def line_with(text: str) -> str:
            until = time.monotonic() + 90.0
            while time.monotonic() < until and process.poll() is None:
                lines = [line for line in path.read_text(encoding="utf-8").splitlines() if text in line]
                if lines:
                    return lines[0]
                time.sleep(0.05)
            told = (folder / f"{name}.errors").read_text(encoding="utf-8")[-2000:]
            raise AssertionError(f"{command[0]} told nothing of {text}; status {process.poll()}\n{told}")

        try:
            yield line_with
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.fixture(scope="module")
def rep(company: Company) -> Person:
    """A sales representative."""
    return company.hire("Subscribed Rep", "sales_representative", company.department("Subscribed Office"))


@pytest.mark.requirement("PL-40")
def test_the_python_program_takes_each_fact_once_and_goes_on_where_it_stopped(
    company: Company, rep: Person, tmp_path: Path
) -> None:
    (tmp_path / "subscriber.py").write_text(program("python", "subscriber.py"), encoding="utf-8")
    command = [sys.executable, "subscriber.py", company.stack.bootstrap]

    def kept() -> dict[str, tuple[Any, ...]]:
        with sqlite3.connect(tmp_path / "customers.db") as database:
            return {row[0]: tuple(row[1:]) for row in database.execute("SELECT * FROM customer")}

    first = rep.post("customers/customers", {"name": "Нева"})["id"]
    with running(command, tmp_path) as line_with:
        assert line_with(first) == f"crm.customers.customer.created.v1 {first} Нева"
    second = rep.post("customers/customers", {"name": "새 고객"})["id"]
    rep.done("PATCH", f"customers/customers/{first}", json={"name": "Нева и партнёры"})
    with running(command, tmp_path, "again") as line_with:
        assert line_with(second).endswith("새 고객")
        assert line_with(f"changed.v1 {first}").endswith("Нева и партнёры")
    assert (kept()[first], kept()[second]) == ((2, "Нева и партнёры", 0), (1, "새 고객", 0))
    again = (tmp_path / "again").read_text(encoding="utf-8")
    assert f"created.v1 {first}" not in again
    # Without what Kafka remembers of the group, everything comes again, and is known.
    with sqlite3.connect(tmp_path / "customers.db") as database:
        database.execute("UPDATE customer SET name = 'as it was taken'")
    renamed = program("python", "subscriber.py").replace("example.customer-names", f"example.{tmp_path.name}")
    (tmp_path / "subscriber.py").write_text(renamed, encoding="utf-8")
    third = rep.post("customers/customers", {"name": "Third"})["id"]
    with running(command, tmp_path, "anew") as line_with:
        line_with(third)
    assert kept()[first][1] == "as it was taken"
    assert first not in (tmp_path / "anew").read_text(encoding="utf-8")


@pytest.mark.requirement("PL-40")
def test_the_java_program_tells_of_what_was_won(company: Company, rep: Person, tmp_path: Path) -> None:
    missing = apache_kafka.why_unavailable()
    if missing is not None:
        pytest.skip(f"the official client needs Java and Maven: {missing}")
    (tmp_path / "Subscriber.java").write_text(program("java", "class Subscriber"), encoding="utf-8")
    jars = apache_kafka.libraries()
    needed = [str(next(jars.glob(f"{name}-[0-9]*.jar"))) for name in ("kafka-clients", "slf4j-api")]
    command = ["java", "-cp", os.pathsep.join(needed), "Subscriber.java", company.stack.bootstrap]
    customer = rep.post("customers/customers", {"name": "Won by"})
    body = {"name": "Told in Java", "customer_id": customer["id"], "value": usd("12.34")}
    deal = rep.post("sales/opportunities", body, after=customer.consistency)["id"]
    rep.post(f"sales/opportunities/{deal}/win", {})
    with running(command, tmp_path) as line_with:
        kind, key, data = line_with(deal).split(" ", 2)
    assert (kind, key) == ("crm.sales.opportunity.won.v1", deal)
    assert '"outcome":"won"' in data.replace('": "', '":"')
    assert (tmp_path / "out").read_text(encoding="utf-8").count(f" {deal} ") == 1


@pytest.mark.requirement("PL-40")
def test_the_line_for_kcat_shows_a_topic(company: Company, rep: Person, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["company"].endswith("embedded-broker"):
        pytest.skip("librdkafka, which kcat is made of, can't read from the embedded broker (docs/subscribe.md)")
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed here")
    made = rep.post("customers/customers", {"name": "Seen by kcat"})["id"]
    until = time.monotonic() + 30.0
    lines: list[str] = []
    while not lines and time.monotonic() < until:
        told = subprocess.run(
            ["sh", "-c", program("sh", 'kcat -b "$BOOTSTRAP" -C')],
            env={**os.environ, "BOOTSTRAP": company.stack.bootstrap},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        lines = [line for line in told.splitlines() if line.startswith(made)]
    assert "ce_type=crm.customers.customer.created.v1" in lines[0]
    assert "Seen by kcat" in lines[0]
