"""Spans for an OpenTelemetry collector, sent over HTTP by a thread of their own; only here its SDK is imported."""

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from graphql_gateway.tracing import Attributes, Traceparent

# A full queue drops spans; nothing ever waits for the collector.
QUEUED_SPANS = 4_096
EXPORT_SECONDS = 2.0
PAUSE_MILLISECONDS = 1_000
FLUSH_MILLISECONDS = 1_000


class Recorded:
    """A span that is exported when it ends."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def call(self, method: str, route: str) -> "Recorded":
        begun = self._tracer.start_span(
            f"{method} {route}",
            context=trace.set_span_in_context(self._span),
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": method, "http.route": route},
        )
        return Recorded(self._tracer, begun)

    def end(self, attributes: Attributes, *, name: str | None = None, failure: str | None = None) -> None:
        self._span.set_attributes(attributes)
        if name:
            self._span.update_name(name)
        if failure:
            self._span.set_attribute("error.type", failure)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Exporting:
    """Records what the caller's trace says is sampled, and all requests without a trace."""

    def __init__(self, endpoint: str) -> None:
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS)
        self._spans = BatchSpanProcessor(
            exporter, max_queue_size=QUEUED_SPANS, schedule_delay_millis=PAUSE_MILLISECONDS
        )
        provider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON),
            resource=Resource({"service.name": "lakeport-gateway"}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._spans)
        self._tracer = provider.get_tracer("lakeport")

    def request(self, given: Sequence[str]) -> Recorded:
        parent = Traceparent.read(given)
        context = trace.set_span_in_context(_remote(parent)) if parent else Context()
        return Recorded(self._tracer, self._tracer.start_span("graphql", context=context, kind=SpanKind.SERVER))

    def close(self) -> None:
        self._spans.force_flush(FLUSH_MILLISECONDS)


def _remote(parent: Traceparent) -> NonRecordingSpan:
    ids = int(parent.trace_id, 16), int(parent.span_id, 16)
    return NonRecordingSpan(SpanContext(*ids, is_remote=True, trace_flags=TraceFlags(parent.flags)))
