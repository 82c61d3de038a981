"""The Helm chart: what Helm and Kubernetes take, and what the code says of settings, ports, paths, services and versions."""

import copy
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from crm_contracts import registry
from crm_stack.gateway import chart, load_routes
from crm_stack.gateway.process import validate
from crm_web.prepare import PrepareSettings
from crm_web.service import load_service
from crm_web.settings import KafkaSettings

from . import facts, helm
from .helm import CHART, NAMESPACE, RELEASE, ChartRefused, named, render

if (_missing := helm.why_unavailable()) is not None:
    pytest.skip(_missing, allow_module_level=True)

VALUE_SETS = sorted((CHART / "ci").glob("*.yaml"))
SMALL, LARGE, OPEN = (CHART / "ci" / f"{name}-values.yaml" for name in ("small", "large", "open"))
NAME = f"{RELEASE}-pelagic"
#: The oldest that Chart.yaml takes, and the newest whose schemas there are.
KUBERNETES = ("1.30", "1.37")
_PUBLIC = ("--set", "publicUrl=https://crm.example.org")
_KAFKA = ("--set", "kafka.bootstrap=kafka:9092")
_REGISTRY = ("--set", "image.registry=registry.example.org")
ENOUGH = (*_PUBLIC, *_KAFKA, *_REGISTRY)
Object = Mapping[str, Any]
pytestmark = pytest.mark.requirement("PL-47")


@cache
def objects(values: Path) -> dict[tuple[str, str], Object]:
    """One value set's objects, rendered once."""
    return named(render(values))


def processes(values: Path) -> Iterator[tuple[str, str, Object]]:
    """Service, part and Deployment of every process of ours."""
    for service in facts.SERVICES:
        for part in facts.PARTS:
            yield service, part, objects(values)["Deployment", f"{NAME}-{service}-{part}"]


def pod_specs(values: Path) -> Iterator[tuple[str, Object]]:
    """Every pod that the chart makes, Envoy's and the jobs' too."""
    for (kind, name), thing in objects(values).items():
        if kind in ("Deployment", "Job"):
            yield f"{kind} {name}", thing["spec"]["template"]["spec"]


def container(workload: Object) -> Object:
    """A workload's only container."""
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return only


def environment(values: Path, workload: Object) -> dict[str, str]:
    """What a workload's process sees: its ConfigMaps, then its own variables."""
    found: dict[str, str] = {}
    for source in container(workload).get("envFrom", []):
        if "configMapRef" in source:
            found |= objects(values)["ConfigMap", source["configMapRef"]["name"]]["data"]
    return found | {variable["name"]: variable["value"] for variable in container(workload).get("env", [])}


@cache
def validator(kubernetes: str, kind: str, api: str) -> jsonschema.Draft202012Validator:
    """Checks objects of one kind strictly: members that Kubernetes doesn't know are refused."""
    folder = f"kubernetes-json-schema/v{kubernetes}.0-local-strict"
    group, _, version = api.rpartition("/")
    file = f"{kind.lower()}-{group.split('.')[0] + '-' if group else ''}{version}.json"
    schema = schema_contents(f"{folder}/{file}", kubernetes)
    return jsonschema.Draft202012Validator(schema, registry=Resource.from_contents(schema) @ definitions(kubernetes))


@cache
def definitions(kubernetes: str) -> Registry[Any]:
    """What the schemas of one version of Kubernetes refer to."""
    contents = schema_contents(f"kubernetes-json-schema/v{kubernetes}.0-local-strict/_definitions.json", kubernetes)
    return Resource.from_contents(contents) @ Registry()


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda file: file.name)
def test_helm_finds_nothing_to_object_to(values: Path) -> None:
    assert "0 chart(s) failed" in helm.lint(values)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda file: file.name)
def test_kubernetes_takes_every_object(values: Path, kubernetes: str) -> None:
    for (kind, name), thing in objects(values).items():
        faults = [error.message for error in validator(kubernetes, kind, thing["apiVersion"]).iter_errors(thing)]
        assert faults == [], f"{kind} {name}"


