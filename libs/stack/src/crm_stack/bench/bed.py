"""What a measurement runs on: a stack of its own in a temporary folder, with the reference behind the same gateway."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_stack.bench.reference import PREFIX, SERVICE
from crm_stack.layout import Layout, workspace, write_private
from crm_stack.local import Stack, ask_for_administrator
from crm_stack.options import DEFAULT_ADMINISTRATOR, StackOptions
from crm_stack.ports import free_port
from crm_stack.process import spawn, tail, wait_until
from crm_stack.service_settings import KEY_SECRET, inherited

if TYPE_CHECKING:
    from crm_authz.rules import ScopeName

PASSWORD = "correct-horse-battery-staple"
#: The limits of one caller at the gateway are not what is measured.
RATES: Mapping[str, tuple[int, int]] = dict.fromkeys(("default", "login", "bulk", "stream"), (1_000_000, 1_000_000))
_ROUTES = (("GET", "/trivial"), ("GET", "/rows/{name}"), ("POST", "/customers"))


class ReferenceDidNotStart(Exception):
    """The reference's server did not come up; the text is its log's end."""


@dataclass
class Bed:
    """A running stack and its reference. reference_port: past the gateway."""

    stack: Stack
    reference_port: int
    _reference: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def gateway_port(self) -> int:
        """Where the gateway listens."""
        return int(self.stack.address.rsplit(":", 1)[1])

    def serve_reference(self, **specification: Any) -> None:
        """Start the reference's process with a specification (see `reference.application`), instead of the one before.

        Raises ReferenceDidNotStart.
        """
        from crm_stack.probes import http

        self.end_reference()
        layout = self.stack.layout
        file = layout.folder / "reference.json"
        write_private(file, json.dumps({"dsn": self.stack.dsn("customers"), **specification}))
        log = layout.log("reference")
        command = [sys.executable, "-s", "-P", "-m", "crm_stack.bench.reference", str(file), str(self.reference_port)]
        process = spawn(command, log=log, cwd=layout.folder, env=inherited(), death_signal=signal.SIGKILL)
        self._reference.append(process)
        probe = http(f"{PREFIX}/trivial")
        if not wait_until(lambda: asyncio.run(probe.ask_soon(self.reference_port)) or process.poll() is not None, 30.0):
            raise ReferenceDidNotStart(tail(log))
        if process.poll() is not None:
            raise ReferenceDidNotStart(tail(log))

    def processor_seconds(self, part: str) -> float:
        """What a part of the stack, or the `reference`, has used of the processor so far."""
        import psutil

        identity = None if part == "reference" else self.stack.part(part).identity
        used = psutil.Process(self._reference[0].pid if identity is None else identity.pid).cpu_times()
        return float(used.user + used.system)

    def end_reference(self) -> None:
        """End the reference's process, if there is one."""
        while self._reference:
            process = self._reference.pop()
            process.kill()
            process.wait()

    async def signing_key(self) -> Any:
        """Identity's key that signs now (crm_authz.SigningKey), as identity itself reads it."""
        from crm_database import Database, PoolSettings
        from crm_identity.signing_key.actions import KeyRing

        secret = self.stack.layout.secret(KEY_SECRET).read_text()
        settings = PoolSettings(min_size=1, max_size=1)
        database = await Database.open(self.stack.dsn("identity"), name="bench", settings=settings)
        try:
            async with database.read() as session:
                return await KeyRing(secret).current(session, dt.datetime.now(dt.UTC))
        finally:
            await database.close()

    def token(self, key: Any, user_id: uuid.UUID, rule: ScopeName) -> str:
        """An access token for 300 s: everything in customers, reaching as far as `rule`."""
        from crm_authz import Rule, TokenIssuer, unite
        from crm_kernel import new_id

        class Rights:
            permissions = ("customers.*:*", "customers.customer:*")
            scopes = {"*": {"*": Rule(rule)}}  # noqa: RUF012  (read once, right here)

        return TokenIssuer(self.stack.address).issue(
            key,
            unite(user_id, [Rights()], ["customers"]),
            now=dt.datetime.now(dt.UTC),
            token_id=new_id(),
            session_id=new_id(),
            client_id="bench",
            epoch=1,
            role_epochs={},
            modules=["customers"],
        )

    def administrator_token(self) -> str:
        """A fresh access token of the first administrator, who may everything, by logging in."""
        import httpx

        form = {"grant_type": "password", "username": DEFAULT_ADMINISTRATOR, "password": PASSWORD}
        answer = httpx.post(f"{self.stack.address}/oauth/token", data=form, timeout=30.0)
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token


@contextmanager
def bed(services: Sequence[str]) -> Iterator[Bed]:
    """A stack with these services, durable as outside of tests; its folder is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="crm-bench-") as folder:
        reference_port = free_port()
        options = bench_options(Path(folder), services, reference_port)
        ask_for_administrator(options.layout, DEFAULT_ADMINISTRATOR, PASSWORD)
        stack = Stack.launch(options)
        made = Bed(stack, reference_port)
        try:
            stack.wait_ready(120.0)
            yield made
        finally:
            made.end_reference()
            stack.stop()


def bench_options(folder: Path, services: Sequence[str], reference_port: int) -> StackOptions:
    """A stack without limits of rate, whose gateway also leads to the reference."""
    layout = Layout(folder)
    layout.make()
    table = json.loads((workspace() / "deploy" / "gateway" / "routes.json").read_text())
    routes = [route for route in table if route["service"] in services]
    for method, path in _ROUTES:
        routes.append(
            {
                "service": SERVICE,
                "method": method,
                "path": PREFIX + path,
                "operation_id": f"{method.lower()}_{path.split('/')[1]}",
                "access": "authenticated",
            }
        )
    file = folder / "routes.json"
    file.write_text(json.dumps(routes))
    return StackOptions(
        folder=str(folder),
        port=0,
        services=tuple(services),
        routes=str(file),
        rates=RATES,
        beside={SERVICE: reference_port},
    )
