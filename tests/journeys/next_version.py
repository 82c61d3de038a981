"""The next version of a service: a copy of its code with another title and one more expanding migration, run as a container runs it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from crm_stack.local import Stack
from crm_stack.process import tail
from crm_stack.service_settings import service_environment
from crm_web.health import migrations

ROOT = Path(__file__).resolve().parents[2]
TITLE = "Sales, the next version"
REVISION = "next_version"
CONTRACTED = "next_version_contracted"
#: Service → a table to which its next version adds a column.
TABLES = {
    "identity": "department",
    "customers": "customer",
    "sales": "opportunity",
    "billing": "contract",
    "support": "ticket",
    "analytics": "webhook",
}
_MIGRATION = '''"""{what}"""

from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE {table} {change}")
'''


class NextVersion:
    """The next version of a service, for the addresses that the stack's own one has, or for others beside it."""

    def __init__(
        self, stack: Stack, folder: Path, service: str = "sales", ports: Mapping[str, int] | None = None
    ) -> None:
        """ports: of `app` and `worker`; None: those of the stack's own."""
        self._stack = stack
        self._logs = folder
        self._service = service
        names = {"app": service, "worker": f"{service}-worker"}
        self._ports = ports or {part: stack.part(name).port or 0 for part, name in names.items()}
        self._source = folder / "services" / service
        self._running: list[subprocess.Popen[bytes]] = []
        shutil.copytree(
            ROOT / "services" / service, self._source, ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
        before, _ = migrations(service)
        self._write(REVISION, before, "Expands: a column that nobody reads yet.", "ADD COLUMN next_version TEXT")
        app = self._source / "src" / f"crm_{service}" / "app.py"
        text, count = re.subn(
            r'title="([^"]*)"', r'title="\1, the next version"', app.read_text(encoding="utf-8"), count=1
        )
        assert count == 1
        app.write_text(text, encoding="utf-8")

    def contract(self) -> None:
        """The migration of the version after it: what nobody reads any more goes."""
        self._write(CONTRACTED, REVISION, "Contracts.", "DROP COLUMN next_version")
        self.migrate()

    def _write(self, revision: str, before: str, what: str, change: str) -> None:
        text = _MIGRATION.format(
            revision=revision, before=before, what=what, table=TABLES[self._service], change=change
        )
        (self._source / "migrations" / "versions" / f"{revision}.py").write_text(text, encoding="utf-8")

    def migrate(self) -> None:
        """What the job before a deployment does: `python -m crm_web.prepare`."""
        command = [sys.executable, "-P", "-m", "crm_web.prepare"]
        ran = subprocess.run(
            command, env=self._environment(0), capture_output=True, text=True, timeout=600, check=False
        )
        assert ran.returncode == 0, ran.stderr

    def start(self) -> None:
        """App and worker, at their ports."""
        for part, port in self._ports.items():
            with (self._logs / f"{part}.log").open("wb") as log:
                command = [sys.executable, "-P", "-m", "crm_web.run", self._service, f"--{part}"]
                started = subprocess.Popen(command, env=self._environment(port), stdout=log, stderr=log)
            self._running.append(started)

    def stop(self) -> None:
        """SIGTERM, as Kubernetes and Docker do. AssertionError when one doesn't end cleanly and in time."""
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        statuses = [process.wait(120) for process in self._running]
        self._running.clear()
        assert set(statuses) <= {0}, self.said()

    def kill(self) -> None:
        """Whatever is left, at the test's end."""
        for process in self._running:
            process.kill()
            process.wait()

    def said(self) -> str:
        """The end of its logs, for a test that fails."""
        return "\n".join(tail(log) for log in sorted(self._logs.glob("*.log")))

    def _environment(self, port: int) -> dict[str, str]:
        stack = self._stack
        settings = service_environment(
            stack.options,
            self._service,
            port,
            address=stack.address,
            kafka=stack.bootstrap,
            idempotent=stack.options.external_kafka is not None,
        )
        # The copy is found before the workspace's own; nothing else differs from how the stack runs it.
        return {**settings, "PYTHONPATH": str(self._source / "src"), "PATH": os.environ["PATH"]}
