"""POST /gemini, in Gemini's shape or in OpenAI's, and the paths that Google's SDKs make of the base URL.

Source: api-reference#gemini; wire reference, chapter 7; paths and what each shape is answered with: docs/decisions.md.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from gateway import llm
from gateway.endpoints import gemini_models
from gateway.errors import NotFound, shown
from gateway.exchange import Exchange
from gateway.services import Services
from gateway.wires.chat import ChatWire
from gateway.wires.gemini import CountWire, GenerateWire
from gateway.wires.wire import Wire

Handler = Callable[[Services, Exchange], Awaitable[None]]

BASE: Final = r"(?:/api)?(?:/v1)?"
VERSIONS: Final = "(?:v1|v1beta|v1beta1|v1alpha)"
OWN: Final = rf"{BASE}(?:/gemini(?:/{VERSIONS})?|/v1beta1?|/v1alpha)/models"  # paths of Google's SDKs alone
METHOD: Final = re.compile(rf"{OWN}/(?P<model>.+):(?P<method>[^:/]*)", re.DOTALL)
METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")
SHARED: Final = re.compile(rf"{BASE}(?:/v1)?/models/(?P<model>.+):(?P<method>{'|'.join(METHODS)})")
LISTING: Final = re.compile(rf"{OWN}(?:/(?P<model>.*))?", re.DOTALL)
EVENTS: Final = re.compile(rb"(?:^|&)(?:alt|%24alt|\$alt)=sse(?:&|$)")


class OpenAiShape(ChatWire):
    """Chat Completions in, Chat Completions out, for Gemini models alone."""

    name = "gemini"
    endpoint = GenerateWire.endpoint


class DocumentedWire(GenerateWire):
    """The documented path: whichever of the two shapes the body has."""

    def chosen(self, fields: Mapping[str, Any]) -> Wire:
        return OPENAI_SHAPE if "messages" in fields and "contents" not in fields else GenerateWire()


OPENAI_SHAPE: Final = OpenAiShape()
DOCUMENTED: Final = DocumentedWire()


async def create(services: Services, exchange: Exchange) -> None:
    """Answers a request on the documented path."""
    await llm.serve(services, exchange, DOCUMENTED)


def find(path: str) -> Mapping[str, Handler] | None:
    """The methods of a path of Google's SDKs; None for any other path."""
    if (match := METHOD.fullmatch(path) or SHARED.fullmatch(path)) is not None:
        return {"POST": calling(match["model"], match["method"])}
    if (match := LISTING.fullmatch(path)) is not None:
        name = (match["model"] or "").rstrip("/")
        answer = gemini_models.show_model(name) if name else gemini_models.list_models
        return {"GET": answer, "HEAD": answer}
    return None


def calling(model: str, method: str) -> Handler:
    """The answer to a call of a model's method."""

    async def call(services: Services, exchange: Exchange) -> None:
        if method == "countTokens":
            await llm.serve_free(services, exchange, CountWire(model))
        elif method in ("generateContent", "streamGenerateContent"):
            stream = method == "streamGenerateContent"
            array = stream and EVENTS.search(exchange.query) is None
            await llm.serve(services, exchange, GenerateWire(model, stream, array))
        else:
            services.key_of(exchange)
            raise NotFound(f"There is no method {shown(method)!r} of models here.")

    return call
