"""OpenTelemetry by its standard settings (`OTEL_*`), or nothing at all (PL-45).

Without an OTLP endpoint no part of the SDK is imported and no request pays for it. With one, each request is a server span that
continues the gateway's trace, and is counted and timed. Our own few lines instead of an instrumentation package: the dispatcher
already knows operation, status and trace, so nothing has to be wrapped or guessed (docs/decisions/0005).
"""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from crm_database.counting import counted
from crm_web import metrics as measured
from crm_web.incoming import Incoming

_GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"


def wanted(signal: str, environ: Mapping[str, str]) -> bool:
    """Whether a signal (`TRACES`, `METRICS`) is to be exported."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environ.get(f"OTEL_{signal}_EXPORTER", "otlp") == "none":
        return False
    return bool(environ.get(_GENERAL) or environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))


class Telemetry:
    """Spans and metrics of requests. `start` makes one, or None where nothing is exported."""

    def __init__(self, service: str, environ: Mapping[str, str]) -> None:
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or f"crm-{service}"})
        self._closing: list[Callable[[], Any]] = []
        if wanted("TRACES", environ):
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            traces = TracerProvider(resource=resource)
            traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(traces)
            self._closing.append(traces.shutdown)
        if wanted("METRICS", environ):
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

            reader = PeriodicExportingMetricReader(OTLPMetricExporter())
            meters = MeterProvider(metric_readers=[reader], resource=resource)
            metrics.set_meter_provider(meters)
            self._closing.append(meters.shutdown)
        self._tracer = trace.get_tracer("crm_web")
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def start(cls, service: str, environ: Mapping[str, str] | None = None) -> "Telemetry | None":
        """The telemetry that the environment asks for; None when it asks for none."""
        chosen = os.environ if environ is None else environ
        return cls(service, chosen) if wanted("TRACES", chosen) or wanted("METRICS", chosen) else None

    def begin(self, incoming: Incoming, operation: str, template: str) -> "RequestSpan":
        """Open the span of a request; its traceparent replaces the gateway's in `incoming`, so that events continue ours."""
        return RequestSpan(self, incoming, operation, template)

    def close(self) -> None:
        """Send what is left; waits a few seconds at most."""
        for call in self._closing:
            call()


class RequestSpan:
    """The span of one request."""

    def __init__(self, telemetry: Telemetry, incoming: Incoming, operation: str, template: str) -> None:
        from opentelemetry import context, trace

        self._common = {"http.request.method": incoming.method}
        self._template = template
        parent = telemetry._propagator.extract({"traceparent": incoming.traceparent})
        self._span = telemetry._tracer.start_span(
            operation,
            context=parent,
            kind=trace.SpanKind.SERVER,
            attributes={
                **self._common,
                "http.route": template,
                "url.path": incoming.path,
                "client.address": incoming.address or "",
            },
        )
        self._token = context.attach(trace.set_span_in_context(self._span, parent))
        carrier: dict[str, str] = {}
        telemetry._propagator.inject(carrier)
        incoming.traceparent = carrier.get("traceparent", incoming.traceparent)
        measured.active_requests.add(1, self._common)
        self._counting = ExitStack()
        self._tally = self._counting.enter_context(counted())

    def end(self, status: int, seconds: float, code: str | None = None) -> None:
        """Close the span. status: of the answer, 0 for none. code: of the problem."""
        from opentelemetry import context, trace

        context.detach(self._token)
        self._span.set_attribute("http.response.status_code", status)
        if code is not None:
            self._span.set_attribute("error.type", code)
        if status >= 500 or status == 0:
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()
        self._counting.close()
        labels: dict[str, str | int] = {**self._common, "http.route": self._template}
        measured.active_requests.add(-1, self._common)
        measured.request_statements.record(self._tally.statements, labels)
        measured.request_database_time.record(self._tally.seconds, labels)
        measured.request_duration.record(seconds, {**labels, "http.response.status_code": status})
