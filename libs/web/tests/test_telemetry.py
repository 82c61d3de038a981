"""One trace id from the gateway through the service to the event, when an exporter is asked for (PL-45)."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from crm_web.telemetry import Telemetry, wanted

from .conftest import Notes
from .test_bad_input import problem
from .test_requests import until
from .test_server import running

NOTES = "/api/notes/v1/notes"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Collector:
    """An OTLP/HTTP receiver that keeps what it got."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.service = ""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                        collector.service = resource.resource.attributes[0].value.string_value or collector.service
                        for scope in resource.scope_spans:
                            collector.spans += scope.spans
                elif self.path == "/v1/metrics":
                    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                        for scope in resource.scope_metrics:
                            collector.metrics.update({metric.name: metric for metric in scope.metrics})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return None

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.requirement("PL-45")
async def test_a_request_is_a_span_in_the_gateways_trace_and_its_event_continues_it(
    notes: Notes, collector: Collector, tmp_path: Path
) -> None:
    options = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    async with running(notes.dsn, tmp_path / "log", **options) as server:
        headers = {**notes.auth(), "traceparent": f"00-{TRACE}-{PARENT}-01"}
        made = await server.client.post(NOTES, json={"title": "a"}, headers=headers)
        assert made.status_code == 201
        refused = await server.client.get(f"{NOTES}/{notes.user}", headers=headers)
        assert problem(refused, 404, "note.not_found")["trace_id"] == TRACE

        async def both() -> bool:
            return len(collector.spans) >= 2

        await until(both, "both spans arrive")
        server.process.terminate()
        assert server.process.wait(20) == 0
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"create_note", "read_note"}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert {span.parent_span_id.hex() for span in spans.values()} == {PARENT}
    attributes = {item.key: item.value for item in spans["read_note"].attributes}
    assert attributes["http.response.status_code"].int_value == 404
    assert attributes["http.route"].string_value == f"{NOTES}/{{id}}"
    async with notes.database.read() as session:
        traceparent = await session.connection.fetchval("SELECT traceparent FROM journal")
    assert traceparent.split("-")[1:3] == [TRACE, spans["create_note"].span_id.hex()]
    assert {
        "http.server.request.duration",
        "http.server.active_requests",
        "crm.request.statements",
        "crm.request.database_time",
        "db.client.connection.count",
        "db.client.connection.wait_time",
    } <= set(collector.metrics)


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_settings_say_whether_spans_are_exported(environ: dict[str, str], on: bool) -> None:
    assert wanted("TRACES", environ) is on


def test_without_an_endpoint_there_is_no_telemetry() -> None:
    assert Telemetry.start("notes", {}) is None
