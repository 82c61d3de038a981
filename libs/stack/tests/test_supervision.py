"""A stack whose parts are killed: everything comes back, nothing is lost, nothing is left over."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import asyncpg
import pytest

from crm_stack.local import Stack, StackDidNotStart, ask_for_administrator
from crm_stack.postgres_files import leftovers
from crm_stack.probes import KAFKA, http
from crm_stack.process import ProcessIdentity, wait_until
from crm_stack.status_file import StackStatus, running

from .conftest import SECONDS, about, standin_options, started


def _execute(dsn: str, sql: str) -> object:
    async def execute() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(execute())


def _identities(status: StackStatus) -> list[ProcessIdentity]:
    found = [part.identity for part in status.parts]
    assert None not in found
    return [identity for identity in found if identity is not None]


@pytest.mark.parametrize("part", ["identity", "sales", "broker", "postgres", "gateway", "nursery"])
def test_a_killed_part_comes_back_and_is_counted(stack: Stack, part: str) -> None:
    _execute(stack.dsn("sales"), "INSERT INTO note SELECT coalesce(max(id), 0) + 1 FROM note")
    notes = _execute(stack.dsn("sales"), "SELECT count(*) FROM note")
    before = stack.part(part)
    stack.kill(part)
    status = stack.wait_ready(SECONDS)
    after = status.part(part)
    assert after.restarts == before.restarts + 1
    assert after.identity != before.identity
    assert after.port == before.port
    assert after.note == "was killed by SIGKILL"
    assert _execute(stack.dsn("sales"), "SELECT count(*) FROM note") == notes


def test_a_nursery_that_is_killed_leaves_no_service_of_its_own_behind(stack: Stack) -> None:
    before = [stack.part(service).identity for service in ("identity", "sales")]
    stack.kill("nursery")
    stack.wait_ready(SECONDS)
    assert not any(identity is not None and identity.alive() for identity in before)


def test_a_service_ends_cleanly_when_it_is_restarted(stack: Stack) -> None:
    stack.restart("sales")
    stack.wait_ready(SECONDS)
    assert "sales ends" in stack.layout.log("sales").read_text()
    assert stack.part("sales").note == "ended with exit code 0"


def test_a_held_part_stays_down_until_it_is_released(stack: Stack) -> None:
    stack.hold("broker")
    assert stack.part("broker").pid is None
    assert not KAFKA.ask(stack.part("broker").port or 0)
    stack.release("broker")
    stack.wait_ready(SECONDS)
    assert KAFKA.ask(stack.part("broker").port or 0)


def test_a_frozen_service_is_told_as_not_ready(stack: Stack) -> None:
    stack.pause("sales")
    try:
        assert wait_until(lambda: stack.part("sales").state == "unready", 30.0)
    finally:
        stack.resume("sales")
    assert wait_until(lambda: stack.part("sales").state == "ready", 30.0)


@pytest.mark.requirement("PL-46")
@pytest.mark.parametrize("how", ["says that it is stuck", "does not answer"])
def test_a_service_without_a_sign_of_life_is_started_anew(tmp_path: Path, how: str) -> None:
    options = standin_options(tmp_path, gateway=False, services=("sales",), lifeless_seconds=3.0)
    with started(options) as stack:
        before = stack.part("sales")
        if how == "does not answer":
            stack.pause("sales")
        else:
            with urllib.request.urlopen(f"{stack.service_address('sales')}/stick", timeout=5):
                pass
        assert wait_until(lambda: stack.part("sales").restarts == before.restarts + 1, 60.0)
        stack.wait_ready(SECONDS)
        assert stack.part("sales").note == "was ended: no sign of life for 3 s"
        assert before.identity is not None
        assert not before.identity.alive()


def test_a_service_gets_its_settings_and_no_secret_in_its_environment(stack: Stack) -> None:
    told = about(stack, "sales")
    environment = told["environment"]
    assert told["parts"] == ["app", "worker"]
    assert environment["CRM_SERVICE"] == "sales"
    assert environment["CRM_HTTP_PORT"] == str(stack.part("sales").port)
    assert environment["CRM_KAFKA_BOOTSTRAP"] == stack.bootstrap
    assert environment["CRM_KAFKA_IDEMPOTENCE"] == "false"
    assert environment["CRM_PUBLIC_URL"] == stack.address
    key = Path(environment["CRM_SIGNING_KEY_FILE"])
    assert len(bytes.fromhex(key.read_text())) == 32
    secrets = {file.read_text() for file in stack.layout.secrets.iterdir()}
    assert not secrets & set(environment.values())
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in stack.layout.secrets.iterdir())


def test_a_service_cannot_reach_another_ones_database(stack: Stack) -> None:
    own, _, _ = stack.dsn("sales").rpartition("/")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        _execute(f"{own}/identity", "SELECT 1")


def test_secrets_do_not_stand_in_the_process_list(stack: Stack) -> None:
    secrets = {file.read_text() for file in stack.layout.secrets.iterdir() if file.suffix != ".json"}
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [secret for secret in secrets if secret in listed]


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    import psutil

    supervisor = stack.status()
    assert supervisor is not None
    pids = {process.pid for process in psutil.Process(supervisor.pid).children(recursive=True)} | {supervisor.pid}
    listening = [
        connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.pid in pids and connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 6
    assert set(listening) == {"127.0.0.1"}


def test_after_a_killed_supervisor_nothing_is_left_and_everything_comes_back(tmp_path: Path) -> None:
    stack = started(standin_options(tmp_path, volatile=False))
    try:
        _execute(stack.dsn("sales"), "INSERT INTO note VALUES (77)")
        status = stack.status()
        assert status is not None
        before = _identities(status)
        # The hardest case: the supervisor is killed while its nursery and gateway cannot react.
        for name in ("nursery", "gateway"):
            stack.pause(name)
        stack.kill_supervisor()
        assert running(stack.layout.folder) is None
        stack = stack.again(SECONDS)
        assert not [identity for identity in before if identity.alive()]
        assert _execute(stack.dsn("sales"), "SELECT id FROM note") == 77
        again = stack.status()
        assert again is not None
        assert again.address == status.address
        assert not again.administrator_created
        assert [part.port for part in again.parts] == [part.port for part in status.parts]
    finally:
        stack.stop()


def test_kills_of_everything_at_once_are_survived(tmp_path: Path) -> None:
    stack = started(standin_options(tmp_path, volatile=False))
    try:
        _execute(stack.dsn("sales"), "INSERT INTO note VALUES (78)")
        status = stack.status()
        assert status is not None
        for identity in (status.supervisor, *_identities(status)):
            identity.signal(signal.SIGKILL)
        stack.wait_end()
        stack = stack.again(SECONDS)
        assert _execute(stack.dsn("sales"), "SELECT id FROM note") == 78
    finally:
        stack.stop()


def test_a_stopped_stack_leaves_no_process_and_shuts_its_database_down(tmp_path: Path) -> None:
    stack = started(standin_options(tmp_path))
    status = stack.status()
    assert status is not None
    before = [*_identities(status), status.supervisor]
    stack.stop()
    assert not [identity for identity in before if identity.alive()]
    assert not leftovers(stack.layout.postgres / "data")
    assert "database system is shut down" in stack.layout.log("postgres").read_text()
    assert "sales ends" in stack.layout.log("sales").read_text()
    told = stack.status()
    assert told is not None
    assert {part.state for part in told.parts} == {"stopped"}


def test_a_stack_dies_with_the_test_that_started_it(tmp_path: Path) -> None:
    options = standin_options(tmp_path, gateway=False)
    ask_for_administrator(options.layout, "first@crm.example", None)
    program = (
        "import sys; from crm_stack.local import Stack; from crm_stack.options import StackOptions\n"
        "Stack.launch(StackOptions.from_json(sys.argv[1])).wait_ready(60); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, options.to_json()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        status = running(options.layout.folder)
        assert status is not None
        owner.kill()
    everything = [*_identities(status), status.supervisor]
    assert wait_until(lambda: not any(identity.alive() for identity in everything), 30.0)


def test_a_second_supervisor_in_the_same_folder_changes_nothing(stack: Stack) -> None:
    before = stack.status()
    other = Stack.launch(stack.options)
    assert other.wait_end(SECONDS) == 1
    assert "a supervisor runs here already" in stack.layout.log("supervisor").read_text()
    after = stack.status()
    assert before is not None
    assert after is not None
    assert _identities(after) == _identities(before)


def test_two_stacks_run_side_by_side(stack: Stack, tmp_path: Path) -> None:
    with started(standin_options(tmp_path)) as other:
        assert other.address != stack.address
        for each in (stack, other):
            status = each.status()
            assert status is not None
            assert {part.state for part in status.parts} == {"ready"}


def test_a_migration_that_fails_is_told_and_nothing_is_left_running(tmp_path: Path) -> None:
    options = standin_options(tmp_path, migrate="standin_service:upgrade_badly", gateway=False)
    with pytest.raises(StackDidNotStart, match="syntax error"):
        started(options)
    assert running(options.layout.folder) is None
    assert not leftovers(options.layout.postgres / "data")


def test_a_service_that_does_not_start_is_tried_again_ever_more_slowly_and_told(tmp_path: Path) -> None:
    options = standin_options(tmp_path, entry="standin_service:fail", gateway=False, services=("sales",))
    stack = Stack.launch(options)
    try:
        assert wait_until(lambda: (s := stack.status()) is not None and bool(s.parts), 30.0)
        assert wait_until(lambda: stack.part("sales").restarts >= 3, 60.0)
        assert "exit code 1" in stack.part("sales").note
        assert "sales refuses to start" in stack.layout.log("sales").read_text()
        with pytest.raises(StackDidNotStart, match="sales refuses to start"):
            stack.wait_ready(0.2)
    finally:
        stack.stop()


def test_a_broker_that_grew_too_large_is_emptied_as_planned(tmp_path: Path) -> None:
    # Every broker is larger than this, so it is emptied as soon as it is ready.
    options = standin_options(tmp_path, broker_cap_mb=1, gateway=False, services=())
    stack = Stack.launch(options)
    try:
        assert wait_until(lambda: (s := stack.status()) is not None and bool(s.parts), 30.0)
        assert wait_until(lambda: stack.part("broker").wipes >= 2, 60.0)
        broker = stack.part("broker")
        assert broker.restarts == broker.wipes, "a planned restart is no death"
        assert broker.note == "emptied to free its memory"
    finally:
        stack.stop()


def test_app_and_worker_run_apart_when_asked(tmp_path: Path) -> None:
    options = standin_options(tmp_path, split=True, gateway=False, services=("sales",))
    with started(options) as stack:
        assert about(stack, "sales")["parts"] == ["app"]
        assert about(stack, "sales-worker")["parts"] == ["worker"]
        worker = stack.part("sales-worker")
        stack.kill("sales")
        assert http("/readyz").ask(worker.port or 0, timeout=5)
        stack.wait_ready(SECONDS)


def test_a_broker_elsewhere_is_used_instead_of_the_embedded_one(tmp_path: Path, embedded_broker: str) -> None:
    options = standin_options(tmp_path, external_kafka=embedded_broker, gateway=False, services=("sales",))
    with started(options) as stack:
        environment = about(stack, "sales")["environment"]
        assert environment["CRM_KAFKA_BOOTSTRAP"] == embedded_broker
        assert environment["CRM_KAFKA_IDEMPOTENCE"] == "true"
        with pytest.raises(KeyError):
            stack.part("broker")


def test_a_port_that_was_taken_meanwhile_is_exchanged_inside_and_refused_outside(tmp_path: Path) -> None:
    import socket

    options = standin_options(tmp_path)
    stack = started(options)
    port, inside = int(stack.address.rpartition(":")[2]), stack.part("sales").port
    stack.stop()
    with socket.socket() as foreign, socket.socket() as other:
        for each in (foreign, other):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind(("127.0.0.1", inside))
        foreign.listen()
        with stack.again(SECONDS) as again:
            assert again.part("sales").port != inside
        other.bind(("127.0.0.1", port))
        other.listen()
        refused = Stack.launch(dataclasses.replace(options, port=port))
        with pytest.raises(StackDidNotStart, match=f"port {port} is held by"):
            refused.wait_ready(SECONDS)
        refused.wait_end()
