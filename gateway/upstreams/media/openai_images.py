"""OpenAI's Images wire: one POST for all pictures; gpt-image answers in base64, which the gateway keeps as files.

OpenRouter's is the same but for its path and its references. Source: wire reference, chapter 10; OpenRouter's page on
images.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gateway.config import Upstream
from gateway.media.order import Item, Kind, Made, Order
from gateway.media.steps import Got, Send, Steps, bearer, post, refuse
from gateway.upstreams.media import pictures
from gateway.upstreams.media.pictures import FIRST_BYTE_S, Picture
from gateway.upstreams.media.refusals import Class, member


class OpenAIImages:
    """This wire."""

    dialect: ClassVar[str] = "openai_images"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})
    most_at_once: ClassVar[int] = 10

    def fits(self, order: Order, model: str) -> bool:
        """Whether the model makes it."""
        return pictures.of(self.dialect, model).fits(order)

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Generates, or edits where there are references."""
        picture = pictures.of(self.dialect, order.model)
        body: dict[str, Any] = {"model": order.model, "prompt": order.prompt, "n": order.count}
        body |= picture.shape(order) | picture.extras(order) | picture.told(self.references(order))
        got = yield Send(post(upstream, self.path(order), body, bearer(upstream)), first_byte_s=FIRST_BYTE_S)
        refuse(got)
        return read(got, picture, order)

    def path(self, order: Order) -> str:
        """Where such orders go."""
        return "/v1/images/edits" if order.images else "/v1/images/generations"

    def references(self, order: Order) -> list[Any]:
        """What the request refers to, in the vendor's form."""
        return [{"image_url": image} for image in order.images]


class OpenRouterImages(OpenAIImages):
    """OpenRouter's wire."""

    dialect: ClassVar[str] = "openrouter_images"

    def path(self, order: Order) -> str:  # noqa: ARG002
        """Where all orders go."""
        return "/api/v1/images"

    def references(self, order: Order) -> list[Any]:
        """What the request refers to."""
        return [{"type": "image_url", "image_url": {"url": image}} for image in order.images]


def read(got: Got, picture: Picture, order: Order) -> Made:
    """The pictures of a reply. Raises Failed."""
    data = got.json().get("data")
    mime = picture.mime_of(order)
    items = [item for entry in (data if isinstance(data, list) else ()) if (item := item_of(entry, mime)) is not None]
    if not items:
        raise pictures.nothing(sort=Class.RATE)  # nothing was made, and it may pass by itself
    return Made(items)


def item_of(entry: Any, mime: str) -> Item | None:
    """One picture, if the entry is one: base64, or a link that dies within the hour."""
    told = member(entry, "media_type")
    data = pictures.inline(member(entry, "b64_json"), told if isinstance(told, str) else mime)
    return data or pictures.link(member(entry, "url"), short_lived=True)
