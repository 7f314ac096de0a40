"""The models of the Gemini wire, as Google's SDKs list them.

Source: wire reference, chapter 7; which models: the catalogue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final

import orjson

from gateway.errors import NotFound, shown
from gateway.exchange import Exchange
from gateway.services import Services
from schemas import catalogue
from schemas.catalogue import Model

METHODS: Final = ("generateContent", "countTokens")


def entry(model: Model) -> dict[str, Any]:
    """One model."""
    return {"name": f"models/{model.id}", "displayName": model.label, "supportedGenerationMethods": METHODS}


@cache
def listing() -> bytes:
    """The whole list as JSON; it fits on one page."""
    models = [model for model in catalogue.MODELS.values() if "gemini" in model.endpoints]
    return orjson.dumps({"models": [entry(model) for model in models]})


async def list_models(services: Services, exchange: Exchange) -> None:
    """Answers with the whole list."""
    services.key_of(exchange)
    await exchange.respond(200, listing())


def show_model(name: str) -> Callable[[Services, Exchange], Awaitable[None]]:
    """The answer with one model."""

    async def show(services: Services, exchange: Exchange) -> None:
        services.key_of(exchange)
        model = catalogue.find(name)
        if model is None or "gemini" not in model.endpoints:
            raise NotFound(f"There is no Gemini model {shown(name)!r}.")
        await exchange.respond_json(entry(model))

    return show
