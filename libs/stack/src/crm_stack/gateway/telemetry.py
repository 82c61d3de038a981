"""One trace id for every request, and one log line."""

from __future__ import annotations

from typing import Any

from crm_stack.gateway.clusters import TRACES_CLUSTER
from crm_stack.gateway.headers import CLIENT, SUBJECT


def tracing(otlp_endpoint: str | None) -> dict[str, Any]:
    """The tracer is always there: it reads `traceparent`, or begins one, and hands it on. It exports only to an endpoint.

    `otlp_endpoint` is the OTLP/HTTP base address, None for no export. Envoy knows no tracer without an exporter: without
    an endpoint nothing is sampled, and the exporter's cluster is empty (see `traces_cluster`).
    """
    uri = (otlp_endpoint or "http://nowhere").rstrip("/") + "/v1/traces"
    tracer = {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": "gateway",
        "http_service": {"http_uri": {"uri": uri, "cluster": TRACES_CLUSTER, "timeout": "1s"}},
    }
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": tracer},
        "random_sampling": {"value": 100 if otlp_endpoint else 0},
        "operation": "%ROUTE_NAME%",
    }


def access_log() -> dict[str, Any]:
    """One JSON line per request on standard output. The query is left out: it may hold names, searches and secrets."""
    line = {
        "time": "%START_TIME%",
        "kind": "access",
        "trace_id": "%TRACE_ID%",
        "request_id": "%REQ(x-request-id)%",
        "subject": f"%REQ({SUBJECT})%",
        "client": f"%REQ({CLIENT})%",
        "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "method": "%REQ(:method)%",
        "path": "%PATH(NQ)%",
        "operation": "%ROUTE_NAME%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "duration_ms": "%DURATION%",
        "service_ms": "%RESPONSE_DURATION%",
        "received_bytes": "%BYTES_RECEIVED%",
        "sent_bytes": "%BYTES_SENT%",
        "upstream": "%UPSTREAM_HOST%",
    }
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": line},
        },
    }