def test_the_validation_refuses_a_member_that_kubernetes_does_not_know() -> None:
    wrong = copy.deepcopy(objects(SMALL)["Deployment", f"{NAME}-gateway"])
    container(wrong)["readynessProbe"] = {}  # type: ignore[index]
    with pytest.raises(jsonschema.ValidationError, match="readynessProbe"):
        validator(KUBERNETES[1], "Deployment", "apps/v1").validate(wrong)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((*_KAFKA, *_REGISTRY), "/publicUrl"),
        ((*_PUBLIC, *_REGISTRY), "/kafka/bootstrap"),
        # Without a registry the images would be those of whoever has that name on a public one.
        ((*_PUBLIC, *_KAFKA), "/image/registry"),
        ((*ENOUGH, "--set", "image.registry=Registry/"), "/image/registry"),
        ((*ENOUGH, "--set", "publicUrl=https://crm.example.org/path"), "/publicUrl"),
        ((*ENOUGH, "--set", "settings.CRM_DATABASE_URL=postgresql://x"), "CRM_DATABASE_URL"),
        ((*ENOUGH, "--set", "settings.CRM_KAFKA_PASSWORD=x"), "CRM_KAFKA_PASSWORD"),
        ((*ENOUGH, "--set", "kafka.security=tls"), "/kafka/security"),
        # Without TLS the password itself would go over the network; a certificate would not be looked at.
        ((*ENOUGH, "--set", "kafka.security=sasl_plaintext", "--set", "kafka.mechanism=PLAIN"), "/kafka/security"),
        ((*ENOUGH, "--set", "kafka.ca.name=x"), "/kafka/security"),
        ((*ENOUGH, "--set", "settings.LOG_LEVEL=debug"), "LOG_LEVEL"),
        ((*ENOUGH, "--set", "services.sales.workers=3"), "workers"),
        ((*ENOUGH, "--set", "services.invoices.settings.CRM_POOL_MAX=3"), "invoices"),
        ((*ENOUGH, "--set", "firstStart.adminPassword.name=x"), "/firstStart"),
        (ENOUGH, "networkPolicy.kafka"),
        ((*ENOUGH, "--set", "archive.url=file:///archive"), "/archive/url"),
        ((*ENOUGH, "--set", "networkPolicy.enabled=false", "--set", "archive.keepMonths=3"), "archive.url"),
        (
            (
                *ENOUGH,
                *("--set", "networkPolicy.kafka[0].ipBlock.cidr=10.0.0.0/8"),
                *("--set", "networkPolicy.database[0].ipBlock.cidr=10.0.0.0/8"),
                *("--set", "archive.url=s3://bucket/folder"),
            ),
            "networkPolicy.archive",
        ),
        ((*ENOUGH, "--set", "networkPolicy.kafka[0].ipBlock.cidr=10.0.0.0/8"), "networkPolicy.database"),
    ],
)
def test_wrong_or_missing_values_are_refused_by_name(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(ChartRefused, match=said.replace("/", "[/.]")):
        render(None, *given)


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda file: file.name)
def test_every_service_has_both_parts_and_what_they_are_told_is_what_the_code_reads(values: Path) -> None:
    for service, part, deployment in processes(values):
        given = environment(values, deployment)
        assert facts.misnamed(service, given) == [], (service, part)
        assert facts.missing(service, given, worker=part == "worker") == [], (service, part)
        assert container(deployment)["args"] == ["crm_web.run", service, f"--{part}"]
        assert given["CRM_SERVICE"] == service
        assert set(given["CRM_SERVICES"].split(",")) == set(facts.SERVICES)
        # Secrets come as files, and the files named are there.
        assert not {name for name, told in facts.settings(service).items() if told.secret} & given.keys()
        mounted = secret_files(deployment)
        files = {value for name, value in given.items() if name.endswith("_FILE")}
        assert files == mounted, (service, part)
    charted = {name for kind, name in objects(values) if kind == "Deployment"}
    ours = {f"{NAME}-{service}-{part}" for service in facts.SERVICES for part in facts.PARTS}
    assert charted == ours | {f"{NAME}-gateway"}


