"""The small pure decisions: back-off, ports, log rotation, secrets, which tests run."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from crm_stack.backoff import Backoff
from crm_stack.cli.failure import Failure
from crm_stack.cli.test import pytest_arguments
from crm_stack.layout import Layout, services_of
from crm_stack.log_files import Follower, last_lines, rotate
from crm_stack.port_plan import PortTaken, plan_ports
from crm_stack.ports import LOOPBACK, free_port, is_free


def test_each_early_death_makes_the_next_start_wait_longer_up_to_half_a_minute() -> None:
    backoff = Backoff()
    delays = [backoff.delay]
    for _ in range(9):
        backoff = backoff.died(ran_for=3.0)
        delays.append(backoff.delay)
    assert delays == [0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 30.0, 30.0]


def test_a_part_that_ran_well_for_a_minute_starts_over_with_the_shortest_wait() -> None:
    assert Backoff(8).died(ran_for=60.0) == Backoff(1)
    assert Backoff(8).died(ran_for=59.9) == Backoff(9)


def test_ports_are_remembered_and_a_taken_internal_one_is_exchanged(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = plan_ports(file, ["gateway", "identity", "sales"], free_port())
    assert len(set(first.values())) == 3
    assert plan_ports(file, ["gateway", "identity", "sales"], first["gateway"]) == first
    with socket.socket() as foreign:
        foreign.bind((LOOPBACK, first["identity"]))
        foreign.listen()
        second = plan_ports(file, ["gateway", "identity", "sales"], first["gateway"])
    assert second["identity"] != first["identity"]
    assert {**second, "identity": 0} == {**first, "identity": 0}
    assert json.loads(file.read_text()) == second


def test_a_taken_gateway_port_is_refused_with_who_holds_it_and_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as foreign:
        foreign.bind((LOOPBACK, 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        with pytest.raises(PortTaken) as refused:
            plan_ports(tmp_path / "ports.json", ["gateway"], port)
    assert f"port {port} is held by" in str(refused.value)
    argument = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()
    assert f"(pid {os.getpid()}): {argument}" in str(refused.value), "the holder and its command line are told"
    assert f"./crm up --port {port + 1}" in str(refused.value)
    assert not (tmp_path / "ports.json").exists()


def test_a_servers_port_is_none_that_outgoing_connections_get() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [free_port() for _ in range(50)]
    assert all(20_000 <= port < lowest for port in ports)
    assert is_free(ports[-1])


def test_large_logs_are_rotated_and_their_writers_write_on(tmp_path: Path) -> None:
    log, small = tmp_path / "a.log", tmp_path / "b.log"
    small.write_text("short\n")
    with log.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(b"%d" % number * 100 + b"\n")
            assert rotate(tmp_path, above=50) == [log]
        writer.write(b"after\n")
    assert log.read_text() == "after\n"
    assert [(tmp_path / f"a.log.{number}").read_text()[0] for number in (1, 2, 3)] == ["4", "3", "2"]
    assert not (tmp_path / "a.log.4").exists()
    assert small.read_text() == "short\n"


def test_the_end_of_a_log_is_read_without_reading_it_all(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {number} {'x' * 100}\n" for number in range(5000)))
    assert [line.split()[1] for line in last_lines(log, 3)] == ["4997", "4998", "4999"]
    assert last_lines(log, 0) == []
    assert last_lines(tmp_path / "none.log", 5) == []


def test_a_log_is_followed_by_whole_lines_and_across_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")
    follower = Follower({"a": log})
    with log.open("ab", buffering=0) as writer:
        writer.write(b"one\ntw")
        assert list(follower.new_lines()) == [("a", "one")]
        writer.write(b"o\n")
        assert list(follower.new_lines()) == [("a", "two")]
        rotate(tmp_path, above=1)
        writer.write(b"3\n")
        assert list(follower.new_lines()) == [("a", "3")]


def test_secrets_are_made_once_and_read_by_their_owner_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ".crm")
    layout.make()
    file = layout.secret("signing-key")
    value = file.read_text()
    assert len(bytes.fromhex(value)) == 32
    assert layout.secret("signing-key").read_text() == value
    assert file.stat().st_mode & 0o777 == 0o600
    assert layout.secrets.stat().st_mode & 0o777 == 0o700
    assert layout.folder.stat().st_mode & 0o777 == 0o700


def test_a_secret_is_replaced_whole_and_stays_closed(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    layout.secret("url", "one")
    assert layout.secret("url", "two").read_text() == "two"
    assert [file.name for file in layout.secrets.iterdir()] == ["url"]


def test_services_are_those_with_an_application_identity_first(tmp_path: Path) -> None:
    for name in ("sales", "identity", "customers"):
        package = tmp_path / "services" / name / "src" / f"crm_{name}"
        package.mkdir(parents=True)
        (package / "app.py").touch()
    (tmp_path / "services" / "support" / "src" / "crm_support").mkdir(parents=True)
    assert services_of(tmp_path) == ("identity", "customers", "sales")


TWO_PROCESSES = ["-n", "2", "--dist", "loadgroup"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file in (
        "libs/kernel/tests/test_money.py",
        "services/sales/tests/product/test_rules.py",
        "services/sales/tests/product/test_store.py",
        "services/customers/tests/pool/test_rules.py",
        "tests/journeys/test_login.py",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


def test_quick_runs_all_rules_and_one_services_slices(root: Path) -> None:
    assert pytest_arguments(root, ["-x"], quick=True, full=False) == [
        "-m",
        "not slow",
        *TWO_PROCESSES,
        "libs/kernel/tests",
        "services/sales/tests/product/test_rules.py",
        "services/customers/tests",
        "-x",
    ]


def test_paths_given_are_what_runs(root: Path) -> None:
    given = ["tests/journeys/test_login.py::test_it"]
    assert pytest_arguments(root, given, quick=True, full=False) == ["-m", "not slow", *given]


def test_full_leaves_nothing_out(root: Path) -> None:
    assert pytest_arguments(root, [], quick=False, full=True) == TWO_PROCESSES
    assert pytest_arguments(root, [], quick=False, full=False) == ["-m", "not slow", *TWO_PROCESSES]


def test_quick_without_tests_says_so(tmp_path: Path) -> None:
    with pytest.raises(Failure):
        pytest_arguments(tmp_path, [], quick=True, full=False)
