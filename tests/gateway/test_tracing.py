"""Traces: a span a request with what it used and cost, a span an attempt, one trace from the caller to the upstream."""

from __future__ import annotations

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.tracing import OpenTelemetry
from tests.gateway.lab import CHAT, CHAT_UC, HI, completion, error, ok, open_lab, run

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_a_call_and_its_attempts_are_one_trace() -> None:
    """A first target that fails, a second that answers. Observed: three spans, and what the upstream was sent."""

    async def scene() -> None:
        spans = InMemorySpanExporter()
        lab = await open_lab([error(503), error(503), ok(completion())])
        lab.services.tracing = OpenTelemetry("", spans)
        headers = {"authorization": f"Bearer {lab.secret}", "traceparent": PARENT}
        answer = await lab.ask(CHAT, {"model": "gpt-5.5", "messages": HI}, headers=headers)
        assert answer.status == 200
        request = next(span for span in spans.get_finished_spans() if span.name == f"POST {CHAT}")
        attempts = [span for span in spans.get_finished_spans() if span.name.startswith("attempt ")]
        assert format(request.context.trace_id, "032x") == TRACE
        assert request.attributes is not None
        assert request.attributes["windtunnel.charged_uc"] == CHAT_UC
        assert request.attributes["http.response.status_code"] == 200
        assert request.attributes["windtunnel.request_id"] == answer.headers["x-request-id"]
        assert [dict(span.attributes or {})["http.response.status_code"] for span in attempts] == [503, 503, 200]
        assert all(span.parent is not None and span.parent.span_id == request.context.span_id for span in attempts)
        sent = [dict(each.headers)["traceparent"] for each in lab.transport.requests]
        assert [told.split("-")[1:3] for told in sent] == [
            [TRACE, format(span.context.span_id, "016x")] for span in attempts
        ]
        assert not any(
            lab.secret in str(span.attributes) or "Say hi" in str(span.attributes) for span in (request, *attempts)
        )

    run(scene())


def test_without_a_collector_nothing_is_traced() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(completion())])
        assert lab.services.tracing is None
        assert (await lab.ask(CHAT, {"model": "gpt-5.5", "messages": HI})).status == 200
        assert "traceparent" not in dict(lab.transport.requests[0].headers)

    run(scene())
