"""OpenTelemetry traces: a span for each request, one for each attempt at an upstream, sent out by OTLP over HTTP.

Off unless `otlp_endpoint` is configured: the SDK is not even imported then. Spans bear ids, models, counts and money,
never a key, a prompt or an answer. A traceparent of the caller is continued, and upstreams are sent one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from gateway.exchange import Exchange

SERVICE: Final = "windtunnel-gateway"
CARRIED: Final = ("traceparent", "tracestate")


class Tracing(Protocol):
    """Whoever makes spans."""

    def request(self, exchange: Exchange) -> Any:
        """A context manager: the span of a request."""

    def attempt(self, upstream: str, model: str, url: str) -> Any:
        """A context manager: the span of one attempt; it gives the headers that carry the trace on."""

    def note(self, facts: Mapping[str, Any]) -> None:
        """Facts about the present span."""

    def close(self) -> None:
        """Sends what is left."""


class OpenTelemetry:
    """Spans by the OpenTelemetry SDK."""

    def __init__(self, endpoint: str, exporter: Any = None) -> None:
        """`endpoint` is a collector's, e.g. "http://127.0.0.1:4318"; `exporter` takes its place in tests."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        else:
            self._provider.add_span_processor(SimpleSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("gateway")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, exchange: Exchange) -> Iterator[None]:
        """The span of a request."""
        from opentelemetry.trace import SpanKind, StatusCode

        scope = exchange.scope
        carrier = {
            name: exchange.headers[name.encode()].decode("latin-1")
            for name in CARRIED
            if name.encode() in exchange.headers
        }
        facts = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "windtunnel.request_id": exchange.request_id,
        }
        with self._tracer.start_as_current_span(
            f"{scope['method']} {scope['path']}"[:200],
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=facts,
        ) as span:
            yield
            span.set_attribute("http.response.status_code", exchange.status)
            if exchange.status >= 500:
                span.set_status(StatusCode.ERROR)

    @contextmanager
    def attempt(self, upstream: str, model: str, url: str) -> Iterator[Sequence[tuple[str, str]]]:
        """The span of one attempt; gives the headers that carry the trace on."""
        from opentelemetry.trace import SpanKind

        facts = {"gen_ai.provider.name": upstream, "gen_ai.request.model": model, "url.full": url.partition("?")[0]}
        with self._tracer.start_as_current_span(f"attempt {upstream}", kind=SpanKind.CLIENT, attributes=facts):
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            yield tuple(carrier.items())

    def note(self, facts: Mapping[str, Any]) -> None:
        """Facts about the present span."""
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes({name: value for name, value in facts.items() if value is not None})

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


def opened(endpoint: str | None) -> Tracing | None:
    """Tracing as configured; None: off."""
    return None if endpoint is None else OpenTelemetry(endpoint)
