"""GET /healthz and /metrics: for those who run the gateway. No key is needed; nothing about callers is told."""

from __future__ import annotations

from gateway.exchange import Exchange
from gateway.services import Services


async def health(services: Services, exchange: Exchange) -> None:
    """Says whether the gateway takes requests."""
    status = "draining" if services.draining else "ok"
    await exchange.respond_json({"status": status}, 503 if services.draining else 200)


async def metrics(services: Services, exchange: Exchange) -> None:
    """The counters in Prometheus' text format."""
    text = services.metrics.render(services.breaker_states())
    await exchange.respond(200, text.encode(), b"text/plain; version=0.0.4; charset=utf-8")
