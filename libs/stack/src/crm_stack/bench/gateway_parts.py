"""`gateway-parts`: where Envoy's processor time goes: the same requests through Envoys that do less and less of what the gateway does."""

from __future__ import annotations

import copy
import json
import signal
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from crm_stack.bench.bed import Bed, bed
from crm_stack.bench.load import Call, Plan, request, run_load
from crm_stack.bench.reference import PREFIX
from crm_stack.bench.result import Result
from crm_stack.gateway import envoy_command
from crm_stack.ports import free_port
from crm_stack.probes import http
from crm_stack.process import end_child, spawn, tail, wait_until

GOAL = "none: it shows what each part costs"
READY = http("/ready")
Config = dict[str, Any]


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """A result for each gateway, the barest first; its reference is the one before, its notes say what it adds."""
    del size
    with bed(("identity", "customers")) as made:
        made.serve_reference()
        whole = json.loads((made.stack.layout.folder / "gateway" / "envoy.json").read_text())
        before: list[float] = []
        for name, change in VARIANTS:
            found, milliseconds = _measured(made, name, change(copy.deepcopy(whole)), seconds, repeats)
            cost = statistics.median(found)
            notes = {"adds_us": round(cost - statistics.median(before), 1)} if before else {}
            reference = statistics.median(before) if before else None
            yield Result(f"gateway-parts: {name}", "µs", cost, reference, [], milliseconds, 0, GOAL, None, notes)
            before = found


def _measured(made: Bed, name: str, config: Config, seconds: float, repeats: int) -> tuple[list[float], list[float]]:
    """Envoy's processor time for one request, microseconds, of each turn; and what the answers took, milliseconds."""
    token = made.administrator_token()
    call = Call(request("GET", f"{PREFIX}/trivial", token), starts='{"ok":true}')
    milliseconds: list[float] = []
    found = []
    with _envoy(made.stack.layout.folder / "parts", name, config) as (pid, port):
        process = psutil.Process(pid)
        run_load(Plan(port, [call], min(seconds, 0.5)))
        for _ in range(repeats):
            before = sum(process.cpu_times()[:2])
            outcome = run_load(Plan(port, [call], seconds))
            found.append((sum(process.cpu_times()[:2]) - before) / len(outcome.milliseconds) * 1e6)
            milliseconds += outcome.milliseconds
    return found, milliseconds


@contextmanager
def _envoy(folder: Path, name: str, config: Config) -> Iterator[tuple[int, int]]:
    """An Envoy with this configuration on a port of its own: (pid, port)."""
    port, admin = free_port(), free_port()
    config["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = port
    config["admin"]["address"]["socket_address"]["port_value"] = admin
    place = folder / name
    place.mkdir(parents=True)
    (place / "envoy.json").write_text(json.dumps(config))
    log = place / "envoy.log"
    process = spawn(envoy_command(place), log=log, cwd=place, death_signal=signal.SIGKILL)
    try:
        if not wait_until(lambda: READY.ask(admin) or process.poll() is not None, 30.0) or process.poll() is not None:
            raise RuntimeError(f"Envoy did not start with {name}:\n{tail(log)}")
        yield process.pid, port
    finally:
        end_child(process, ((signal.SIGKILL, 5.0),))


def _manager(config: Config) -> Config:
    found: Config = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def _with(filters: tuple[str, ...], parts: tuple[str, ...] = ()) -> Callable[[Config], Config]:
    """The gateway with only these filters beside the router, and of what else costs time only these parts."""

    def change(config: Config) -> Config:
        manager = _manager(config)
        manager["http_filters"] = [
            f for f in manager["http_filters"] if f["name"] in (*filters, "envoy.filters.http.router")
        ]
        for part in set(_PARTS) - set(parts):
            manager.pop(part, None)
        return config

    return change


_PARTS = ("access_log", "tracing", "early_header_mutation_extensions", "local_reply_config")
_HEADERS = ("crm.headers",)
_TOKEN = (*_HEADERS, "crm.token")
_CLAIMS = (*_TOKEN, "crm.token_kind", "crm.entry")
_LIMITS = (*_CLAIMS, "crm.rate_limit", "crm.body_limit")
_HYGIENE = ("early_header_mutation_extensions", "local_reply_config")
VARIANTS: tuple[tuple[str, Callable[[Config], Config]], ...] = (
    ("router", _with(())),
    ("headers", _with(_HEADERS, _HYGIENE)),
    ("token", _with(_TOKEN, _HYGIENE)),
    ("claims", _with(_CLAIMS, _HYGIENE)),
    ("limits", _with(_LIMITS, _HYGIENE)),
    ("tracing", _with(_LIMITS, (*_HYGIENE, "tracing"))),
    ("everything", lambda config: config),
)
