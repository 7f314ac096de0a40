"""Gemini's pictures: generateContent with a picture among its modalities. One picture a request, inline, no links.

A reply without one is a failure, whatever its status: words alone may pass by themselves, a blocked prompt is the
caller's affair, a blocked picture another vendor may see differently. Source: wire reference, chapter 11.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from gateway.chain import Failure, Verdict
from gateway.config import Upstream
from gateway.media.order import Item, Kind, Made, Order
from gateway.media.references import inlined
from gateway.media.steps import Failed, Send, Steps, post, refuse
from gateway.upstreams.media import pictures
from gateway.upstreams.media.pictures import FIRST_BYTE_S, Picture
from gateway.upstreams.media.refusals import Class, failure, member, text

OPTIONS: Final = ("seed", "temperature")  # of generationConfig
ENDED_WELL: Final = frozenset(
    {"STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED", "NO_IMAGE", "IMAGE_OTHER", "OTHER", ""}
)
FAULTS: Final = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "LANGUAGE"})


class GeminiImages:
    """This wire."""

    dialect: ClassVar[str] = "gemini_images"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})
    most_at_once: ClassVar[int] = 1
    inlines: ClassVar[bool] = True

    def fits(self, order: Order, model: str) -> bool:
        """Whether the model makes it."""
        return pictures.of(self.dialect, model).fits(order)

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Asks once."""
        path = f"/v1beta/models/{order.model}:generateContent"
        key = (("x-goog-api-key", upstream.key),)
        body = request(order, pictures.of(self.dialect, order.model))
        got = yield Send(post(upstream, path, body, key), first_byte_s=FIRST_BYTE_S)
        refuse(got)
        told = got.json()
        items = read(told)
        if not items:
            raise Failed(refusal(told))
        return Made(items[:1])


def request(order: Order, picture: Picture) -> dict[str, Any]:
    """The body."""
    parts: list[dict[str, Any]] = [{"text": order.prompt}]
    parts += [{"inlineData": {"mimeType": mime, "data": data}} for mime, data in map(split, order.images)]
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if shape := picture.shape(order):
        config["imageConfig"] = shape
    extras = picture.extras(order)
    config |= {name: extras[name] for name in OPTIONS if name in extras}
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}
    if "safety_settings" in extras:
        body["safetySettings"] = extras["safety_settings"]
    return body


def split(url: str) -> tuple[str, str]:
    """The media type and the base64 of a data URL."""
    return inlined(url)[0], url.partition(",")[2]


def read(told: dict[str, Any]) -> list[Item]:
    """The pictures in a reply: those of thoughts are drafts."""
    parts = member(told, "candidates", 0, "content", "parts")
    found = [
        pictures.inline(member(part, "inlineData", "data"), text(part, "inlineData", "mimeType"))
        for part in (parts if isinstance(parts, list) else ())
        if not member(part, "thought") and text(part, "inlineData", "mimeType").startswith("image/")
    ]
    return [item for item in found if item is not None]


def refusal(told: dict[str, Any]) -> Failure:
    """Why there is no picture."""
    if blocked := text(told, "promptFeedback", "blockReason"):
        return failure(Class.MODERATED, f"the prompt was blocked: {blocked}", 200)
    reason = text(told, "candidates", 0, "finishReason")
    if reason in ENDED_WELL:
        return Failure(Verdict.RETRY, pictures.NOTHING, 200)
    if reason in FAULTS:
        return failure(Class.FAULT, f"the upstream ended with {reason}", 200)
    message = text(told, "candidates", 0, "finishMessage") or f"the picture was blocked: {reason}"
    return failure(Class.CENSORED, message, 200)
