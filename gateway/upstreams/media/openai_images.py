"""OpenAI's Images wire: one POST for all pictures; gpt-image answers in base64, which the gateway keeps as files.

Source: wire reference, chapter on gpt-image.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from typing import Any, ClassVar, Final

from gateway.chain import Failure, Verdict
from gateway.config import Upstream
from gateway.media.order import Item, Kind, Made, Order
from gateway.media.steps import Failed, Got, Send, Steps, bearer, post, refuse

FIRST_BYTE_S: Final = 120.0  # nothing comes before the last picture is done
PASSED: Final = frozenset(
    {"quality", "background", "moderation", "output_format", "output_compression", "style", "user"}
)
PICTURES_MAX: Final = 10


class OpenAIImages:
    """This wire."""

    dialect: ClassVar[str] = "openai_images"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})
    most_at_once: ClassVar[int] = PICTURES_MAX

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Generates, or edits where there are references."""
        body: dict[str, Any] = {"model": order.model, "prompt": order.prompt, "n": order.count}
        body |= {name: value for name, value in order.extras.items() if name in PASSED}
        if order.size is not None:
            body["size"] = f"{order.size[0]}x{order.size[1]}"
        path = "/v1/images/generations"
        if order.images:
            path = "/v1/images/edits"
            body["images"] = [{"image_url": image} for image in order.images]
        got = yield Send(post(upstream, path, body, bearer(upstream)), first_byte_s=FIRST_BYTE_S)
        refuse(got)
        return read(got, f"image/{body.get('output_format', 'png')}")


def read(got: Got, mime: str) -> Made:
    """The pictures of a reply. Raises Failed."""
    told = got.json()
    items = [item for entry in told.get("data") or () if (item := read_item(entry, mime)) is not None]
    if not items:
        raise Failed(Failure(Verdict.RETRY, "the upstream's answer has no picture", got.status))
    return Made(items)


def read_item(entry: Any, mime: str) -> Item | None:
    """One picture, if the entry is one."""
    if not isinstance(entry, dict):
        return None
    if isinstance(entry.get("b64_json"), str):
        try:
            return Item(data=b64decode(entry["b64_json"], validate=True), mime=mime)
        except NoBase64:
            return None
    return Item(url=entry["url"], short_lived=True) if isinstance(entry.get("url"), str) else None
