"""The sample company of `./crm up --demo`, scaled down: loaded with two kills in the middle, then seen by its own people."""

import datetime as dt
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from crm_stack.cli.failure import Failure
from crm_stack.cli.sample_company import load_sample_company
from crm_stack.demo.company.facts import Company, Size
from crm_stack.demo.company.kept import Kept, recall, remember
from crm_stack.demo.company.load import Loaded, find_company, load_company
from crm_stack.demo.company.plan import plan_company
from crm_stack.demo.company.show import curl_lines, faces
from crm_stack.demo.operator import operator_token
from crm_stack.demo.progress import untold
from crm_stack.local import Stack

from .company import ADMINISTRATOR
from .person import Person
from .waiting import A_SECOND, until

SMALL = Size(customers=40, opportunities=200, activities=120, contracts=30, tickets=24)
SEED = 4
DAY = dt.date(2026, 11, 20)
PASSWORD = "seven-quiet-herons-fishing"
#: Loads, and says how far it is.
_LOAD = """
import datetime, sys
from pathlib import Path
from crm_stack.demo.company.facts import Size
from crm_stack.demo.company.load import load_company
from crm_stack.demo.company.plan import plan_company
from crm_stack.demo.operator import operator_token
from crm_stack.layout import Layout
folder, address, password, day, *size = sys.argv[1:]
plan = plan_company(4, datetime.date.fromisoformat(day), Size(*map(int, size)))
def progress(what, done, total):
    print(what, done, total, flush=True)
load_company(plan, address, operator_token(Layout(Path(folder))), password=password, progress=progress)
"""
#: Where loads are killed: when half of these are done.
KILLS = ("stages", "submitted", "answered")


@dataclass
class Sample:
    """The loaded company; people by key, logged in when first asked for."""

    stack: Stack
    plan: Company
    loaded: Loaded
    _people: dict[str, Person] = field(default_factory=dict)

    def person(self, key: str) -> Person:
        if key not in self._people:
            self._people[key] = Person(self.stack.address, self.plan.people[key].email, PASSWORD).sign_in()
        return self._people[key]

    def all(self, key: str, path: str, **params: Any) -> dict[str, Any]:
        """What somebody sees of a list: reference → record; each once."""
        items = list(self.person(key).pages(path, **params))
        found = {item["external_ref"]["id"]: item for item in items if item["external_ref"]}
        assert len(found) == len(items)
        return found

    def close(self) -> None:
        for person in self._people.values():
            person.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    """Loaded after it was killed at each of KILLS."""
    with Stack.start(tmp_path_factory.mktemp("stack-sample"), administrator=ADMINISTRATOR) as stack:
        for place in KILLS:
            killed_while(stack, place)
        plan = plan_company(SEED, DAY, SMALL)
        token = operator_token(stack.layout)
        made = Sample(stack, plan, load_company(plan, stack.address, token, password=PASSWORD, progress=untold))
        try:
            yield made
        finally:
            made.close()


def killed_while(stack: Stack, what: str) -> None:
    """Load in a process of its own, and `kill -9` it in the middle of something."""
    size = [
        str(number)
        for number in (SMALL.customers, SMALL.opportunities, SMALL.activities, SMALL.contracts, SMALL.tickets)
    ]
    command = [sys.executable, "-c", _LOAD, str(stack.layout.folder), stack.address, PASSWORD, DAY.isoformat(), *size]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told, _, numbers = line.strip().rpartition(f"{what} ")
            if not told and numbers and numbers != line.strip():
                done, total = (int(number) for number in numbers.split())
                if done * 2 >= total:
                    process.send_signal(signal.SIGKILL)
                    break
        process.wait(60)
        assert process.returncode == -signal.SIGKILL, process.stderr.read() if process.stderr else ""
    finally:
        process.kill()
        process.communicate()


def test_the_small_company_has_something_of_everything(sample: Sample) -> None:
    """Else the tests below would show less than they say."""
    plan = sample.plan
    endings = {"draft", "void", "in_approval", "rejected", "active", "terminated"}
    assert {one.ending for one in plan.contracts.values()} == endings
    assert {one.ending for one in plan.payments} == {"approved", "pending", "rejected"}
    assert len({one.status for one in plan.tickets}) == 6
    assert len({one.fate for one in plan.customers.values()}) == 3


