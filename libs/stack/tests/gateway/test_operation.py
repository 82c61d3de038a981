"""Running it: start, validate, exchange routes without a restart, trace and log."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from crm_stack.gateway import (
    GatewayConfigurationRefused,
    GatewaySettings,
    GatewaySettingsInvalid,
    RouteTableInvalid,
    TokenRules,
    dump_routes,
    parse_routes,
    render,
    update_addresses,
    update_routes,
    validate,
    write_config,
)
from crm_stack.gateway.check import main as check

from .conftest import TABLE, Gateway, entry, free_port, running_gateway, wait_for
from .keys import ISSUER, token
from .upstream import Upstream

ROUTES = parse_routes(TABLE)
CONTAINERS = {name: (name, 8000) for name in ("identity", "customers", "sales")}


def written(folder: Path, **more: object) -> Path:
    arguments: dict[str, object] = {
        "listen": ("127.0.0.1", free_port()),
        "admin": ("127.0.0.1", free_port()),
        "routes": ROUTES,
        "services": CONTAINERS,
        "issuer": ISSUER,
    }
    return write_config(folder, **(arguments | more))  # type: ignore[arg-type]


def test_a_written_configuration_is_valid_for_names_and_for_addresses(tmp_path: Path) -> None:
    for number, services in enumerate((CONTAINERS, dict.fromkeys(CONTAINERS, ("127.0.0.1", 9)))):
        folder = tmp_path / f"a folder {number}"
        written(folder, services=services)
        validate(folder)
    kinds = {
        cluster["name"]: cluster["type"]
        for cluster in json.loads((tmp_path / "a folder 0" / "envoy.json").read_text())["static_resources"]["clusters"]
    }
    assert kinds["service_customers"] == "STRICT_DNS"


def test_validation_looks_into_the_watched_routes(tmp_path: Path) -> None:
    written(tmp_path)
    file = tmp_path / "routes.json"
    good = file.read_text()
    for bad in (good.replace('"service_customers"', '"service_nobody"'), good.replace('"direct_response"', '"direct"')):
        assert bad != good
        file.write_text(bad)
        with pytest.raises(GatewayConfigurationRefused):
            validate(tmp_path)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"admin": ("0.0.0.0", 1)}, GatewaySettingsInvalid),
        ({"admin": ("10.0.0.1", 1)}, GatewaySettingsInvalid),
        ({"services": {"identity": ("identity", 1)}}, RouteTableInvalid),
        ({"services": {"customers": ("a", 1)}, "routes": []}, GatewaySettingsInvalid),
        ({"settings": GatewaySettings(tokens=TokenRules(issuer="http://another"))}, GatewaySettingsInvalid),
        *(
            (
                {"settings": GatewaySettings(tokens=TokenRules(issuer=ISSUER), otlp_endpoint=wrong)},
                GatewaySettingsInvalid,
            )
            for wrong in ("collector:4317", "https://collector.test:4318", "")
        ),
    ],
)
def test_unsafe_or_impossible_settings_write_nothing(
    tmp_path: Path, change: dict[str, object], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        written(tmp_path, **change)
    assert list(tmp_path.iterdir()) == []


def test_a_route_nobody_says_anything_about_is_closed() -> None:
    """The steps refuse by default: what a route does not switch off asks for a token and then refuses."""
    bootstrap = render(
        folder=Path("/x"),
        listen=("127.0.0.1", 1),
        admin=("127.0.0.1", 2),
        routes=[],
        services=CONTAINERS,
        settings=GatewaySettings(tokens=TokenRules(issuer=ISSUER)),
    )
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    filters = {one["name"]: one["typed_config"] for one in manager["http_filters"]}
    assert filters["crm.token"]["rules"] == [{"match": {"prefix": "/"}, "requires": {"provider_name": "identity"}}]
    assert filters["crm.entry"]["rules"] == {"action": "ALLOW", "policies": {}}


@pytest.mark.requirement("PL-47")
def test_addresses_are_exchanged_without_a_restart_and_no_request_fails(tmp_path: Path, upstream: Upstream) -> None:
    """As in a rolling upgrade: a second replica comes, the first goes."""
    customers = [route for route in ROUTES if route.service != "sales"]
    here, path = ("127.0.0.1", upstream.port), "/api/customers/v1/customers"
    services = {"identity": here, "customers": here}
    second = Upstream().start()
    try:
        with running_gateway(tmp_path / "a gateway", upstream, customers, services=services) as gateway:

            def asked(one: Upstream) -> int:
                assert gateway.request("GET", path, token()).status_code == 200
                return sum(arrived.target == path for arrived in one.arrived)

            assert asked(upstream) == 1
            update_addresses(gateway.folder, "customers", [here, ("127.0.0.1", second.port)])
            wait_for(lambda: asked(second) > 0, "the second replica's turn")
            upstream.arrived.clear()
            wait_for(lambda: asked(upstream) > 0, "the first replica's turn")
            update_addresses(gateway.folder, "customers", [("127.0.0.1", second.port)])
            left = f"http://127.0.0.1:{gateway.admin}/clusters"
            gone = f"service_customers::127.0.0.1:{upstream.port}::"
            wait_for(lambda: gone not in httpx.get(left).text, "the first replica to be left out")
            upstream.arrived.clear()
            assert [asked(upstream) for _ in range(10)] == [0] * 10
    finally:
        second.stop()


@pytest.mark.requirement("PL-47")
def test_routes_are_exchanged_without_a_restart_and_bad_ones_change_nothing(tmp_path: Path, upstream: Upstream) -> None:
    started = [route for route in ROUTES if route.service != "sales"]
    here = ("127.0.0.1", upstream.port)
    services = {"identity": here, "customers": here}
    with running_gateway(tmp_path / "a gateway", upstream, started, services=services) as gateway:
        path = "/api/customers/v1/added"
        assert gateway.request("GET", path, token()).status_code == 404
        more = parse_routes([entry("GET", path, "added", access="authenticated")])
        update_routes(gateway.folder, [*started, *more])
        wait_for(lambda: gateway.request("GET", path, token()).status_code == 200, "the added route")
        with pytest.raises(GatewayConfigurationRefused):  # its service has no address in this gateway
            update_routes(gateway.folder, ROUTES)
        update_routes(gateway.folder, started)
        wait_for(lambda: gateway.request("GET", path, token()).status_code == 404, "the route to be gone")
        assert gateway.request("GET", "/api/identity/v1/me", token()).status_code == 200
        (gateway.folder / "broken").write_text("{")
        (gateway.folder / "broken").replace(gateway.folder / "routes.json")
        rejected = "http.ingress.rds.crm.(update_failure|update_rejected)"
        wait_for(lambda: gateway.stat(rejected) > 0, "Envoy to refuse the broken file")
        assert gateway.request("GET", "/api/identity/v1/me", token()).status_code == 200
        assert gateway.process.poll() is None


def as_nobody(command: list[str]) -> list[str]:
    """The command without any privilege, when the tests themselves run as root."""
    if os.geteuid() != 0:
        return command
    tool = shutil.which("setpriv")
    assert tool, "setpriv (util-linux) is needed to test as another account"
    return [tool, "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs", *command]


@pytest.mark.requirement("PL-50")
@pytest.mark.parametrize("who", ["as we are", "unprivileged"])
def test_it_starts_in_under_two_seconds(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, who: str) -> None:
    folder = Path(subprocess.run(["mktemp", "-d", "--suffix= gateway"], capture_output=True, text=True).stdout.strip())
    folder.chmod(0o755)
    begun = time.monotonic()
    change = as_nobody if who == "unprivileged" else list
    try:
        with running_gateway(folder / "with spaces", upstream, as_command=change) as gateway:
            assert time.monotonic() - begun < 2
            if who == "unprivileged":
                assert Path(f"/proc/{gateway.process.pid}").stat().st_uid != 0
    finally:
        shutil.rmtree(folder)


def test_two_gateways_live_on_one_machine(gateway: Gateway, tmp_path: Path, upstream: Upstream) -> None:
    with running_gateway(tmp_path / "second", upstream) as second:
        assert second.request("GET", "/api/identity/v1/me", token()).status_code == 200
        assert gateway.request("GET", "/api/identity/v1/me", token()).status_code == 200


def test_nothing_is_left_in_shared_memory(tmp_path: Path, upstream: Upstream) -> None:
    def files() -> set[str]:
        return {file.name for file in Path("/dev/shm").glob("envoy*")}

    before = files()
    with running_gateway(tmp_path / "gateway", upstream):
        assert files() <= before
    assert files() <= before


TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.requirement("PL-45")
def test_a_trace_is_continued_or_begun(gateway: Gateway) -> None:
    gateway.request("GET", "/api/identity/v1/me", token(), headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    gateway.request("GET", "/api/identity/v1/me", token())
    gateway.request("GET", "/api/identity/v1/me", token(), headers={"traceparent": "nonsense"})
    continued, begun, malformed = (one.one("traceparent").split("-") for one in gateway.arrived)
    assert continued[1] == TRACE
    assert len(begun[1]) == 32
    assert begun[1] != TRACE
    assert malformed == ["nonsense"]  # passed on as it is: the services' own tracing begins anew, as W3C says
    assert all(one.one("x-request-id") for one in gateway.arrived)


@pytest.mark.requirement("PL-3", "PL-45")
def test_a_refusal_and_its_log_line_carry_the_trace_id(gateway: Gateway) -> None:
    sent = {"traceparent": f"00-{TRACE[::-1]}-b7ad6b7169203331-01"}
    answer = gateway.request("GET", "/api/customers/v1/customers?secret=1", token(mod=[]), headers=sent)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["trace_id"] == TRACE[::-1]
    assert {"type", "title", "status", "code", "detail"} <= answer.json().keys()

    def lines() -> list[dict[str, object]]:
        return [line for line in gateway.access_lines() if line["trace_id"] == TRACE[::-1]]

    wait_for(lambda: bool(lines()), "the access log to be written")
    (line,) = lines()
    assert line["subject"] == "01890000-0000-7000-8000-00000000a11c"
    assert line["path"] == "/api/customers/v1/customers"
    assert (line["status"], line["method"], line["operation"]) == (403, "GET", "customers.list_customers")
    assert isinstance(line["duration_ms"], int)
    assert "secret" not in json.dumps(line)


@pytest.mark.requirement("PL-45")
def test_spans_go_to_the_collector_when_there_is_one(tmp_path: Path, upstream: Upstream) -> None:
    exporting = GatewaySettings(tokens=TokenRules(issuer=ISSUER), otlp_endpoint=f"http://127.0.0.1:{upstream.port}")
    with running_gateway(tmp_path / "gateway", upstream, settings=exporting) as gateway:
        gateway.request("GET", "/api/identity/v1/me", token())
        assert gateway.arrived[0].one("traceparent").endswith("-01")
        wait_for(lambda: any(one.target == "/v1/traces" for one in gateway.arrived), "a span at the collector")
        span = next(one for one in gateway.arrived if one.target == "/v1/traces")
        assert b"identity.see_me" in span.body


def test_the_check_takes_the_committed_table_and_refuses_a_wrong_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "deploy" / "gateway" / "routes.json"
    table.parent.mkdir(parents=True)
    for service in CONTAINERS:
        (tmp_path / "services" / service).mkdir(parents=True)
    table.write_text(dump_routes(ROUTES))
    assert check([str(table)]) == 0
    table.write_text(dump_routes(ROUTES).replace('"service": "sales"', '"service": "nobody"'))
    assert check([str(table)]) == 1
    assert "there is no service 'nobody'" in capsys.readouterr().err
    table.write_text(json.dumps([route.model_dump() for route in ROUTES]))
    assert check([str(table)]) == 1
    assert "not in its canonical form" in capsys.readouterr().err
