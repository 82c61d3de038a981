"""Where a stack keeps what: one folder, closed to other accounts."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path


def workspace() -> Path:
    """The folder of this clone: the one with `crm`, `libs` and `services`."""
    return Path(__file__).resolve().parents[4]


def services_of(root: Path) -> tuple[str, ...]:
    """The services that stand in the workspace `root`: those with an application, by name, identity first."""
    found = (app.parents[2].name for app in root.glob("services/*/src/crm_*/app.py"))
    return tuple(sorted(found, key=lambda name: (name != "identity", name)))


@dataclass(frozen=True)
class Layout:
    """The files of one stack below `folder` (`.crm` of a clone, or a test's folder)."""

    folder: Path

    @property
    def logs(self) -> Path:
        """One log file for each part."""
        return self.folder / "logs"

    @property
    def secrets(self) -> Path:
        """Passwords and keys, one a file, mode 0600."""
        return self.folder / "secrets"

    @property
    def state(self) -> Path:
        """What the supervisor remembers and tells: ports, status, holds."""
        return self.folder / "state"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data and its own settings."""
        return self.folder / "postgres"

    @property
    def gateway(self) -> Path:
        """The generated configuration of Envoy."""
        return self.folder / "gateway"

    @property
    def archive(self) -> Path:
        """Old months of the journals, unless CRM_ARCHIVE_URL says another place."""
        return self.folder / "archive"

    @property
    def status(self) -> Path:
        """The supervisor's last word; see `status_file`."""
        return self.state / "status.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.state / "supervisor.lock"

    @property
    def holds(self) -> Path:
        """A file here, named after a part, keeps that part down (fault tests, maintenance)."""
        return self.state / "hold"

    @property
    def first_administrator(self) -> Path:
        """E-mail and password of the first administrator, until they were used and shown."""
        return self.secrets / "first-administrator.json"

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return self.logs / f"{part}.log"

    def make(self) -> None:
        """Make the folders, readable by nobody else.

        Raises:
            OSError: the folder cannot be written.
        """
        for folder in (self.folder, self.logs, self.secrets, self.state, self.holds):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def secret(self, name: str, value: str | None = None) -> Path:
        """The file of a secret, made when missing: with `value`, or 32 random bytes in hex. A given `value` replaces
        what is there.
        """
        file = self.secrets / name
        if value is None:
            if file.exists() and file.read_text():
                return file
            value = secrets.token_hex(32)
        elif file.exists() and file.read_text() == value:
            return file
        write_private(file, value)
        return file


def write_private(file: Path, text: str, *, durable: bool = True) -> None:
    """Write a file that only its owner reads (0600), whole or not at all; `durable` waits for the disk."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
        target.write(text)
        if durable:
            target.flush()
            os.fsync(target.fileno())
    beside.replace(file)