@pytest.mark.requirement("PL-51")
def test_what_was_killed_is_completed_and_nothing_doubles(sample: Sample) -> None:
    plan = sample.plan
    assert sample.loaded.written["customers"] == sample.loaded.written["contracts"] == 0, "there before it was killed"
    expected = {
        "customers/customers": set(plan.customers),
        "customers/contacts": set(plan.contacts),
        "sales/opportunities": set(plan.opportunities),
        "sales/activities": {one.key for one in plan.activities},
        "billing/contracts": set(plan.contracts),
        "billing/payments": {one.key for one in plan.payments},
        "support/tickets": {one.key for one in plan.tickets},
    }
    for path, keys in expected.items():
        assert set(sample.all("user/administrator", path, deleted="include")) == keys, path


def test_a_second_load_adds_nothing(sample: Sample) -> None:
    again = load_company(
        sample.plan, sample.stack.address, operator_token(sample.stack.layout), password=PASSWORD, progress=untold
    )
    assert again.writes == 0, again.written
    assert set(again.written.values()) == {0}
    found = find_company(sample.plan, sample.stack.address, operator_token(sample.stack.layout))
    assert found is not None
    assert found.items() <= again.ids.items()
    assert set(sample.plan.contracts) <= set(found)


@pytest.fixture
def kept(sample: Sample) -> Iterator[Path]:
    """The file in which a stack remembers its sample company; it isn't there before, nor after."""
    path = sample.stack.layout.secrets / "sample-company.json"
    assert not path.exists(), "the company was loaded without the command"
    yield path
    path.unlink(missing_ok=True)


def command(sample: Sample, *, seed: int | None = None, password: str | None = None) -> str:
    """What `./crm up --demo` says once the stack is ready. Raises Failure, as it does."""
    said = io.StringIO()
    console = Console(file=said, highlight=False)
    stack = sample.stack
    load_sample_company(stack.address, stack.layout, console, seed=seed, password=password, size=SMALL)
    return said.getvalue()


def test_another_company_is_not_taken_for_this_one(sample: Sample, kept: Path) -> None:
    layout = sample.stack.layout
    for seed in (None, SEED):
        with pytest.raises(Failure, match="whose seed and password are not known"):
            command(sample, seed=seed, password=PASSWORD)
    assert not kept.exists(), "what is not known is not made up"
    for begun in (Kept(SEED, DAY, PASSWORD), Kept(SEED, DAY, PASSWORD, complete=True)):
        remember(layout, begun)
        assert kept.stat().st_mode & 0o077 == 0
        with pytest.raises(Failure, match=f"sample company with seed {SEED} was begun here"):
            command(sample, seed=SEED + 1)
        with pytest.raises(Failure, match="have another password already"):
            command(sample, password="another-quiet-heron")
        assert recall(layout) == begun


@pytest.mark.parametrize("given", [{}, {"seed": SEED, "password": PASSWORD}], ids=["as-it-is", "the-same"])
def test_a_complete_company_is_shown_again_and_nothing_is_loaded(
    sample: Sample, kept: Path, given: dict[str, Any]
) -> None:
    remember(sample.stack.layout, Kept(SEED, DAY, PASSWORD, complete=True))
    lines = command(sample, **given).splitlines()
    assert kept.exists()
    assert sum("nothing was loaded" in line for line in lines) == 1
    emails = {person.email: person.role.replace("_", " ") for person in sample.plan.people.values()}
    logins = [(line, email) for line in lines for email in emails if f" {email} " in line and "curl" not in line]
    assert sorted(emails[email] for _, email in logins) == sorted({*emails.values()}), "one of each shipped role"
    assert all(line.startswith(emails[email]) for line, email in logins)
    assert any(PASSWORD in line for line in lines)
    assert sum(line.startswith("curl ") for line in lines) == 5


def test_one_that_was_begun_is_completed_by_the_command(sample: Sample, kept: Path) -> None:
    begun = Kept(SEED, DAY, PASSWORD)
    remember(sample.stack.layout, begun)
    assert "The sample company is loaded: 0 writes" in command(sample)
    assert kept.exists()
    assert recall(sample.stack.layout) == begun.done()


