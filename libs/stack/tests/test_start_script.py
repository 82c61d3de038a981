"""The start script `./crm`, in a small workspace of its own whose lock file names two tiny local packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "crm"
COMMAND_LINE = """
import sys
def main():
    import tiny
    print("arguments", sys.argv[1:], "tiny", tiny.VERSION, "prefix", sys.prefix)
    return 5 if sys.argv[1:] == ["five"] else 0
"""


def _wheel(folder: Path, name: str, version: str) -> str:
    """Make a wheel with one module; returns its line for a lock file."""
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A workspace in which nothing was run yet."""
    return _workspace(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that is installed; making one takes long, so tests share it and leave it working."""
    root = _workspace(tmp_path_factory.mktemp("installed"))
    assert _crm(root, "status").returncode == 0
    return root


def _workspace(folder: Path) -> Path:
    """A workspace in a folder whose path has a space, closed to other accounts."""
    root = folder / "my clone"
    package = root / "libs" / "stack" / "src" / "crm_stack"
    package.mkdir(parents=True)
    (root / "services" / "sales" / "src").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(COMMAND_LINE)
    shutil.copy(SCRIPT, root / "crm")
    (folder / "wheels").mkdir()
    _lock(root, "1.0")
    root.chmod(0o700)
    return root


def _lock(root: Path, version: str) -> str:
    """Write both lock files, with that version of the package; returns the one for running."""
    wheels = root.parent / "wheels"
    line = _wheel(wheels, "tiny", version)
    (root / "requirements.lock").write_text(line)
    (root / "requirements-dev.lock").write_text(line + _wheel(wheels, "tinytest", version))
    return line


def _site(root: Path) -> Path:
    return next((root / ".venv" / "lib").glob("python3.*/site-packages"))


def _crm(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [root / "crm", *arguments], capture_output=True, text=True, check=False, env=_environment(root, environment)
    )


def _environment(root: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """Without any network: only the local wheels."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    return {**kept, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (root.parent / "wheels").as_uri(), **changes}


def test_the_first_run_installs_and_later_ones_do_not(clone: Path) -> None:
    first = _crm(clone, "status", "--json")
    assert first.returncode == 0, first.stderr
    assert "arguments ['status', '--json'] tiny 1.0" in first.stdout
    assert f"prefix {clone / '.venv'}" in first.stdout
    assert "Using Python 3." in first.stderr
    assert "Installing the 1 packages of requirements.lock" in first.stderr
    second = _crm(clone, "five", PIP_FIND_LINKS="/nowhere")
    assert second.returncode == 5, "the exit code is the command's"
    assert second.stderr == ""


def test_members_are_linked_and_a_new_one_is_found(installed: Path) -> None:
    links = _site(installed) / "pelagic-workspace.pth"
    sources = [str(installed / "libs" / "stack" / "src"), str(installed / "services" / "sales" / "src")]
    assert links.read_text().splitlines() == sources
    new = installed / "services" / "support" / "src"
    new.mkdir(parents=True)
    assert _crm(installed, "status").returncode == 0
    assert links.read_text().splitlines() == [*sources, str(new)]


def test_a_changed_lock_file_is_installed(installed: Path) -> None:
    _lock(installed, "2.0")
    again = _crm(installed, "status")
    assert "tiny 2.0" in again.stdout, again.stderr


def test_what_tests_need_is_installed_for_tests_only(installed: Path) -> None:
    _crm(installed, "status")
    assert not (_site(installed) / "tinytest.py").exists()
    assert "requirements-dev.lock" in _crm(installed, "test").stderr
    assert (_site(installed) / "tinytest.py").exists()
    assert _crm(installed, "test").stderr == ""
    assert _crm(installed, "status").stderr == ""


def test_a_package_with_another_hash_is_refused_and_the_next_run_installs(installed: Path) -> None:
    right = _lock(installed, "3.0")
    digest = right.strip().rpartition(":")[2]
    (installed / "requirements.lock").write_text(right.replace(digest, "0" * 64))
    refused = _crm(installed, "status")
    assert refused.returncode == 1
    assert "pip could not install" in refused.stderr
    assert "HASHES" in refused.stderr
    assert "Traceback" not in refused.stderr
    (installed / "requirements.lock").write_text("tiny==3.0\n")
    assert _crm(installed, "status").returncode == 1, "a package without a hash is refused too"
    _lock(installed, "3.0")
    assert "tiny 3.0" in _crm(installed, "status").stdout


def test_an_interrupted_installation_is_taken_up_again(installed: Path) -> None:
    _lock(installed, "4.0")
    _crm(installed, "status")
    # What a kill in the middle of writing a package leaves: some files, no record of them, no stamp.
    (_site(installed) / "tiny.py").write_text("VERS")
    (_site(installed) / "tiny-4.0.dist-info" / "RECORD").unlink()
    (_site(installed) / "crm-installed.json").unlink()
    again = _crm(installed, "status")
    assert "tiny 4.0" in again.stdout, again.stderr


def test_settings_for_installing_elsewhere_do_not_count(installed: Path, tmp_path: Path) -> None:
    _lock(installed, "5.0")
    run = _crm(installed, "status", PIP_TARGET=str(tmp_path / "elsewhere"), PIP_USER="1")
    assert "tiny 5.0" in run.stdout, run.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_it_runs_from_another_folder_and_through_a_link(installed: Path, tmp_path: Path) -> None:
    link = tmp_path / "crm-link"
    link.symlink_to(installed / "crm")
    run = subprocess.run(
        [link, "status"], capture_output=True, text=True, check=False, cwd="/", env=_environment(installed, {})
    )
    assert f"prefix {installed / '.venv'}" in run.stdout, run.stderr


def test_runs_at_the_same_time_install_once(clone: Path) -> None:
    runs = [
        subprocess.Popen(
            [clone / "crm", "status"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(clone, {}),
        )
        for _ in range(4)
    ]
    told = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0, 0], told
    assert sum("Installing the" in error for _, error in told) == 1


def test_an_interrupted_environment_is_made_anew(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "half").touch()
    again = _crm(clone, "status")
    assert again.returncode == 0, again.stderr
    assert not (clone / ".venv" / "half").exists()


def _without_python(folder: Path, **programs: str) -> str:
    """A PATH with the few tools that the script uses, and `programs` as its only Pythons."""
    folder.mkdir()
    for tool in ("sh", "dirname", "readlink"):
        (folder / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_without_a_python_it_says_what_to_install(clone: Path, tmp_path: Path) -> None:
    run = _crm(clone, "status", PATH=_without_python(tmp_path / "bin"))
    assert run.returncode == 1
    assert "Python 3.11 or newer is needed" in run.stderr
    assert "apt install python3" in run.stderr


def test_a_python_that_is_too_old_is_named(clone: Path, tmp_path: Path) -> None:
    run = _crm(clone, "status", PATH=_without_python(tmp_path / "bin", python3="exit 1"))
    assert run.returncode == 1
    assert f"too old: {tmp_path / 'bin' / 'python3'}" in run.stderr


def test_a_python_without_venv_is_named_with_the_package_to_install(clone: Path, tmp_path: Path) -> None:
    lacking = 'case "$*" in *ensurepip*) exit 1;; esac; exit 0'
    run = _crm(clone, "status", PATH=_without_python(tmp_path / "bin", python3=lacking))
    assert run.returncode == 1
    assert "without the modules venv and ensurepip" in run.stderr
    assert "apt install python3-venv" in run.stderr
