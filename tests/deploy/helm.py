"""Helm for tests: the one on the PATH, or built by Go from its module once and kept outside the repository.

    python -m tests.deploy.helm        what CI runs before the tests: builds it where there is none

The cache is `CRM_HELM_CACHE`, or `~/.cache/pelagic/helm`. Building takes minutes of processor time, the first time only. Only where
there is neither helm nor Go are the chart's tests skipped; a build that fails is a failure.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .facts import ROOT

VERSION = "v3.22.0"
MODULE = f"helm.sh/helm/v3/cmd/helm@{VERSION}"
CHART = ROOT / "deploy" / "kubernetes" / "pelagic"
#: The release as which the tests render the chart, and its namespace.
RELEASE, NAMESPACE = "crm", "sales-department"
#: Helm built from its module doesn't know which Kubernetes it was made for.
KUBERNETES = "1.34.0"
_BUILD_SECONDS = 1800.0
#: Where Go's own packages put it, which is not on everybody's PATH.
_GO = "/usr/local/go/bin/go"


class HelmNotBuilt(Exception):
    """Go could not build helm; the text has its last lines."""


class ChartRefused(Exception):
    """Helm refuses the chart with these values; the text is Helm's."""


def why_unavailable() -> str | None:
    """Why there is no helm here; None when there is."""
    if shutil.which("helm") is None and not _built().exists() and _go() is None:
        return "there is no helm, and no Go to build it with: the Helm chart is not tested"
    return None


def _go() -> str | None:
    return shutil.which("go") or shutil.which(_GO)


def helm() -> str:
    """The path of helm, built when it is nowhere yet. Raises HelmNotBuilt."""
    if (present := shutil.which("helm")) is not None:
        return present
    target = _built()
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            environment = {**os.environ, "GOBIN": str(target.parent), "GOFLAGS": "-trimpath"}
            go = _go()
            if go is None:
                raise HelmNotBuilt("there is no Go")
            command = [go, "install", "-ldflags=-s -w", MODULE]
            try:
                built = subprocess.run(
                    command, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
                )
            except subprocess.TimeoutExpired as late:
                raise HelmNotBuilt(f"not within {_BUILD_SECONDS / 60:.0f} minutes") from late
            if built.returncode != 0:
                raise HelmNotBuilt(built.stderr[-2000:])
    return str(target)


def main() -> int:
    """The command: 0 helm is there, or can't be; 1 it could not be built."""
    if (missing := why_unavailable()) is not None:
        sys.stdout.write(f"{missing}\n")
        return 0
    try:
        sys.stdout.write(f"{helm()}\n")
    except HelmNotBuilt as failed:
        sys.stderr.write(f"helm could not be built: {failed}\n")
        return 1
    return 0


def _built() -> Path:
    cache = os.environ.get("CRM_HELM_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache" / "pelagic" / "helm") / VERSION / "helm"


def lint(values: Path) -> str:
    """What `helm lint --strict` says with these values. Raises ChartRefused."""
    return _run("lint", str(CHART), "--strict", "--kube-version", KUBERNETES, "--values", str(values))


def render(values: Path | None = None, *more: str, release: str = RELEASE, chart: Path = CHART) -> list[dict[str, Any]]:
    """The objects of an installation; `more`: arguments such as `--set publicUrl=…`. Raises ChartRefused."""
    given = [] if values is None else ["--values", str(values)]
    command = ["template", release, str(chart), "--namespace", NAMESPACE, "--kube-version", KUBERNETES, *given, *more]
    return [found for found in yaml.load_all(_run(*command), yaml.CSafeLoader) if found]


def named(objects: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The objects by kind and name. AssertionError when two have the same."""
    found = {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects}
    assert len(found) == len(objects), "two objects of one kind and name"
    return found


def _run(*arguments: str) -> str:
    ran = subprocess.run([helm(), *arguments], capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode != 0:
        raise ChartRefused(ran.stderr + ran.stdout)
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
