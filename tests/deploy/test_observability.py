"""deploy/observability against the code: alerts and dashboards ask for what is measured, and lead to runbooks that there are."""

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import kubernetes_validate
import pytest
import yaml

from crm_database.measuring import Measures, Metric

from .facts import ROOT, SERVICES
from .test_compose import plain

pytestmark = pytest.mark.requirement("PL-45")

FOLDER = ROOT / "deploy" / "observability"
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
COLLECTOR: dict[str, Any] = yaml.safe_load((FOLDER / "collector.yaml").read_text(encoding="utf-8"))
PROMETHEUS: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
BESIDE: dict[str, Any] = yaml.safe_load((FOLDER / "docker-compose.observability.yml").read_text(encoding="utf-8"))
PLATFORM: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))

#: Who measures anything.
MEASURED = ("crm_analytics", "crm_database", "crm_events", "crm_jobs", "crm_sagas", "crm_web")
#: What every series has besides its metric's labels: the resource, as the collector shows it, and what scraping adds.
_OF_ALL = frozenset({"service_name", "service_instance_id", "job", "instance"})
#: As Prometheus writes units; what stands in braces is a comment.
_UNITS = {"s": "_seconds", "By": "_bytes", "1": "_ratio", "": ""}
_WORDS = frozenset(
    {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}
)


@cache
def script(name: str) -> ModuleType:
    """A program of .ci."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def libraries() -> tuple[Measures, ...]:
    """The lists."""
    return tuple(script("telemetry").measures())


def series_of(metric: Metric) -> list[str]:
    """What Prometheus calls it: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/"""
    unit = "" if metric.unit.startswith("{") else _UNITS[metric.unit]
    name = metric.name.replace(".", "_") + unit
    if metric.kind == "histogram":
        return [f"{name}_bucket", f"{name}_sum", f"{name}_count"]
    return [f"{name}_total"] if metric.kind == "counter" else [name]


def known(metrics: Iterator[Metric] | None = None) -> dict[str, frozenset[str]]:
    """Series → its labels."""
    listed = metrics or (metric for library in libraries() for metric in library.listed)
    return {
        series: frozenset(label.replace(".", "_") for label in metric.labels)
        | _OF_ALL
        | ({"le"} if series.endswith("_bucket") else frozenset())
        for metric in listed
        for series in series_of(metric)
    }


def series_in(expression: str) -> set[str]:
    """The series that a PromQL expression names: its words that are no function, keyword, label or number."""
    text = re.sub(r'"[^"]*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    text = re.sub(r"\boffset\s+\w+", " ", text)
    words = re.findall(r"(?<![\w.$])([a-zA-Z_:][\w:]*)\s*(\()?", text)
    return {word for word, call in words if not call and word not in _WORDS}


def labels_in(expression: str) -> set[str]:
    """The labels that it filters or groups by."""
    text = re.sub(r'"[^"]*"', '""', expression)
    found = {name for part in re.findall(r"\{([^}]*)\}", text) for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", part)}
    for part in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", text):
        found |= {name.strip() for name in part.split(",") if name.strip()}
    return found


def faults(expression: str, there: dict[str, frozenset[str]]) -> list[str]:
    """What an expression asks for that there is not."""
    named = series_in(expression)
    wrong = [f"no metric {name}" for name in sorted(named - there.keys())]
    if not named:
        wrong.append("no metric at all")
    labels = frozenset().union(*(there[name] for name in named & there.keys()))
    return wrong + [f"no label {label}" for label in sorted(labels_in(expression) - labels)]


def panels(dashboard: Path) -> Iterator[dict[str, Any]]:
    """The panels of a dashboard."""
    yield from json.loads(dashboard.read_text(encoding="utf-8"))["panels"]


# -- metrics ----------------------------------------------------------------------------------------------------------


def test_the_page_of_all_metrics_is_current_and_no_name_is_two_libraries() -> None:
    telemetry = script("telemetry")
    assert telemetry.PAGE.read_text(encoding="utf-8") == telemetry.page(), "run python .ci/telemetry.py"
    names = [metric.name for library in libraries() for metric in library.listed]
    assert len(set(names)) == len(names)
    assert {library.library for library in libraries()} == set(MEASURED)
    assert all(
        metric.meaning and (metric.unit in _UNITS or metric.unit.startswith("{"))
        for m in libraries()
        for metric in m.listed
    )


def emissions(library: str) -> dict[str, list[ast.Call]]:
    """Variable of a library's metrics.py → the calls in the library that give it a value."""
    found: dict[str, list[ast.Call]] = {}
    for file in sorted(ROOT.glob(f"*/*/src/{library}/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("add", "record", "of")
            ):
                target = node.func.value
                # `metrics.relay_sent.add(…)`, also under another name of the module.
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id in ("metrics", "measured")
                ):
                    found.setdefault(target.attr, []).append(node)
    return found


