"""Spans of consumers: each handler's own span, linked to the write that the event comes from (PL-45).

The instrumentation package for aiokafka ends its span before the handler runs, so this opens one around it. Only OpenTelemetry's
API is used; as long as no SDK is set up, `handling` does nothing at all.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from crm_contracts import Envelope


def is_on() -> bool:
    """Whether somebody set up a tracer provider in this process."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def context_of(traceparent: str | None) -> SpanContext | None:
    """The span that a W3C traceparent names; None when there is none or it can't be read."""
    parts = (traceparent or "").split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16:
        return None
    try:
        context = SpanContext(
            int(parts[1], 16), int(parts[2], 16), is_remote=True, trace_flags=TraceFlags(int(parts[3], 16))
        )
    except ValueError:
        return None
    return context if context.is_valid else None


@contextmanager
def handling(group: str, envelopes: Sequence[Envelope]) -> Iterator[None]:
    """The span of one handler call. One event: a child of its write. Several: linked to each write."""
    if not is_on():
        yield
        return
    contexts = [context for envelope in envelopes if (context := context_of(envelope.traceparent)) is not None]
    parent = trace.set_span_in_context(NonRecordingSpan(contexts[0])) if len(envelopes) == 1 and contexts else None
    first = envelopes[0]
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": first.topic,
        "messaging.consumer.group.name": group,
        "messaging.batch.message_count": len(envelopes),
        "crm.event.type": first.type,
    }
    tracer = trace.get_tracer("crm_events")
    links = [Link(context) for context in contexts]
    with tracer.start_as_current_span(
        f"process {first.topic}", context=parent, kind=SpanKind.CONSUMER, links=links, attributes=attributes
    ):
        yield
