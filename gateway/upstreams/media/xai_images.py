"""xAI's pictures: OpenAI's shape, without sizes, and JSON for edits too. Blocked pictures are marked, not left out.

Links are ephemeral. Source: wire reference, section 8.2.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from gateway.config import Upstream
from gateway.media.order import Item, Kind, Made, Order
from gateway.media.steps import Got, Send, Steps, bearer, post, refuse
from gateway.upstreams.media import pictures
from gateway.upstreams.media.pictures import FIRST_BYTE_S, Picture
from gateway.upstreams.media.refusals import member

BLOCKED: Final = "the pictures did not pass the upstream's moderation"


class XAIImages:
    """This wire."""

    dialect: ClassVar[str] = "xai"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})
    most_at_once: ClassVar[int] = 10

    def fits(self, order: Order, model: str) -> bool:
        """Whether the model makes it."""
        return pictures.of(self.dialect, model).fits(order)

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Generates, or edits where there are references."""
        picture = pictures.of(self.dialect, order.model)
        path = "/v1/images/edits" if order.images else "/v1/images/generations"
        got = yield Send(post(upstream, path, request(order, picture), bearer(upstream)), first_byte_s=FIRST_BYTE_S)
        refuse(got)
        return read(got, picture.mime)


def request(order: Order, picture: Picture) -> dict[str, Any]:
    """The body."""
    body: dict[str, Any] = {"model": order.model, "prompt": order.prompt, "n": order.count}
    body["response_format"] = "b64_json" if order.as_base64 else "url"
    references = [{"url": image, "type": "image_url"} for image in order.images]
    told = {"image": references[0]} if len(references) == 1 else picture.told(references)
    return body | picture.shape(order) | told | picture.extras(order)


def read(got: Got, mime: str) -> Made:
    """The pictures that passed moderation. Raises Failed where none did."""
    data = got.json().get("data")
    entries = data if isinstance(data, list) else []
    items = [item for entry in entries if (item := item_of(entry, mime)) is not None]
    if not items:
        raise pictures.nothing(BLOCKED)
    return Made(items)


def item_of(entry: Any, mime: str) -> Item | None:
    """One picture, unless it was blocked."""
    if member(entry, "respect_moderation") is False:
        return None
    told = member(entry, "mime_type")
    kind = told if isinstance(told, str) and told else mime
    return pictures.inline(member(entry, "b64_json"), kind) or pictures.link(
        member(entry, "url"), kind, short_lived=True
    )