def declared(library: str) -> dict[str, Metric]:
    """Variable → metric, of a library's metrics.py."""
    (file,) = ROOT.glob(f"*/*/src/{library}/metrics.py")
    names = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and node.value.args
            and isinstance(node.targets[0], ast.Name)
        ):
            argument = node.value.args[0]
            assert isinstance(argument, ast.Constant)
            names[node.targets[0].id] = argument.value
    (measures,) = (one for one in libraries() if one.library == library)
    listed = {metric.name: metric for metric in measures.listed}
    found = {variable: listed[name] for variable, name in names.items() if name in listed}
    assert {metric.name for metric in found.values()} == listed.keys()
    return found


@pytest.mark.parametrize("library", MEASURED)
def test_every_metric_is_given_values_somewhere_with_labels_that_are_declared(library: str) -> None:
    metrics, given = declared(library), emissions(library)
    assert given.keys() == metrics.keys()
    for variable, calls in given.items():
        for call in calls:
            for literal in (
                node for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.Dict)
            ):
                keys = {key.value for key in literal.keys if isinstance(key, ast.Constant)}
                assert keys <= set(metrics[variable].labels), (variable, keys)


def test_no_metric_is_made_past_the_lists() -> None:
    """A name that only the code knows would be missing from the page, and a dashboard's use of it would not be noticed."""
    made = re.compile(r"\.create_(counter|histogram|gauge|up_down_counter|observable_\w+)\(|get_meter\(")
    where = {
        str(file.relative_to(ROOT))
        for folder in ("libs", "services")
        for file in (ROOT / folder).glob("*/src/**/*.py")
        if made.search(file.read_text(encoding="utf-8"))
    }
    assert where == {"libs/database/src/crm_database/measuring.py"}


# -- alerts and dashboards --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert faults(rule["expr"], known()) == []
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert re.fullmatch(r"\d+m", rule["for"])
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "description", "runbook"}
    file, _, anchor = notes["runbook"].partition("#")
    assert anchor in script("documents").anchors(ROOT / file), notes["runbook"]
    # What a text is filled with is a label of the result: one that is grouped by.
    used = set(re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]))
    grouped = {name.strip() for part in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for name in part.split(",")}
    assert used <= grouped


def test_alerts_have_names_of_their_own_and_the_runbook_lists_those_of_the_bus() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    page = (ROOT / "docs/runbooks/events.md").read_text(encoding="utf-8")
    of_bus = {rule["alert"] for rule in ALERTS if "/events.md#" in rule["annotations"]["runbook"]}
    assert of_bus == set(re.findall(r"`([A-Z]\w+)`", page.partition("\n## Alerts")[2]))