def secret_files(workload: Object) -> set[str]:
    """The paths under which a workload's container sees its secrets."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container(workload)["volumeMounts"]}
    return {
        f"{mounts[volume['name']]}/{item['path']}"
        for volume in workload["spec"]["template"]["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for item in source["secret"]["items"]
    }


def test_a_service_gets_its_own_database_and_nobody_elses_secrets() -> None:
    for service, part, deployment in processes(LARGE):
        volumes = json.dumps(deployment["spec"]["template"]["spec"]["volumes"])
        databases = {other for other in facts.SERVICES if f"pelagic-{other}-database" in volumes}
        assert databases == {service}, part
        assert ("identity-key" in volumes) == (service == "identity"), part


@pytest.mark.parametrize("security", ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"])
def test_a_worker_logs_in_at_the_bus_as_its_services_user_and_an_app_knows_nothing_of_it(security: str) -> None:
    rendered = named(render(SMALL, "--set", f"kafka.security={security}"))
    for service in facts.SERVICES:
        app, worker = (rendered["Deployment", f"{NAME}-{service}-{part}"] for part in facts.PARTS)
        assert not [one["name"] for one in container(app).get("env", []) if one["name"].startswith("CRM_KAFKA")]
        assert "kafka" not in json.dumps(app["spec"]["template"]["spec"]["volumes"])
        given = {one["name"]: one["value"] for one in container(worker)["env"]}
        assert given["CRM_KAFKA_SECURITY"] == security
        assert given.get("CRM_KAFKA_USERNAME") == (service if security.startswith("sasl") else None)
        passwords = [
            source["secret"]["name"]
            for volume in worker["spec"]["template"]["spec"]["volumes"]
            for source in volume.get("projected", {}).get("sources", [])
            if "kafka" in source["secret"]["name"]
        ]
        assert passwords == ([f"pelagic-{service}-kafka"] if security.startswith("sasl") else [])


def test_the_settings_class_takes_what_a_worker_is_told_of_the_bus(tmp_path: Path) -> None:
    secrets = facts.make_secrets(tmp_path / "secrets")
    worker = environment(LARGE, objects(LARGE)["Deployment", f"{NAME}-sales-worker"])
    mounted = {"kafka-password": secrets / "sales-kafka-password", "kafka-ca": secrets / "kafka-ca"}
    told = {name: value for name, value in worker.items() if name.startswith("CRM_KAFKA_")}
    for name, value in told.items():
        if name.endswith("_FILE"):
            told[name] = str(mounted.pop(value.removeprefix("/run/secrets/pelagic/")))
    assert mounted == {}
    login = KafkaSettings.load(told).kafka_login
    assert (login.security, login.username) == ("sasl_ssl", "crm-sales")
    assert (login.password, login.ca) == (
        (secrets / "sales-kafka-password").read_text(),
        (secrets / "kafka-ca").read_text(),
    )


def test_settings_of_one_service_go_over_those_of_all_and_false_goes_over_true() -> None:
    sales = environment(LARGE, objects(LARGE)["Deployment", f"{NAME}-sales-app"])
    assert (sales["CRM_POOL_MAX"], sales["CRM_LOG_LEVEL"], sales["CRM_TIME_ZONE"]) == ("20", "warning", "Asia/Seoul")
    assert "CRM_POOL_MAX" not in environment(LARGE, objects(LARGE)["Deployment", f"{NAME}-billing-app"])
    scaled = {name for kind, name in objects(LARGE) if kind == "HorizontalPodAutoscaler"}
    # services.support.worker.autoscaling.enabled is false there, and worker.autoscaling.enabled true.
    apps = {f"{NAME}-{service}-app" for service in facts.SERVICES}
    workers = {f"{NAME}-{service}-worker" for service in facts.SERVICES} - {f"{NAME}-support-worker"}
    assert scaled == apps | workers | {f"{NAME}-gateway"}
    assert not [name for kind, name in objects(SMALL) if kind == "HorizontalPodAutoscaler"]


@pytest.mark.requirement("PL-48")
def test_every_process_finds_the_archive_and_is_given_its_credentials_as_the_clouds_variables() -> None:
    for service, part, deployment in processes(LARGE):
        given = environment(LARGE, deployment)
        loaded = load_service(service).settings.model_fields
        assert {"archive_url", "journal_keep_months"} <= loaded.keys()
        assert (given["CRM_ARCHIVE_URL"], given["CRM_JOURNAL_KEEP_MONTHS"]) == ("s3://crm-journals/company", "24")
        secrets = [source["secretRef"]["name"] for source in container(deployment)["envFrom"] if "secretRef" in source]
        assert secrets == ["pelagic-archive"], (service, part)
    for _, part, deployment in processes(SMALL):
        assert "CRM_ARCHIVE_URL" not in environment(SMALL, deployment), part
        assert all("secretRef" not in source for source in container(deployment)["envFrom"])
    jobs = [thing for (kind, _), thing in objects(LARGE).items() if kind == "Job"]
    assert jobs
    assert not [job for job in jobs if "pelagic-archive" in json.dumps(job)], "who only migrates reads no archive"


def test_who_scales_itself_is_given_no_number_of_replicas() -> None:
    for kind, name in objects(LARGE):
        if kind == "Deployment":
            scaled = ("HorizontalPodAutoscaler", name) in objects(LARGE)
            assert ("replicas" in objects(LARGE)[kind, name]["spec"]) != scaled, name
    sales = objects(LARGE)["HorizontalPodAutoscaler", f"{NAME}-sales-app"]["spec"]
    assert (sales["minReplicas"], sales["maxReplicas"]) == (2, 20)


def test_workers_scale_by_the_lag_that_they_themselves_report_and_not_past_the_partitions() -> None:
    import crm_events.metrics as metrics

    worker = objects(LARGE)["HorizontalPodAutoscaler", f"{NAME}-sales-worker"]["spec"]
    (measure,) = worker["metrics"]
    assert measure["type"] == "External"
    name = measure["external"]["metric"]["name"]
    assert name.replace("_", ".") in {metric.name for metric in metrics.MEASURES.listed}
    assert measure["external"]["metric"]["selector"]["matchLabels"] == {"service_name": "crm-sales"}
    assert worker["maxReplicas"] == max(topic.partitions for topic in registry.topics.values())


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda file: file.name)
def test_probes_and_ports_are_those_of_the_code(values: Path) -> None:
    for service, part, deployment in processes(values):
        only = container(deployment)
        (port,) = only["ports"]
        assert port == {"name": "http", "containerPort": facts.CONTAINER_PORT}
        assert environment(values, deployment)["CRM_HTTP_PORT"] == str(facts.CONTAINER_PORT)
        paths = [only[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert paths == [facts.LIVE_PATH, facts.LIVE_PATH, facts.READY_PATH], (service, part)
        assert {only[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
            "http"
        }


def test_a_service_is_found_by_name_and_its_name_leads_to_its_app_alone() -> None:
    for service in facts.SERVICES:
        found = objects(SMALL)["Service", f"{NAME}-{service}"]["spec"]
        # No address of its own: the gateway sees every replica, and only those that are ready.
        assert found["clusterIP"] == "None"
        assert "publishNotReadyAddresses" not in found
        assert [port["port"] for port in found["ports"]] == [facts.CONTAINER_PORT]
        fitting = [
            name
            for (kind, name), thing in objects(SMALL).items()
            if kind in ("Deployment", "Job")
            and selects(found["selector"], thing["spec"]["template"]["metadata"]["labels"])
        ]
        assert fitting == [f"{NAME}-{service}-app"]


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a pod with these labels is selected."""
    return selector.items() <= labels.items()


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda file: file.name)
def test_nothing_runs_with_more_rights_than_it_needs(values: Path) -> None:
    for name, pod in pod_specs(values):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001, name  # deploy/docker/Dockerfile
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for only in pod["containers"]:
            context = only["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= only["resources"]["requests"].keys(), name
            assert "memory" in only["resources"]["limits"], name
    for (kind, name), thing in objects(values).items():
        if kind == "ServiceAccount":
            assert thing["automountServiceAccountToken"] is False, name
    assert not {kind for kind, _ in objects(values)} & {"Role", "ClusterRole", "RoleBinding", "Secret"}


def test_the_account_is_the_images_account() -> None:
    dockerfile = (facts.ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert "USER 10001:10001" in dockerfile


def test_a_database_is_prepared_before_the_pods_and_never_by_a_rollback() -> None:
    for service in facts.SERVICES:
        job = objects(SMALL)["Job", f"{NAME}-{service}-prepare"]
        hooks = job["metadata"]["annotations"]
        assert hooks["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert container(job)["args"] == ["crm_web.prepare"]
        given = environment(SMALL, job)
        fields = {f"CRM_{name.upper()}" for name in PrepareSettings.model_fields}
        assert {name.removesuffix("_FILE") for name in given} <= fields
        assert given["CRM_SERVICE"] == service
        assert {value for name, value in given.items() if name.endswith("_FILE")} == secret_files(job)
        # What is applied only after the hooks can't be waited for by them.
        assert "serviceAccountName" not in job["spec"]["template"]["spec"]
        assert "envFrom" not in container(job)
        assert container(job)["image"] == container(objects(SMALL)["Deployment", f"{NAME}-{service}-app"])["image"]


def test_the_first_administrator_is_made_after_identitys_tables_and_only_when_named() -> None:
    from crm_identity.first_start import FirstStartSettings

    job = objects(SMALL)["Job", f"{NAME}-first-start"]
    prepared = objects(SMALL)["Job", f"{NAME}-identity-prepare"]
    weights = [int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in (prepared, job)]
    assert weights == sorted(weights)
    assert weights[0] < weights[1]
    given = environment(SMALL, job)
    assert {name.removesuffix("_FILE") for name in given} <= {
        f"CRM_{n.upper()}" for n in FirstStartSettings.model_fields
    }
    assert {value for name, value in given.items() if name.endswith("_FILE")} == secret_files(job)
    assert ("Job", f"{NAME}-first-start") not in objects(LARGE)


@pytest.mark.requirement("PL-50")
def test_another_version_of_one_service_changes_nothing_of_the_others() -> None:
    before = named(render(SMALL))
    after = named(render(SMALL, "--set", "services.sales.image.tag=9.9.9"))
    assert before.keys() == after.keys()
    changed = {name for key, thing in after.items() if thing != before[key] for name in [key[1]]}
    assert changed == {name for _, name in after if name.startswith(f"{NAME}-sales")}
    assert container(after["Deployment", f"{NAME}-sales-app"])["image"] == "registry.internal:5000/pelagic/sales:9.9.9"


@pytest.mark.requirement("PL-50")
def test_a_changed_setting_replaces_the_pods_that_read_it_and_no_others() -> None:
    def pods(*more: str) -> dict[str, Any]:
        rendered = named(render(SMALL, *more))
        return {name: thing["spec"]["template"] for (kind, name), thing in rendered.items() if kind == "Deployment"}

    before, after = pods(), pods("--set", "services.sales.settings.CRM_POOL_MAX=7")
    assert {name for name in after if after[name] != before[name]} == {f"{NAME}-sales-app", f"{NAME}-sales-worker"}


def allowed(values: Path, direction: str, of: Mapping[str, str], other: Mapping[str, str], port: int) -> bool:
    """Whether the policies let a pod of ours out to (`egress`), or in from (`ingress`), another one at a port."""
    whom = "from" if direction == "ingress" else "to"
    policies = [thing["spec"] for (kind, _), thing in objects(values).items() if kind == "NetworkPolicy"]
    applying = [one for one in policies if selects(one["podSelector"]["matchLabels"], of)]
    assert any(direction.title() in one["policyTypes"] for one in applying), "a pod without a policy may do everything"

    def fits(rule: Object) -> bool:
        peers = [peer for peer in rule.get(whom, []) if peer.keys() == {"podSelector"}]
        let = whom not in rule or any(selects(peer["podSelector"]["matchLabels"], other) for peer in peers)
        return let and any(one["port"] == port for one in rule["ports"])

    return any(fits(rule) for one in applying for rule in one.get(direction, []))


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_only_the_gateway_reaches_the_apps_and_nobody_reaches_a_worker(direction: str) -> None:
    """Either side alone would be enough: what one network plugin overlooks, the other policy holds."""
    labels = {
        name: thing["spec"]["template"]["metadata"]["labels"]
        for (kind, name), thing in objects(LARGE).items()
        if kind in ("Deployment", "Job")
    }

    def may(caller: str, called: str, port: int) -> bool:
        of, other = (caller, called) if direction == "egress" else (called, caller)
        return allowed(LARGE, direction, labels[of], labels[other], port)

    gateway = f"{NAME}-gateway"
    reachable = {
        (caller, called) for caller in labels for called in labels if may(caller, called, facts.CONTAINER_PORT)
    }
    assert reachable == {(gateway, f"{NAME}-{service}-app") for service in facts.SERVICES}
    assert not any(may(name, gateway, 8080) for name in labels)


def outside(values: Path, labels: Mapping[str, str]) -> set[tuple[str, int]]:
    """Where the policies let a pod go outside of the installation: (network or namespace, port)."""
    found = set()
    for (kind, _), thing in objects(values).items():
        if kind != "NetworkPolicy" or not selects(thing["spec"]["podSelector"]["matchLabels"], labels):
            continue
        for rule in thing["spec"].get("egress", []):
            assert rule["to"], "an empty list of peers is everybody"
            for peer in rule["to"]:
                if "ipBlock" in peer:
                    where = peer["ipBlock"]["cidr"]
                elif "namespaceSelector" in peer:
                    where = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
                else:
                    continue
                found |= {(where, port["port"]) for port in rule["ports"]}
    return found


def test_a_service_reaches_its_own_database_its_worker_the_bus_and_analytics_the_receivers() -> None:
    everybody = {("kube-system", 53), ("telemetry", 4318)}
    bus = {("10.0.2.0/24", 9092), ("10.0.2.0/24", 9093)}
    archive = {("10.0.3.0/24", 443)}
    for service, part, deployment in processes(LARGE):
        database = {("10.0.7.0/24" if service == "sales" else "10.0.1.0/24", 5432)}
        reached = outside(LARGE, deployment["spec"]["template"]["metadata"]["labels"])
        # Its app sends what somebody tries out, its worker everything else.
        receivers = {("0.0.0.0/0", 443)} if service == "analytics" else set()
        assert reached == everybody | database | archive | receivers | (bus if part == "worker" else set()), (
            service,
            part,
        )
    gateway = objects(LARGE)["Deployment", f"{NAME}-gateway"]["spec"]["template"]["metadata"]["labels"]
    assert outside(LARGE, gateway) == everybody
    assert not [name for kind, name in objects(OPEN) if kind == "NetworkPolicy"]


def test_every_deployment_has_a_budget_that_covers_its_pods() -> None:
    for (kind, name), thing in objects(LARGE).items():
        if kind == "Deployment":
            budget = objects(LARGE)["PodDisruptionBudget", name]["spec"]
            assert budget["maxUnavailable"] == 1
            assert budget["selector"] == thing["spec"]["selector"], name


def test_the_gateways_files_in_the_chart_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(facts.ROOT)
    assert chart.main(["--check"]) == 0


def test_the_check_tells_files_that_are_stale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(facts.ROOT)
    monkeypatch.setattr(chart, "FOLDER", tmp_path)
    assert chart.main([]) == 0
    (tmp_path / "direct.json").write_text("{}")
    (tmp_path / "left-over.json").write_text("{}")
    assert chart.main(["--check"]) == 1
    assert "direct.json, left-over.json" in capsys.readouterr().err


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda file: file.name)
def test_envoy_takes_the_gateways_configuration_and_no_mark_is_left_in_it(values: Path, tmp_path: Path) -> None:
    """With the addresses put in by Helm, it is to the letter what the generator makes for them."""
    from crm_stack.gateway import GatewaySettings, TokenRules, render, render_routes

    bootstrap = objects(values)["ConfigMap", f"{NAME}-gateway"]["data"]["envoy.json"]
    routes = objects(values)["ConfigMap", f"{NAME}-gateway-routes"]["data"]["routes.json"]
    assert ".invalid" not in bootstrap.replace("token.invalid", "")
    table = load_routes(facts.ROOT / "deploy" / "gateway" / "routes.json", facts.SERVICES)
    public = environment(values, objects(values)["Deployment", f"{NAME}-identity-app"])["CRM_PUBLIC_URL"]
    made = render(
        folder=chart.ROUTES_FOLDER,
        listen=chart.LISTEN,
        admin=chart.ADMIN,
        routes=table,
        services={
            name: (f"{NAME}-{name}.{NAMESPACE}.svc.cluster.local", facts.CONTAINER_PORT)
            for name in sorted(facts.SERVICES)
        },
        settings=GatewaySettings(
            tokens=TokenRules(issuer=public),
            trusted_hops=0 if values == SMALL else 1,
            otlp_endpoint="http://collector.telemetry.svc:4318" if values == LARGE else None,
        ),
    )
    assert json.loads(bootstrap) == made
    assert json.loads(routes) == render_routes(table)
    # Kubernetes refuses more than 1 MiB in a ConfigMap. Before that: fewer words for a route, or an init container that writes them.
    assert len(routes.encode()) < 900 * 1024
    (tmp_path / "envoy.json").write_text(bootstrap)
    (tmp_path / "routes.json").write_text(routes)
    validate(tmp_path)


def test_envoy_runs_as_at_home_and_sees_its_files_where_it_looks_for_them() -> None:
    deployment = objects(SMALL)["Deployment", f"{NAME}-gateway"]
    only = container(deployment)
    assert only["image"].rpartition("-v")[2] == facts.version_of("envoy")
    mounts = {mount["mountPath"]: mount for mount in only["volumeMounts"]}
    # A folder, not a file: a changed routes file is seen by Envoy's watch.
    assert all("subPath" not in mount for mount in mounts.values())
    assert str(chart.ROUTES_FOLDER) in mounts
    assert only["args"][1].rpartition("/")[0] in mounts
    assert {probe["httpGet"]["path"] for name, probe in only.items() if name.endswith("Probe")} == {"/healthz"}
    assert [port["containerPort"] for port in only["ports"]] == [chart.LISTEN[1]]


def test_changed_routes_restart_no_gateway_and_a_changed_address_does(tmp_path: Path) -> None:
    gateway = ("Deployment", f"{NAME}-gateway")
    routes = ("ConfigMap", f"{NAME}-gateway-routes")
    before = objects(SMALL)
    moved = named(render(SMALL, "--set", "publicUrl=http://crm.elsewhere"))
    assert moved[gateway]["spec"]["template"] != before[gateway]["spec"]["template"]

    table = load_routes(facts.ROOT / "deploy" / "gateway" / "routes.json", facts.SERVICES)
    fewer = [route for route in table if route.service != "support" or route.method == "GET"]
    assert len(fewer) < len(table)
    changed = tmp_path / "pelagic"
    shutil.copytree(CHART, changed)
    for name, content in chart.files(fewer, sorted(facts.SERVICES)).items():
        (changed / "files" / name).write_text(content, encoding="utf-8")
    after = named(render(SMALL, chart=changed))
    assert {key for key in after if after[key] != before[key]} == {routes}
    assert json.loads(after[routes]["data"]["routes.json"]) != json.loads(before[routes]["data"]["routes.json"])


def connections(values: Path | None, service: str) -> int:
    """The most connections that a service opens to its database while its pods are replaced one by one."""
    given = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    told = {} if values is None else yaml.safe_load(values.read_text(encoding="utf-8"))
    most = 0
    for part in facts.PARTS:
        own = given[part] | told.get(part, {})
        scaling = given[part]["autoscaling"] | told.get(part, {}).get("autoscaling", {})
        most += scaling["maxReplicas"] if scaling["enabled"] else own["replicas"]
    pool = told.get("settings", {}).get("CRM_POOL_MAX", load_service(service).settings.model_fields["pool_max"].default)
    surge = len(facts.PARTS)
    return int((most + surge) * (pool + 1))


def test_the_connections_that_the_page_asks_for_follow_from_the_values() -> None:
    page = " ".join((CHART.parent / "README.md").read_text(encoding="utf-8").split())
    told = re.search(r"that is (\d+), and (\d+) when all six are on one server; with \S+ (\d+) and (\d+)\.", page)
    assert told is not None
    one, all_of_them, small, all_small = map(int, told.groups())
    assert {connections(None, service) for service in facts.SERVICES} == {one}
    assert {connections(SMALL, service) for service in facts.SERVICES} == {small}
    assert (all_of_them, all_small) == (one * len(facts.SERVICES), small * len(facts.SERVICES))
    assert f"= {all_small} connections" in SMALL.read_text(encoding="utf-8")
    # The value reaches the processes, and a Deployment has no more than one pod of the next version at a time.
    for service, part, deployment in processes(SMALL):
        assert (int(environment(SMALL, deployment)["CRM_POOL_MAX"]) + 1) * 4 == small, (service, part)
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1


def test_the_way_in_is_the_public_address() -> None:
    ingress = objects(LARGE)["Ingress", NAME]["spec"]
    (rule,) = ingress["rules"]
    assert rule["host"] == "crm.example.org"
    assert ingress["tls"] == [{"hosts": ["crm.example.org"], "secretName": "crm-example-org"}]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == f"{NAME}-gateway"
    # Callers' addresses arrive at a gateway that has no proxy in front.
    assert objects(SMALL)["Service", f"{NAME}-gateway"]["spec"]["externalTrafficPolicy"] == "Local"


def test_a_release_that_is_called_as_the_chart_has_no_doubled_name() -> None:
    assert ("Deployment", "pelagic-sales-app") in named(render(SMALL, release="pelagic"))
