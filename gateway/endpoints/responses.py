"""POST /responses and /responses/input_tokens. Source: api-reference#responses."""

from __future__ import annotations

from gateway import llm
from gateway.exchange import Exchange
from gateway.services import Services
from gateway.wires.responses import CountWire, ResponsesWire


async def create(services: Services, exchange: Exchange) -> None:
    """Answers a Responses request."""
    await llm.serve(services, exchange, wire(ResponsesWire, services, exchange))


async def count_tokens(services: Services, exchange: Exchange) -> None:
    """Answers how many input tokens a request has."""
    await llm.serve_free(services, exchange, wire(CountWire, services, exchange))


def wire(kind: type[ResponsesWire], services: Services, exchange: Exchange) -> ResponsesWire:
    """The wire of one call. Raises Unauthenticated."""
    shared = None if services.shared is None else services.shared.responses
    return kind(services.kept_responses, services.key_of(exchange).user_id, services.clock, shared)
