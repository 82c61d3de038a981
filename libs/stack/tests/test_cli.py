"""The commands, over a stack of stand-ins."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from crm_stack import cli
from crm_stack.cli import logs, status, up
from crm_stack.cli.down import stop
from crm_stack.cli.failure import NOT_RUNNING, USAGE, Failure
from crm_stack.health import examine
from crm_stack.local import Stack
from crm_stack.options import StackOptions
from crm_stack.process import ProcessIdentity, wait_until
from crm_stack.status_file import read_status, running

from .conftest import standin_options

COMPANY = {"company": "Pelagic", "time_zone": "UTC", "currency": "USD"}


def _up(options: StackOptions, password: str | None = None) -> str:
    """What `up` prints."""
    console = Console(file=io.StringIO(), highlight=False, width=200)
    up.start(options, console, email="first@crm.example", password=password, company=COMPANY)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _down(options: StackOptions) -> str:
    console = Console(file=io.StringIO(), highlight=False, width=200)
    stop(options.layout.folder, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.requirement("PL-50")
def test_up_tells_address_administrator_page_and_logs_and_a_second_up_changes_nothing(tmp_path: Path) -> None:
    options = standin_options(tmp_path)
    try:
        first = _up(options)
        told = read_status(options.layout)
        assert told is not None
        assert told.address in first
        assert f"{told.address}/api/docs" in first
        assert str(options.layout.logs) in first
        assert "first@crm.example" in first
        password = re.search(r"password +(\S{20})", first)
        assert password is not None
        assert not options.layout.first_administrator.exists(), "the password is kept nowhere"

        second = _up(options)
        assert "nothing was changed" in second
        assert password.group(1) not in second
        again = read_status(options.layout)
        assert again is not None
        assert [part.identity for part in again.parts] == [part.identity for part in told.parts]
        assert again.supervisor == told.supervisor
    finally:
        assert "Stopped" in _down(options)
    assert running(options.layout.folder) is None
    assert "Nothing runs" in _down(options)


def test_a_password_that_was_given_is_used_and_not_printed(tmp_path: Path) -> None:
    options = standin_options(tmp_path, gateway=False, services=("identity",))
    try:
        assert "tr0ub4dor&3-and-more" not in _up(options, "tr0ub4dor&3-and-more")
        _down(options)
        assert "was not used" in _up(options, "another-one-altogether")
    finally:
        _down(options)


def test_a_password_that_is_refused_is_told_in_words_and_the_next_start_takes_another(tmp_path: Path) -> None:
    options = standin_options(tmp_path, gateway=False, services=("identity",))
    with pytest.raises(Failure) as failed:
        _up(options, "short")
    assert "12 characters at least" in failed.value.what
    assert "Traceback" not in failed.value.what
    assert running(options.layout.folder) is None
    try:
        assert re.search(r"password +\S{20}", _up(options))
    finally:
        _down(options)


def test_up_over_a_taken_port_says_whose_it_is_and_what_to_do(tmp_path: Path) -> None:
    listener = "import socket, sys\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", listener], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as foreign:
        assert foreign.stdout is not None
        port = int(foreign.stdout.readline())
        with pytest.raises(Failure) as failed:
            _up(standin_options(tmp_path, port=port))
        foreign.kill()
    assert f"port {port} is held by python" in failed.value.what
    assert f"(pid {foreign.pid})" in failed.value.what
    assert f"./crm up --port {port + 1}" in failed.value.what


def test_foreground_ends_the_stack_with_its_terminal(tmp_path: Path) -> None:
    options = standin_options(tmp_path, gateway=False, services=("sales",))
    program = (
        "import signal, sys; from rich.console import Console; from crm_stack.cli.up import start\n"
        # A test run that a script started in the background ignores the keyboard; a person's terminal doesn't.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from crm_stack.options import StackOptions\n"
        "start(StackOptions.from_json(sys.argv[1]), Console(), email='a@b.example', password=None,\n"
        "      company={'company': 'P', 'time_zone': 'UTC', 'currency': 'USD'}, foreground=True)\n"
    )
    command = [sys.executable, "-c", program, options.to_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as foreground:
        try:
            assert foreground.stdout is not None
            assert any("Ctrl-C" in line for line in iter(foreground.stdout.readline, ""))
            told = running(options.layout.folder)
            assert told is not None
            foreground.send_signal(signal.SIGINT)
            assert foreground.wait(60) == 0
        finally:
            foreground.kill()
    assert not told.supervisor.alive()


def test_status_tells_every_part_with_memory_and_uptime(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.show(stack.layout.folder, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["phase"] == "ready"
    assert told["address"] == stack.address
    parts = {part["name"]: part for part in told["parts"]}
    assert list(parts) == ["postgres", "broker", "nursery", "identity", "sales", "gateway"]
    for part in parts.values():
        assert part["state"] == "ready"
        assert ProcessIdentity.of(part["pid"]) is not None
        assert part["pss_mb"] > 1
        assert 0 < part["uptime_seconds"] < 3600
    assert parts["sales"]["port"] == stack.part("sales").port
    shares = sum(part["pss_mb"] for part in parts.values())
    assert told["total_pss_mb"] == pytest.approx(shares, rel=0.5), "the parts and the supervisor make up the whole"

    assert status.show(stack.layout.folder, as_json=False) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in parts)


def test_status_says_when_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.show(tmp_path, as_json=True) == NOT_RUNNING
    assert json.loads(capsys.readouterr().out) == {"phase": "not running", "parts": []}
    assert status.show(tmp_path, as_json=False) == NOT_RUNNING
    assert "./crm up" in capsys.readouterr().out


def test_logs_show_one_part_or_all_with_their_names(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    logs.show(stack.layout.logs, "sales", follow=False, lines=1)
    assert capsys.readouterr().out == "sales serves as ['app', 'worker']\n"
    logs.show(stack.layout.logs, None, follow=False, lines=1)
    assert re.search(r"^identity +\| identity serves", capsys.readouterr().out, re.MULTILINE)
    with pytest.raises(Failure) as failed:
        logs.show(stack.layout.logs, "slaes", follow=False, lines=1)
    assert failed.value.code == USAGE
    assert "sales" in failed.value.remedy


def test_the_doctor_finds_nothing_wrong_with_a_running_stack(stack: Stack) -> None:
    findings = examine(stack.options)
    assert {finding.subject for finding in findings} >= {
        *("python", "venv", "packages", "account", "locale", "folder", "secrets", "disk", "processes", "ports"),
    }
    assert [finding for finding in findings if finding.level != "ok"] == []


def test_the_doctor_names_what_is_wrong_and_the_remedy(stack: Stack) -> None:
    secret = stack.layout.secret("signing-key")
    secret.chmod(0o644)
    try:
        wrong = [finding for finding in examine(stack.options) if finding.level != "ok"]
    finally:
        secret.chmod(0o600)
    assert [finding.subject for finding in wrong] == ["secrets"]
    assert "signing-key" in wrong[0].seen
    assert "chmod 600" in wrong[0].remedy


def test_the_doctor_sees_a_taken_port_and_leftovers(tmp_path: Path) -> None:
    import socket

    options = standin_options(tmp_path, gateway=False, services=("sales",))
    _up(options)
    told = running(options.layout.folder)
    assert told is not None
    postgres = told.part("postgres").identity
    assert postgres is not None
    try:
        # A postmaster that is frozen cannot follow its supervisor.
        postgres.signal(signal.SIGSTOP)
        told.supervisor.signal(signal.SIGKILL)
        assert wait_until(lambda: not told.supervisor.alive(), 10.0)
        with socket.create_server(("127.0.0.1", 0)) as foreign:
            port = foreign.getsockname()[1]
            found = {f.subject: f for f in examine(standin_options(tmp_path, port=port)) if f.level != "ok"}
        assert "postgres" in found["processes"].seen
        assert f"port {port}" in found["ports"].seen
        assert "--port" in found["ports"].remedy
    finally:
        postgres.signal(signal.SIGCONT)
        assert wait_until(lambda: not postgres.alive(), 30.0)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "status"),
        (["up", "--help"], 0, "Examples"),
        (["nonsense"], 2, "No such command"),
        (["up", "--port", "0"], 2, "--port"),
        (["up", "--port", "many"], 2, "--port"),
        (["test", "--quick", "--full"], 2, "exclude each other"),
    ],
)
def test_wrong_usage_is_told_without_a_traceback(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == code
    captured = capsys.readouterr()
    assert words in captured.out + captured.err
    assert "Traceback" not in captured.err


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in cli.COMMANDS:
        assert cli.main([command, "--help"]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 5, command
