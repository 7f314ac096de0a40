"""POST /messages and /messages/count_tokens. Source: api-reference#messages."""

from __future__ import annotations

from gateway import llm
from gateway.exchange import Exchange
from gateway.services import Services
from gateway.wires.messages import COUNT_WIRE, WIRE


async def create(services: Services, exchange: Exchange) -> None:
    """Answers a messages request."""
    await llm.serve(services, exchange, WIRE)


async def count_tokens(services: Services, exchange: Exchange) -> None:
    """Answers how many tokens a request has."""
    await llm.serve_free(services, exchange, COUNT_WIRE)
