"""GET /models and /models/{id}: one object that the OpenAI and the Anthropic SDKs both read.

Source: api-reference (model tables); the members each SDK needs: docs/decisions.md.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import orjson

from gateway.admission import available_models
from gateway.endpoints import gemini_models
from gateway.errors import NotFound, shown
from gateway.exchange import Exchange
from gateway.services import Services
from schemas import catalogue
from schemas.catalogue import Model

CREATED_S: Final = 1_767_225_600  # the catalogue does not tell when a model came: the same day for all
GOOGLE_SDK: Final = b"x-goog-api-client"  # a header of Google's SDKs, which share a path with Anthropic's
CREATED_AT: Final = "2026-01-01T00:00:00Z"


def entry(model: Model) -> dict[str, Any]:
    """One model, with the members of both SDKs and what tells them apart here."""
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED_S,
        "owned_by": model.vendor.lower().replace(" ", "-"),
        "type": "model",
        "display_name": model.label,
        "created_at": CREATED_AT,
        "kind": model.kind,
        "endpoints": sorted(model.endpoints),
    }


@cache
def listing() -> bytes:
    """The whole list as JSON."""
    data = [entry(catalogue.MODELS[name]) for name in available_models()]
    ends = {"has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return orjson.dumps({"object": "list", "data": data, **ends})


async def list_models(services: Services, exchange: Exchange) -> None:
    """Answers with the whole list."""
    services.key_of(exchange)
    await exchange.respond(200, gemini_models.listing() if GOOGLE_SDK in exchange.headers else listing())


async def show_model(services: Services, exchange: Exchange) -> None:
    """Answers with one model, found by id or alias."""
    name = exchange.scope["path"].partition("/models/")[2]
    if GOOGLE_SDK in exchange.headers:
        await gemini_models.show_model(name)(services, exchange)
        return
    services.key_of(exchange)
    model = catalogue.find(name)
    if model is None:
        raise NotFound(f"There is no model {shown(name)!r}.")
    await exchange.respond_json(entry(model))
