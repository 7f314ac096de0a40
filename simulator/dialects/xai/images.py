"""Pictures: made at once, and fetched by their request's id for as long as the fleet remembers it.

Source: recorded replies (no `created`, no `revised_prompt`; the cost in ticks). `respect_moderation: false` beside an
empty address marks a blocked picture; where all were blocked an empty list has been seen as well (the fact
`blocked: left_out`).
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.inspection import refuses_output
from simulator.dialects.xai import base, rules
from simulator.dialects.xai.request import IMAGES
from simulator.media.pictures import picture
from simulator.script import Frame, Script

TICKS_PER_USD: Final = 10**10
MEDIA: Final = "image/jpeg"


def is_blocked(ask: Ask) -> bool:
    """Whether what was made does not pass moderation."""
    return refuses_output(ask.body.get("prompt") or "")


def ticks(ask: Ask, profile: Profile) -> int:
    """What the pictures cost, with those that came in."""
    each: int = profile.facts["ticks"][rules.resolution(ask, profile)]
    coming_in: int = profile.facts["input_ticks"] * len(ask.body["pictures"])
    return each * ask.choices + coming_in


def reply(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """The pictures as links or base64."""
    cost = ticks(ask, profile)
    blocked = is_blocked(ask)
    data = [_entry(ask, profile, serving, index, blocked) for index in range(ask.choices)]
    if blocked and profile.facts.get("blocked") == "left_out":
        data = []
    body = {"data": data, "usage": {"cost_in_usd_ticks": cost}}
    took = ("x-metrics-e2e-ms", f"{4200 + 1000 * draws.fraction('took', serving.seed):.1f}")
    headers = base.headers(serving, took, rate=profile.facts.get("rate_requests"))
    billed = (("images", float(ask.choices)), ("usd", cost / TICKS_PER_USD))
    return Script(200, headers, (Frame(orjson.dumps(body), "body"),), billed=billed)


def _entry(ask: Ask, profile: Profile, serving: Serving, index: int, blocked: bool) -> dict[str, Any]:
    inline = ask.body.get("response_format") == "b64_json"
    name = "b64_json" if inline else "url"
    if blocked:
        return {name: "", "mime_type": MEDIA, "respect_moderation": False}
    if inline:
        return {name: b64encode(_drawn(ask, profile, serving, index)).decode(), "mime_type": MEDIA}
    return {name: f"{ask.site}{IMAGES}/{_name(serving, index)}", "mime_type": MEDIA}


def _name(serving: Serving, index: int) -> str:
    mark = draws.digest("xai picture", serving.seed, index).hex()[:8]
    return f"xai-tmp-imgen-{base.uuid(serving)}-{mark}.jpeg"


def _drawn(ask: Ask, profile: Profile, serving: Serving, index: int) -> bytes:
    seed = draws.integer("xai picture", serving.seed, index) >> 96
    return picture(ask.body["caption"], *rules.picture_size(ask, profile), "jpeg", seed)


def file(kept: Kept, name: str) -> bytes | None:
    """The picture of that name, if the request made one."""
    if is_blocked(kept.ask):
        return None
    names = {_name(kept.serving, index): index for index in range(kept.ask.choices)}
    return _drawn(kept.ask, kept.profile, kept.serving, names[name]) if name in names else None
