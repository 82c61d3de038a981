"""A month of a journal goes to the archive and comes back by `./crm events archive`, while people read the history of its records."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crm_stack.cli import build
from crm_stack.cli.failure import Failure
from crm_stack.local import Stack
from crm_stack.service_settings import database_url_file
from crm_testing.archived import LONG_AGO, recorded_long_ago

from .company import ADMINISTRATOR
from .person import Person
from .waiting import until

MONTH = f"{LONG_AGO:%Y-%m}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One of its own: facts get other ids here than those that their consumers know."""
    with Stack.start(tmp_path_factory.mktemp("archive"), administrator=ADMINISTRATOR) as running:
        yield running


@pytest.fixture
def archive(stack: Stack, tmp_path: Path) -> Any:
    """`./crm events archive …`, as an operator asks a deployment elsewhere; answers what is printed. Raises Failure."""
    for service in stack.options.services:
        url = database_url_file(stack.layout, service).read_text(encoding="utf-8")
        (tmp_path / f"{service}-database-url").write_text(url, encoding="utf-8")
    environment = {
        "COLUMNS": "200",
        "CRM_DATABASES": str(tmp_path),
        "CRM_ARCHIVE_URL": stack.layout.archive.absolute().as_uri(),
    }

    def ask(command: str, *options: str) -> str:
        done = CliRunner().invoke(build(["events"]), ["events", "archive", command, *options], env=environment)
        if done.exception is not None and done.exit_code != 0:
            raise done.exception
        return done.stdout

    return ask


def history(person: Person, customer: str, limit: int = 50) -> list[Any]:
    return list(person.pages(f"customers/customers/{customer}/history", limit=limit))


def of_month(archive: Any) -> tuple[Any, ...]:
    """State of the customers' month, and how many events of it lie in the archive."""
    (found,) = (
        row
        for row in json.loads(archive("list", "--json"))
        if (row["service"], row["month"]) == ("customers", LONG_AGO.isoformat())
    )
    return found["state"], found["events"]


@pytest.mark.requirement("PL-23", "PL-48")
def test_an_operator_archives_a_month_and_brings_it_back_and_nobody_misses_anything(stack: Stack, archive: Any) -> None:
    person = Person(stack.address, *ADMINISTRATOR).sign_in()
    customer = person.post("customers/customers", {"name": "Name 1"})["id"]
    for version in range(2, 8):
        person.done("PATCH", f"customers/customers/{customer}", json={"name": f"Name {version}"})
    dsn = database_url_file(stack.layout, "customers").read_text(encoding="utf-8").strip()
    assert asyncio.run(recorded_long_ago(dsn, uuid.UUID(customer), until=5)) == 5
    before = history(person, customer)
    assert [entry["version"] for entry in before] == [7, 6, 5, 4, 3, 2, 1]
    assert of_month(archive) == (None, 0)
    here = ("--service", "customers", "--month", MONTH)

    def archived() -> str | None:
        try:
            return str(archive("run", *here))
        except Failure as failure:
            # Its last facts may not be on the bus, or not heard of, yet.
            if "is still needed" not in failure.what:
                raise
            return None

    said = until(archived, 60.0, "nobody needs the month any more")
    assert f"5 events of {MONTH} are archived." in said
    assert of_month(archive) == ("archived", 5)
    assert "archived" in archive("list")
    assert history(person, customer) == before == history(person, customer, limit=2)
    back = person.post(f"customers/customers/{customer}/history/3/revert", {})
    assert back["name"] == "Name 2"
    before = history(person, customer)
    assert f"5 events of {MONTH} are as they were written." in archive("verify", *here)
    with pytest.raises(Failure, match="archived already"):
        archive("run", *here)

    away = stack.layout.archive.with_name("away")
    stack.layout.archive.rename(away)
    refused = person.call("GET", f"customers/customers/{customer}/history", params={"limit": 50})
    assert (refused.status, refused.code) == (503, "archive.unreachable")
    newest = person.get(f"customers/customers/{customer}/history", params={"limit": 2})
    assert [entry["version"] for entry in newest["items"]] == [8, 7]
    with pytest.raises(Failure, match=r"000001\.ndjson\.gz"):
        archive("verify", *here)
    # The command made the folder that it was told of, as it does at the first time.
    stack.layout.archive.rmdir()
    away.rename(stack.layout.archive)

    assert f"5 events of {MONTH} are back." in archive("restore", *here)
    assert of_month(archive) == ("restored", 0)
    assert history(person, customer) == before
    person.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--service", "customers", "--month", "January"), "'January' is no month."),
        (("--service", "invoices", "--month", "2026-01"), "There is no service 'invoices' here."),
        (("--service", "customers", "--month", "2020-01"), "the journal has no month 2020-01."),
        (("--service", "customers", "--month", "2020-01", "--archive", "ftp://x/y"), "is no storage"),
    ],
)
def test_what_cannot_be_archived_is_told_in_words(archive: Any, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(Failure) as failure:
        archive("run", *options)
    assert said in failure.value.what