def test_what_an_operator_must_hear_of_has_an_alert() -> None:
    heard = set().union(*(series_in(rule["expr"]) for rule in ALERTS))
    assert heard >= {
        "crm_relay_backlog",
        "crm_relay_oldest_unsent_seconds",
        "crm_relay_tombstones_total",
        "crm_relay_streams_started_total",
        "crm_archive_overdue",
        "crm_archive_failures_total",
        "crm_consumer_stopped",
        "crm_consumer_lag",
        "crm_consumer_event_age_seconds_bucket",
        "crm_dead_letters_waiting",
        "crm_resync_refused_total",
        "crm_heartbeat_age_seconds",
        "db_client_connection_max",
        "http_server_request_duration_seconds_count",
        "crm_jobs_age_seconds",
    }


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_asks_for_what_there_is(dashboard: Path) -> None:
    document = json.loads(dashboard.read_text(encoding="utf-8"))
    (service,) = document["templating"]["list"]
    assert faults(service["definition"].removeprefix("label_values(").partition(",")[0], known()) == []
    for panel in panels(dashboard):
        for target in panel["targets"]:
            assert faults(target["expr"], known()) == [], panel["title"]
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert legend <= labels_in(target["expr"]), panel["title"]
            assert target["datasource"]["uid"] == panel["datasource"]["uid"] == "prometheus"
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in document["panels"])


def test_dashboards_have_ids_of_their_own_and_show_every_metric() -> None:
    documents = [json.loads(file.read_text(encoding="utf-8")) for file in DASHBOARDS]
    assert len({document["uid"] for document in documents}) == len(documents) == 5
    shown = set().union(
        *(series_in(target["expr"]) for file in DASHBOARDS for panel in panels(file) for target in panel["targets"])
    )
    unseen = [m.name for library in libraries() for m in library.listed if not shown & set(series_of(m))]
    assert unseen == []


@pytest.mark.parametrize(
    "metric", [metric for library in libraries() for metric in library.listed], ids=lambda m: m.name
)
def test_a_renamed_metric_is_noticed(metric: Metric) -> None:
    """The guard of all above: without this metric in the list, some dashboard or alert asks for what there is not."""
    others = known(m for library in libraries() for m in library.listed if m is not metric)
    asked = [rule["expr"] for rule in ALERTS]
    asked += [target["expr"] for file in DASHBOARDS for panel in panels(file) for target in panel["targets"]]
    assert any(faults(expression, others) for expression in asked)


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("sum(crm_relay_backlog)", []),
        ('rate(crm_relay_sent_total{topic="x"}[5m]) > 0', []),
        ("rate(crm_relay_sent[5m])", ["no metric crm_relay_sent"]),
        ("sum by (colour) (crm_relay_backlog)", ["no label colour"]),
        ('crm_consumer_lag{gruop="a"}', ["no label gruop"]),
        ("crm_jobs_age > 600", ["no metric crm_jobs_age"]),
        ("histogram_quantile(0.9, sum by (le) (rate(crm_jobs_step_duration_seconds_bucket[5m])))", []),
        ("sum by (le) (crm_relay_backlog)", ["no label le"]),
        ("1 > 0", ["no metric at all"]),
        ("crm_relay_leader offset 15m unless on (service_name) crm_relay_leader", []),
    ],
)
def test_the_reading_of_expressions_finds_what_is_wrong(expression: str, wrong: list[str]) -> None:
    assert faults(expression, known()) == wrong


# -- collector, Prometheus, compose, Kubernetes -----------------------------------------------------------------------


