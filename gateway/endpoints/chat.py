"""POST /chat/completions. Source: api-reference#chat-completions."""

from __future__ import annotations

from gateway import llm
from gateway.exchange import Exchange
from gateway.services import Services
from gateway.wires.chat import WIRE


async def complete(services: Services, exchange: Exchange) -> None:
    """Answers a chat completion request."""
    await llm.serve(services, exchange, WIRE)
