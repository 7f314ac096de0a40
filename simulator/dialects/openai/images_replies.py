"""How pictures are written on the Images wire: one JSON object, or events with partial pictures, then the whole one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final, cast

import orjson

from simulator import draws
from simulator.answers import prose
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import images_links as links
from simulator.dialects.openai.images_request import caption
from simulator.dialects.openai.images_usage import PARTIAL_TOKENS, ImageUsage, quality, size
from simulator.media.pictures import Form, picture
from simulator.script import Frame

SHARPNESS: Final = (1 / 32, 1 / 16, 1 / 8)  # of the partial pictures
_EVENTS: Final = {"create_image": "image_generation", "edit_image": "image_edit"}


def whole(ask: Ask, profile: Profile, serving: Serving, usage: ImageUsage) -> Frame:
    """The pictures as one object."""
    body: dict[str, Any] = {"created": serving.now_s}
    data = [_entry(ask, profile, serving, index) for index in range(ask.choices)]
    if profile.has("usage"):
        about = _about(ask, profile)
        body |= {"background": about.pop("background"), "data": data, **about, "usage": usage.told()}
    else:
        body["data"] = data
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return Frame(orjson.dumps(body, option=option), "body", usage.as_usage().output_tokens)


def stream(ask: Ask, profile: Profile, serving: Serving, usage: ImageUsage) -> tuple[Frame, ...]:
    """The pictures as events. No `[DONE]` follows; the last event tells the usage of all."""
    return tuple(_events(ask, profile, serving, usage))


def _events(ask: Ask, profile: Profile, serving: Serving, usage: ImageUsage) -> Iterator[Frame]:
    prefix, about = _EVENTS[ask.operation], _about(ask, profile)
    partials = ask.body.get("partial_images") or 0
    rest = usage.as_usage().output_tokens - PARTIAL_TOKENS * partials * ask.choices
    for index in range(ask.choices):
        for step in range(partials):
            drawn = b64(_drawn(ask, serving, index, SHARPNESS[step]))
            body = {"type": f"{prefix}.partial_image", "b64_json": drawn, "created_at": serving.now_s, **about}
            yield _frame(body | {"partial_image_index": step}, "delta", PARTIAL_TOKENS)
        drawn = b64(_drawn(ask, serving, index))
        body = {"type": f"{prefix}.completed", "b64_json": drawn, "created_at": serving.now_s, **about}
        share = rest // ask.choices + (rest % ask.choices if index == 0 else 0)
        yield _frame(body | {"usage": usage.told()}, "stop", share)


def _frame(body: dict[str, Any], kind: str, tokens: int) -> Frame:
    return Frame(b"event: %b\ndata: %b\n\n" % (body["type"].encode(), orjson.dumps(body)), kind, tokens)


def _about(ask: Ask, profile: Profile) -> dict[str, str]:
    """What the reply says of the pictures."""
    width, height = size(ask)
    asked = ask.body.get("background") or "auto"
    return {
        "background": "opaque" if asked == "auto" else asked,
        "output_format": ask.body.get("output_format") or "png",
        "quality": quality(ask, profile),
        "size": f"{width}x{height}",
    }


def _entry(ask: Ask, profile: Profile, serving: Serving, index: int) -> dict[str, Any]:
    """One picture of the list."""
    if profile.has("links") and (ask.body.get("response_format") or "url") == "url":
        link = links.Link(*size(ask), _seed(serving, index), caption(ask.body.get("prompt") or ""))
        entry = {"url": links.signed(ask.site, link, profile.facts["signature_secret"], serving.now_s)}
    else:
        entry = {"b64_json": b64(_drawn(ask, serving, index))}
    if profile.has("revises"):
        return {"revised_prompt": _revised(ask, serving), **entry}
    return entry


def _drawn(ask: Ask, serving: Serving, index: int, sharpness: float = 1.0) -> bytes:
    width, height = size(ask)
    form = cast(Form, ask.body.get("output_format") or "png")
    options = ask.body.get("output_compression"), ask.body.get("background")
    said = links.shown(caption(ask.body.get("prompt") or ""))
    return picture(said, width, height, form, _seed(serving, index), *options, sharpness)


def b64(data: bytes) -> str:
    """Bytes as the wire has them."""
    return b64encode(data).decode()


def _seed(serving: Serving, index: int) -> int:
    return draws.integer("image", serving.seed, index) >> 96


def _revised(ask: Ask, serving: Serving) -> str:
    """The prompt as the model rewrote it."""
    words = prose.title(draws.dice("revised", serving.seed), 8)
    return f"{caption(ask.body.get('prompt') or '').rstrip('.')}. The scene shows {words}."