def test_the_collectors_pipelines_are_of_parts_that_it_has_and_bounded_in_memory() -> None:
    for pipeline in COLLECTOR["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= COLLECTOR[kind].keys()
        assert pipeline["processors"][0] == "memory_limiter"
    assert COLLECTOR["service"]["pipelines"]["metrics"]["exporters"] == ["prometheus"]
    assert COLLECTOR["service"]["pipelines"]["traces"]["receivers"] == ["otlp"]
    assert set(COLLECTOR["service"]["extensions"]) == COLLECTOR["extensions"].keys()
    # The chart's scaling and every rule here name the service by this label.
    assert COLLECTOR["exporters"]["prometheus"]["resource_to_telemetry_conversion"] == {"enabled": True}


def test_prometheus_scrapes_the_collector_and_loads_the_rules() -> None:
    (job,) = PROMETHEUS["scrape_configs"]
    port = COLLECTOR["exporters"]["prometheus"]["endpoint"].rpartition(":")[2]
    assert job["static_configs"] == [{"targets": [f"collector:{port}"]}]
    assert job["honor_labels"] is True
    mounts = [volume.split(":") for volume in BESIDE["services"]["prometheus"]["volumes"]]
    seen = {inside: outside for outside, inside, *_ in mounts}
    assert all(seen[rules] == "./deploy/observability/alerts.yaml" for rules in PROMETHEUS["rule_files"])


@pytest.mark.parametrize("name", BESIDE["services"])
def test_what_runs_beside_is_pinned_confined_limited_and_reached_from_here_only(name: str) -> None:
    one = BESIDE["services"][name]
    assert re.fullmatch(r"[a-z]+/[a-z-]+:v?\d+\.\d+\.\d+", one["image"])
    assert name not in PLATFORM["services"]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "memory"} <= one["deploy"]["resources"]["limits"].keys()
    assert one["restart"] == "unless-stopped"
    assert one["logging"]["options"].keys() == {"max-size", "max-file"}
    assert all(port.startswith("127.0.0.1:") for port in one.get("ports", []))
    assert set(one["networks"]) <= BESIDE["networks"].keys() | PLATFORM["networks"].keys()
    for volume in one.get("volumes", []):
        outside, _, *how = volume.split(":")
        # Paths count from the first file's folder: the root.
        assert (
            (how == ["ro"] and (ROOT / outside).exists()) if outside.startswith("./") else outside in BESIDE["volumes"]
        )


def test_the_collector_is_where_processes_and_gateway_send_to_as_the_readme_says() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    (host, port) = re.findall(r"OTEL_EXPORTER_OTLP_ENDPOINT=http://([\w-]+):(\d+)", readme)[0]
    collector = BESIDE["services"][host]
    assert COLLECTOR["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(f":{port}")
    senders = ["gateway", *SERVICES, *(f"{service}-worker" for service in SERVICES)]
    for name in senders:
        assert set(PLATFORM["services"][name]["networks"]) & set(collector["networks"]), name
        if name != "gateway":
            given = PLATFORM["services"][name]["environment"]
            assert given["OTEL_EXPORTER_OTLP_ENDPOINT"] == "${OTEL_EXPORTER_OTLP_ENDPOINT:-}"
            assert plain(given["OTEL_METRIC_EXPORT_INTERVAL"]) == "60000"
    # Nothing beside it gets to databases or the bus.
    assert all("data" not in one["networks"] for name, one in BESIDE["services"].items() if name != host)
    assert "-f docker-compose.yml -f deploy/observability/docker-compose.observability.yml" in readme


def test_a_gauges_last_word_outlives_two_exports() -> None:
    interval = int(plain(PLATFORM["services"]["sales"]["environment"]["OTEL_METRIC_EXPORT_INTERVAL"])) / 1000
    assert COLLECTOR["exporters"]["prometheus"]["metric_expiration"] == "3m"
    assert 2 * interval <= 180


def test_grafana_finds_dashboards_and_data_and_lets_nobody_change_them() -> None:
    grafana = BESIDE["services"]["grafana"]
    seen = {inside: outside for outside, inside, *_ in (volume.split(":") for volume in grafana["volumes"])}
    (source,) = yaml.safe_load((FOLDER / "grafana/datasources.yaml").read_text(encoding="utf-8"))["datasources"]
    assert source["uid"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((FOLDER / "grafana/dashboards.yaml").read_text(encoding="utf-8"))["providers"]
    assert seen[provider["options"]["path"]] == "./deploy/observability/dashboards"
    environment = grafana["environment"]
    home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (FOLDER / "dashboards" / Path(home).name).exists()
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


def test_kubernetes_takes_the_collector_and_it_is_the_same() -> None:
    objects = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
    for one in objects:
        kubernetes_validate.validate(one, "1.34", strict=True)
    deployment, service = objects
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == BESIDE["services"]["collector"]["image"]
    assert container["args"] == BESIDE["services"]["collector"]["command"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == ports
    values = yaml.safe_load((ROOT / "deploy/kubernetes/pelagic/values.yaml").read_text(encoding="utf-8"))
    assert ports["otlp-http"] == values["telemetry"]["port"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