def test_everything_stands_where_the_plan_says(sample: Sample) -> None:
    plan = sample.plan
    deals = sample.all("user/administrator", "sales/opportunities")
    stages = [stage["id"] for stage in sample.person("user/chief").get("sales/pipelines")["items"][0]["stages"]]
    for key, one in plan.opportunities.items():
        seen = deals[key]
        assert (seen["outcome"], seen["stage_id"]) == (one.outcome, stages[one.steps[-1][0] if one.steps else 0])
        assert seen["value"]["amount"] == f"{one.value}.00"
        assert seen["opened_on"] == one.opened.date().isoformat()
    contracts = sample.all("user/administrator", "billing/contracts")
    for key, contract in plan.contracts.items():
        seen = contracts[key]
        status = "draft" if contract.ending == "rejected" else contract.ending
        decision = {"rejected": "rejected", "active": "approved", "terminated": "approved"}.get(contract.ending)
        assert (seen["status"], seen["last_decision"], seen["signed_on"]) == (
            status,
            decision,
            contract.signed.isoformat(),
        )
        whole = sample.person("user/administrator").get(f"billing/contracts/{seen['id']}")
        assert [part["due_on"] for part in whole["instalments"]] == [due.isoformat() for _, due in contract.instalments]
    payments = sample.all("user/administrator", "billing/payments")
    assert {key: one["status"] for key, one in payments.items()} == {one.key: one.ending for one in plan.payments}
    tickets = sample.all("user/administrator", "support/tickets")
    assert {key: one["status"] for key, one in tickets.items()} == {one.key: one.status for one in plan.tickets}
    for ticket in plan.tickets:
        replies = sample.person("user/administrator").pages(f"support/tickets/{tickets[ticket.key]['id']}/replies")
        assert [reply["text"] for reply in replies] == [reply.text for reply in ticket.replies]


def test_stages_were_entered_when_the_plan_says(sample: Sample) -> None:
    longest = max(sample.plan.opportunities.values(), key=lambda one: len(one.steps))
    assert len(longest.steps) >= 3
    history = sample.person(longest.owner).get(f"sales/opportunities/{sample.loaded.ids[longest.key]}/stages")["items"]
    entered = [dt.datetime.fromisoformat(visit["entered_at"]) for visit in history]
    assert entered == [longest.opened, *(at for _, at in longest.steps)]


@pytest.mark.requirement("PL-20")
def test_each_sees_their_part(sample: Sample) -> None:
    plan = sample.plan
    kept = {key: one for key, one in plan.customers.items() if one.fate == "kept"}
    assert set(sample.all("user/chief", "customers/customers")) == {
        key for key, one in plan.customers.items() if one.fate != "deleted"
    }

    def below(key: str) -> set[str]:
        return {key}.union(*(below(one.key) for one in plan.people.values() if one.superior == key))

    for key in ("user/sales/lead", "user/sales/ko/lead", "user/sales/zh/north/lead", "user/sales/ru/south/1"):
        mine = {customer for customer, one in kept.items() if one.owner in below(key)}
        assert set(sample.all(key, "customers/customers")) == mine
        deals = {deal for deal, one in plan.opportunities.items() if one.owner in below(key)}
        assert set(sample.all(key, "sales/opportunities")) == deals
    assert sample.person("user/office").call("GET", "customers/customers").status == 403


@pytest.mark.requirement("BI-14")
def test_superiors_decided(sample: Sample) -> None:
    """Who decided is the submitter's superior, and what waits waits for them."""
    plan, ids = sample.plan, sample.loaded.ids
    waiting = Counter(plan.people[one.owner].superior for one in plan.contracts.values() if one.ending == "in_approval")
    deciders = {superior for one in plan.contracts.values() if (superior := plan.people[one.owner].superior)}
    for key in deciders:
        person = sample.person(key)
        assert len(list(person.pages("billing/approvals", role="to_decide"))) == waiting[key]
        for item in person.pages("billing/approvals", role="decided"):
            submitter = next(one for one in plan.people.values() if ids[one.key] == item["submitted_by"])
            assert submitter.superior == key


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl, as the lines do")
def test_the_printed_lines_work_as_printed(sample: Sample) -> None:
    plan, found = sample.plan, faces(sample.plan)
    operations = httpx.get(f"{sample.stack.address}/api/openapi.json", timeout=60.0).raise_for_status().json()["paths"]
    lines = curl_lines(plan, found, sample.loaded.ids, sample.stack.address, PASSWORD, operations)

    def run() -> list[Any]:
        done = subprocess.run(
            ["/bin/sh", "-ec", "\n".join(f"{line}; echo" if line.startswith("curl") else line for line in lines)],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": os.environ["PATH"]},
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line]

    answers = until(lambda: (told := run()) and bool(told[0]["rows"]) and told, 5 * A_SECOND, "figures")
    assert isinstance(answers, list)
    report, approvals, tickets, balance, customer = answers
    assert {row["label"] for row in report["rows"]} >= {"Sales Seoul", "Sales London"}
    assert approvals["items"]
    assert {item["status"] for item in tickets["items"]} <= {"new", "open", "pending", "on_hold"}
    assert tickets["items"]
    assert balance["contract"] == balance["planned"]
    assert balance["instalments"]
    assert customer["items"]
