"""The runbooks' commands, as far as they can be checked without a cluster or an engine: they name what there is."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from .facts import ROOT, SERVICES

PAGES = [*sorted((ROOT / "docs/runbooks").glob("*.md")), ROOT / "README.md", ROOT / "deploy/docker/README.md"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/pelagic/values.yaml").read_text(encoding="utf-8"))
#: Subcommands that take services as arguments; `run` and `exec` take one, and then somebody else's arguments.
_OF_SERVICES = ("up", "stop", "restart", "build", "pull", "logs", "run", "exec")


def compose_commands(page: Path) -> list[list[str]]:
    """Every `docker compose …` of a page, in words, up to what ends a command there."""
    text = page.read_text(encoding="utf-8")
    return [shlex.split(found) for found in re.findall(r"docker compose ((?:[^`|&;\n$#(\\'\"]|\\\n)+)", text)]


def named_services(command: list[str]) -> list[str]:
    """The services in a command's words."""
    verb, *rest = command
    given = [word for word in rest if not word.startswith("-")]
    return given[:1] if verb in ("run", "exec") else given


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_compose_commands_name_services_that_there_are(page: Path) -> None:
    for command in compose_commands(page):
        if command[0] in _OF_SERVICES:
            assert set(named_services(command)) <= COMPOSE.keys() | {"…"}, command
            # What another service builds isn't built for a job or a worker that is named alone.
            if "--build" in command and (named := named_services(command)):
                assert all("build" in COMPOSE[name] for name in named), command


@pytest.mark.requirement("PL-50")
def test_the_operators_pod_is_one_that_kubernetes_takes(tmp_path: Path) -> None:
    """The function of the runbook, with a kubectl that only tells what it was given."""
    text = (ROOT / "docs/runbooks/look-inside.md").read_text(encoding="utf-8")
    (function,) = re.findall(r"^operator\(\) \{.*?^\}$", text, re.MULTILINE | re.DOTALL)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\nfor argument; do printf "%s\\0" "$argument"; done\n')
    kubectl.chmod(0o755)
    script = f"PATH={tmp_path}:$PATH IMAGE=registry.example.org/pelagic/operator:0.1.0\n{function}\noperator events lag --json"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    words = done.stdout.split("\0")
    (overrides,) = [json.loads(word.partition("=")[2]) for word in words if word.startswith("--overrides=")]
    pod = {"kind": "Pod", "metadata": {"name": "operator"}, **overrides}
    kubernetes_validate.validate(pod, "1.34", strict=True)
    (only,) = pod["spec"]["containers"]
    assert only["args"] == ["events", "lag", "--json"]
    assert f"--image={only['image']}" in words
    (volume,) = pod["spec"]["volumes"]
    assert only["env"] == [{"name": "CRM_DATABASES", "value": only["volumeMounts"][0]["mountPath"]}]
    given = {source["secret"]["name"]: source["secret"]["items"] for source in volume["projected"]["sources"]}
    assert given == {
        VALUES["services"][service]["database"]["secret"]["name"]: [
            {"key": VALUES["services"][service]["database"]["secret"]["key"], "path": f"{service}-database-url"}
        ]
        for service in SERVICES
    }
