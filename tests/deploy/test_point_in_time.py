"""One service's database is set back to an instant while the others serve, by the commands of docs/runbooks/restore.md."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from journeys.company import ADMINISTRATOR, Company, usd
from journeys.reconciling import every_event_is_applied, reconciled
from journeys.waiting import A_SECOND, PATIENCE, until

from crm_contracts import registry
from crm_events.reconcile import UNKNOWN_HERE
from crm_events.restored.store import table_of
from crm_stack.local import Stack
from crm_stack.ports import free_port
from crm_stack.postgres_files import account, environment
from crm_stack.process import wait_until

from .facts import ROOT
from .test_one_service_alone import Colleagues

DEALS = "sales/opportunities"
REPORT = "analytics/reports/opportunity-outcomes?from=2020-01-01&to=2035-12-31&group_by=user"
RUNBOOK = ROOT / "docs/runbooks/restore.md"


def commands(section: str) -> list[str]:
    """The blocks of commands of a section of the runbook."""
    text = RUNBOOK.read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"```sh\n(.*?)```", body, re.DOTALL)


@dataclass
class Operator:
    """Runs the runbook's commands beside a stack, as the account that may run PostgreSQL."""

    stack: Stack
    folder: Path

    def __post_init__(self) -> None:
        backup = self.folder / "backup"
        backup.mkdir(parents=True)
        self._account = account(backup, None)
        self._account.give(backup)
        (self.folder / ".crm").symlink_to(self.stack.layout.folder)
        (self.folder / ".venv/bin").mkdir(parents=True)
        (self.folder / ".venv/bin/python").symlink_to(sys.executable)
        self._port = free_port()
        self._known = ""

    def run(self, script: str, **instead: str) -> None:
        """Run some commands; variables of earlier ones are known. instead: what stands in the runbook as an example → what it is here."""
        text = script.replace("5499", str(self._port))
        for example, here in instead.items():
            text = re.sub(rf"{example}='[^']*'", f"{example}='{here}'", text)
        done = self._shell(f"{self._known}\n{text}")
        assert done.returncode == 0, done.stderr
        self._known += "\n".join(re.findall(r"^\w+=.*$", text, re.MULTILINE)) + "\n"

    def background(self, script: str) -> "subprocess.Popen[bytes]":
        """Start the last command, which goes on (`&`); the others are run first."""
        text, _, last = script.rstrip().rpartition("\n")
        self.run(text)
        command = [*self._account.prefix, "sh", "-c", f"{self._known}\nexec {last.rstrip(' &')}"]
        return subprocess.Popen(command, cwd=self.folder, env=self._environment())

    def crm(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`./crm events …`, as of a deployment elsewhere: this stack is not the clone's own."""
        urls = self.folder / "urls"
        urls.mkdir(exist_ok=True)
        for service in self.stack.options.services:
            (urls / f"{service}-database-url").write_text(self.stack.dsn(service))
        where = {"CRM_DATABASES": str(urls), "CRM_KAFKA": self.stack.bootstrap}
        command = [sys.executable, "-m", "crm_stack", "events", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **where}, timeout=900, check=False
        )

    def _shell(self, script: str) -> "subprocess.CompletedProcess[str]":
        command = [*self._account.prefix, "sh", "-e", "-c", script]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True, timeout=900, check=False
        )

    def _environment(self) -> dict[str, str]:
        return {**environment(), "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company on a stack of its own, app and worker of each service apart."""
    with Company.alone(tmp_path_factory.mktemp("stack-set-back"), split=True) as made:
        yield made


@pytest.fixture
def operator(company: Company, tmp_path: Path) -> Iterator[Operator]:
    made = Operator(company.stack, tmp_path / "operator")
    yield made
    # Where the test failed in the middle of the runbook.
    beside = made.folder / "backup/beside"
    if (beside / "postmaster.pid").exists():
        pid = int((beside / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not (beside / "postmaster.pid").exists(), 30.0)
    shutil.rmtree(made.folder / "backup")


def rows(stack: Stack, service: str, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    async def ask() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(stack.dsn(service))
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(ask())


def sold(stack: Stack) -> dict[str, tuple[Any, ...]]:
    """Sales' opportunities that are not deleted, as sales has them: id → version, name, outcome."""
    return {
        str(row[0]): row[1:]
        for row in rows(stack, "sales", "SELECT id, version, name, outcome FROM opportunity WHERE deleted_at IS NULL")
    }


def known_at_billing(stack: Stack) -> dict[str, tuple[Any, ...]]:
    """The same, as billing knows them."""
    found = rows(stack, "billing", "SELECT id, version, name, outcome FROM opportunity_replica WHERE NOT deleted")
    return {str(row[0]): row[1:] for row in found}


@pytest.mark.requirement("PL-48")
def test_each_topic_has_the_table_where_a_restored_service_looks_for_its_records(company: Company) -> None:
    """Identity, which is not set back, has other names."""
    for service in company.stack.options.services:
        for topic in registry.produced_by(service) if service != "identity" else ():
            found = rows(
                company.stack,
                service,
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname IN ('id', 'version') ORDER BY 1",
                f'"{table_of(topic.name)}"',
            )
            assert found == [("id",), ("version",)], topic.name


@pytest.mark.requirement("PL-48")
def test_nothing_is_taken_back_before_the_log_has_heard_everything(company: Company, operator: Operator) -> None:
    """What it hears later would be told at versions that are given again."""
    stack = company.stack
    stack.hold("analytics-worker")
    try:
        refused = operator.crm("restored", "sales", "--patience", "8")
        assert refused.returncode == 1
        assert "analytics.log has not said" in refused.stderr
    finally:
        stack.release("analytics-worker")
        stack.wait_ready()
    assert rows(stack, "sales", "SELECT count(*) FROM stream WHERE server = 'restored'") == [(0,)]


def test_a_service_that_works_and_identity_are_not_taken_back(company: Company, operator: Operator) -> None:
    refused = operator.crm("restored", "identity")
    assert refused.returncode == 2
    assert "withdrawn" in refused.stderr
    refused = operator.crm("restored", "sales")
    assert refused.returncode == 1
    assert "sales-relay" in refused.stderr
    assert rows(company.stack, "sales", "SELECT count(*) FROM stream WHERE server = 'restored'") == [(0,)]


@pytest.mark.requirement("PL-48", "PL-50")
def test_one_service_is_set_back_to_an_instant_while_the_others_serve(company: Company, operator: Operator) -> None:
    stack, admin = company.stack, company.administrator
    customer = admin.post("customers/customers", {"name": "The customer"})

    def made(name: str) -> Any:
        body = {"name": name, "customer_id": customer["id"], "value": usd("100.00")}
        return admin.post(DEALS, body, after=customer.consistency).body

    archive, base = commands("Archive continuously")
    receiving = operator.background(archive)
    try:
        operator.run(base)
        renamed, won, deleted, untouched = (made(name) for name in ("Renamed", "Won", "Deleted", "Untouched"))
        every_event_is_applied(stack, 30 * PATIENCE)
        then, figures = sold(stack), admin.get(REPORT)
        (instant,) = rows(stack, "sales", "SELECT clock_timestamp()::text")[0]

        # What others hear of, and what will not have been.
        admin.done("PATCH", f"{DEALS}/{renamed['id']}", json={"name": "Renamed since"})
        admin.post(f"{DEALS}/{won['id']}/win", {})
        admin.done("DELETE", f"{DEALS}/{deleted['id']}")
        since = made("Made since")
        every_event_is_applied(stack, 30 * PATIENCE)
        assert known_at_billing(stack)[since["id"]][1] == "Made since"

        with Colleagues(company.person(*ADMINISTRATOR).sign_in()) as colleagues:
            # The disaster: somebody's statement.
            asyncio.run(_execute(stack.dsn("sales"), "UPDATE opportunity SET name = 'x'", "DELETE FROM activity"))
            for part in ("sales", "sales-worker"):
                stack.hold(part)
            assert (admin.call("GET", DEALS).status, admin.call("GET", DEALS).code) == (503, "service.unavailable")
            (recover,) = commands("Restore one service to an instant")
            operator.run(recover, INSTANT=instant)
            _, put_back = commands("Restore one service")
            operator.run(put_back)
            before = Counter(colleagues.answered)

            # As it would be found, had it been started like this.
            unknown = {fault.group for fault in reconciled(stack).faults if fault.reason == UNKNOWN_HERE}
            assert {"analytics.log", "billing.opportunities", "customers.timeline"} <= unknown
            found = operator.crm("reconcile")
            assert found.returncode == 1, found.stderr
            assert "./crm events restored sales" in found.stdout

            done = operator.crm("restored", "sales")
            assert done.returncode == 0, done.stdout + done.stderr
            print(done.stdout)
            for part in ("sales", "sales-worker"):
                stack.release(part)
            until(lambda: admin.call("GET", DEALS).status == 200, 60 * PATIENCE, "sales serves again")
            until(lambda: colleagues.all_answered_since(before), 30 * PATIENCE, "the others go on answering")
        assert colleagues.failures == []
    finally:
        receiving.send_signal(signal.SIGINT)
        receiving.wait(60)

    # Sales is as it was; what it had told is in the histories, and undone there.
    assert {deal: told[1:] for deal, told in sold(stack).items()} == {deal: told[1:] for deal, told in then.items()}
    assert admin.get(f"{DEALS}/{renamed['id']}")["name"] == "Renamed"
    assert admin.call("GET", f"{DEALS}/{since['id']}").status == 404
    # Everybody has that state.
    every_event_is_applied(stack, 60 * PATIENCE)
    assert known_at_billing(stack) == sold(stack)
    again = admin.get(REPORT)
    assert (again["rows"], again["total"]) == (figures["rows"], figures["total"])
    # And hears what happens from now on, of all of them.
    for one in (renamed, won, deleted, untouched):
        admin.done("PATCH", f"{DEALS}/{one['id']}", json={"name": f"{one['name']}, now"})
    until(lambda: known_at_billing(stack) == sold(stack), 5 * A_SECOND, "billing hears of the changes")
    every_event_is_applied(stack, 30 * PATIENCE)
    versions = rows(
        stack, "analytics", "SELECT version FROM event_log WHERE subject = $1::uuid ORDER BY position", renamed["id"]
    )
    assert [row[0] for row in versions] == [1, 2, 3, 4], "made, renamed, set back, renamed again"
    told = admin.get(f"analytics/events?subject={renamed['id']}")["items"]
    assert [(one["data"]["state"]["name"], one["data"]["origin"]["channel"]) for one in told][2] == (
        "Renamed",
        "system",
    )


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
