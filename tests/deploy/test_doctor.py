"""`crm doctor --url`: a local stack looked at as if it stood elsewhere."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from crm_stack.cli import build
from crm_stack.cli.failure import USAGE, Failure
from crm_stack.deployed import Deployment, databases_in, examine
from crm_stack.gateway import Route, dump_routes, load_routes
from crm_stack.health import Finding
from crm_stack.local import Stack, ask_for_administrator
from crm_stack.options import StackOptions
from crm_stack.ports import free_port
from crm_stack.process import wait_until
from crm_web.documents import product_version

from .facts import ROOT, SERVICES

pytestmark = pytest.mark.requirement("PL-50")
RUN = ("identity", "customers")
PROCESSES = tuple(f"{service}{part}" for service in RUN for part in ("", "-worker"))
ADMINISTRATOR = ("admin@crm.example", "correct-horse-battery-staple")


def warnings(running: Stack, name: str) -> list[str]:
    """What a process warns of."""
    told: list[str] = httpx.get(f"{running.service_address(name)}/readyz", timeout=10).json()["warnings"]
    return told


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Identity and customers, API and worker apart as in containers, behind a gateway that knows these two."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "routes.json").write_text(dump_routes(table()), encoding="utf-8")
    options = StackOptions(
        folder=str(folder / "stack"),
        port=0,
        services=RUN,
        split=True,
        volatile=True,
        routes=str(folder / "routes.json"),
    )
    ask_for_administrator(options.layout, *ADMINISTRATOR)
    running = Stack.launch(options)
    try:
        running.wait_ready(240.0)
        # Ready comes before identity's first heartbeat, until which there is a warning.
        assert wait_until(lambda: all(not warnings(running, name) for name in PROCESSES), 60.0)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> Deployment:
    """All that can be named of it."""
    form = {"grant_type": "password", "client_id": "crm", "username": ADMINISTRATOR[0], "password": ADMINISTRATOR[1]}
    answer = httpx.post(f"{stack.address}/oauth/token", data=form, timeout=30).raise_for_status()
    return Deployment(
        url=stack.address,
        token=answer.json()["access_token"],
        services={name: stack.service_address(name) for name in PROCESSES},
        kafka=stack.bootstrap,
        databases={service: stack.dsn(service) for service in RUN},
    )


def table() -> list[Route]:
    """The routes of the services that run."""
    routes = load_routes(ROOT / "deploy" / "gateway" / "routes.json", SERVICES)
    return [route for route in routes if route.service in RUN]


def look(deployment: Deployment, version: str | None = None) -> list[Finding]:
    """What the doctor finds."""
    return asyncio.run(examine(deployment, table(), version or product_version()))


def wrong(findings: list[Finding]) -> dict[str, str]:
    """What is not well: subject → what was seen."""
    return {finding.subject: finding.seen for finding in findings if finding.level != "ok"}


def test_a_deployment_in_order_is_found_in_order(deployment: Deployment) -> None:
    findings = look(deployment)
    assert wrong(findings) == {}
    assert [finding.subject for finding in findings] == [
        *("gateway", "identity", "public url", "version", "customers", "identity"),
        *(f"{name} ready" for name in ("customers", "customers-worker", "identity", "identity-worker")),
        *("kafka", "topics", "customers data", "identity data", "events"),
    ]


def test_without_more_than_the_address_it_says_what_the_gateway_shows(deployment: Deployment) -> None:
    findings = look(Deployment(url=deployment.url))
    assert [(one.subject, one.level) for one in findings] == [
        *(("gateway", "ok"), ("identity", "ok"), ("public url", "ok"), ("version", "ok")),
    ]


def test_a_service_that_is_down_is_named(stack: Stack, deployment: Deployment) -> None:
    stack.hold("customers")
    try:
        found = wrong(look(replace(deployment, kafka=None, databases={})))
    finally:
        stack.release("customers")
        assert wait_until(lambda: stack.part("customers").state == "ready", 60.0)
    assert found["customers"].startswith("does not answer (503")
    assert "does not answer" in found["customers ready"]
    assert found.keys() == {"customers", "customers ready"}


def test_a_token_that_is_not_taken_is_told_from_a_service_that_is_down(deployment: Deployment) -> None:
    found = wrong(look(replace(deployment, token="e30.e30.e30", services={}, kafka=None, databases={})))
    assert found.keys() == set(RUN)
    assert all(seen.startswith("refuses the token (401") for seen in found.values())


def test_another_version_and_lacking_operations_are_told(deployment: Deployment) -> None:
    found = wrong(asyncio.run(examine(Deployment(url=deployment.url), table(), "9.9.9")))
    assert found == {"version": f"{product_version()} there, 9.9.9 here"}
    whole = load_routes(ROOT / "deploy" / "gateway" / "routes.json", SERVICES)
    found = wrong(asyncio.run(examine(Deployment(url=deployment.url), whole, product_version())))
    assert "operations of ours are not there" in found["version"]


def test_nobody_there_is_one_finding(deployment: Deployment) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    (gateway, ready, kafka) = look(Deployment(url=nowhere, services={"sales": nowhere}, kafka=nowhere[7:]))
    assert (gateway.subject, gateway.level) == ("gateway", "problem")
    assert (ready.subject, ready.level) == ("sales ready", "problem")
    assert (kafka.subject, kafka.level) == ("kafka", "problem")
    assert all(finding.remedy for finding in (gateway, ready, kafka))


def test_a_database_that_refuses_or_is_not_migrated_is_told_without_its_password(
    stack: Stack, deployment: Deployment
) -> None:
    right = deployment.databases["customers"]
    password = right.split(":")[2].partition("@")[0]
    swapped = {"customers": right.replace(password, "not-this-one"), "sales": deployment.databases["identity"]}
    findings = look(Deployment(url=deployment.url, databases=swapped))
    assert wrong(findings)["customers data"] == "can't be reached (InvalidPasswordError)"
    assert not any("not-this-one" in finding.seen + finding.remedy for finding in findings)


def test_the_command_takes_addresses_and_ends_with_1_when_something_is_wrong(
    deployment: Deployment, tmp_path: Path
) -> None:
    for service, url in deployment.databases.items():
        (tmp_path / f"{service}-database-url").write_text(url + "\n")
    assert databases_in(tmp_path) == dict(deployment.databases)
    # Not the bus: this code knows of services that don't run there, and misses their topics.
    command = ["doctor", "--url", deployment.url, "--databases", str(tmp_path)]
    command += [part for name, address in deployment.services.items() for part in ("--service", f"{name}={address}")]
    answer = CliRunner().invoke(build(["doctor"]), command, env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    assert "customers-worker ready" in answer.output
    away = CliRunner().invoke(build(["doctor"]), ["doctor", "--url", f"http://127.0.0.1:{free_port()}", "--json"])
    assert away.exit_code == 1
    assert '"level": "problem"' in away.output


def test_events_of_a_deployment_are_looked_at_by_addresses(deployment: Deployment, tmp_path: Path) -> None:
    """No stack of this clone is asked: the workspace's own need not run."""
    for service, url in deployment.databases.items():
        (tmp_path / f"{service}-database-url").write_text(url + "\n")
    app = build(["events"])

    def answer(*command: str, **environment: str) -> Any:
        done = CliRunner().invoke(app, ["events", *command], env={"COLUMNS": "200", **environment})
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    there = ("--databases", str(tmp_path), "--json")
    groups = {row["group"] for row in answer("lag", *there)}
    assert "customers.directory" in groups
    proof = answer("reconcile", *there)
    assert proof["events"] > 0
    assert answer("dead-letters", "list", "--json", CRM_DATABASES=str(tmp_path)) == []
    assert answer("tail", "--kafka", str(deployment.kafka), "--from-start", "--limit", "1", "--json")["actor"]


def test_an_address_of_events_that_leads_nowhere_is_told_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "sales-database-url").write_text(f"postgresql://sales:hidden@127.0.0.1:{free_port()}/sales")
    command = ["events", "lag", "--databases", str(tmp_path)]
    away = CliRunner().invoke(build(["events"]), command).exception
    assert isinstance(away, Failure)
    assert "does not answer" in away.what
    assert "hidden" not in f"{away.what}{away.remedy}"
    (tmp_path / "invoices-database-url").write_text("postgresql://a:b@c/d")
    unknown = CliRunner().invoke(build(["events"]), command).exception
    assert isinstance(unknown, Failure)
    assert unknown.what == "There is no service invoices here."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kafka", "a:1"], "Of which deployment"),
        (["--url", "crm.example"], "crm.example is no address"),
        (["--url", "http://a", "--service", "sales"], "nothing is no address"),
        (["--url", "http://a", "--databases", "/"], "has no file like"),
    ],
)
def test_what_is_not_an_address_is_refused(arguments: list[str], said: str) -> None:
    refused = CliRunner().invoke(build(["doctor"]), ["doctor", *arguments]).exception
    assert isinstance(refused, Failure)
    assert said in refused.what
    assert refused.code == USAGE
