"""The next version of a service: a copy of its code with another title and one more expanding migration, run as a container runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from crm_stack.local import Stack
from crm_stack.process import tail
from crm_stack.service_settings import service_environment
from crm_web.health import migrations

from .facts import ROOT

TITLE = "Sales, the next version"
REVISION = "next_version"
_MIGRATION = '''"""Expands: a column that nobody reads yet."""

from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE opportunity ADD COLUMN competitor TEXT")
'''


class NextVersion:
    """The next version of `sales`, for the addresses that the stack's own one has."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._logs = folder
        self._source = folder / "services" / "sales"
        self._running: list[subprocess.Popen[bytes]] = []
        shutil.copytree(
            ROOT / "services" / "sales", self._source, ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
        versions = self._source / "migrations" / "versions"
        before, _ = migrations("sales")
        (versions / f"{REVISION}.py").write_text(_MIGRATION.format(revision=REVISION, before=before))
        app = self._source / "src" / "crm_sales" / "app.py"
        text = app.read_text(encoding="utf-8")
        assert 'title="Sales"' in text
        app.write_text(text.replace('title="Sales"', f'title="{TITLE}"'), encoding="utf-8")

    def migrate(self) -> None:
        """What the job before a deployment does: `python -m crm_web.prepare`."""
        command = [sys.executable, "-P", "-m", "crm_web.prepare"]
        ran = subprocess.run(
            command, env=self._environment(0), capture_output=True, text=True, timeout=600, check=False
        )
        assert ran.returncode == 0, ran.stderr

    def start(self) -> None:
        """App and worker, at the ports where the gateway looks for them."""
        for part, name in (("app", "sales"), ("worker", "sales-worker")):
            port = self._stack.part(name).port
            assert port is not None
            with (self._logs / f"{part}.log").open("wb") as log:
                command = [sys.executable, "-P", "-m", "crm_web.run", "sales", f"--{part}"]
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
            stack.options, "sales", port, address=stack.address, kafka=stack.bootstrap, idempotent=False
        )
        # The copy is found before the workspace's own; nothing else differs from how the stack runs it.
        return {**settings, "PYTHONPATH": str(self._source / "src"), "PATH": os.environ["PATH"]}
