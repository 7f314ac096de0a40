"""Requests on MiniMax's second wire: `content` of texts, pictures, clips and sounds with their roles, and lists.

Source: MiniMax's documentation of the second version. What an address leads to is not known: a clip that is referred
to counts as one of 5 s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Profile
from simulator.dialects.inspection import refuses_input
from simulator.dialects.minimax import body as bodies
from simulator.dialects.minimax.body import picture, sized, typed
from simulator.dialects.minimax.problems import invalid
from simulator.media.results import nonce_of
from simulator.problem import Problem, Refused

STYLE: Final = "cdn"  # of links
TASK: Final = "42"  # how ids of tasks begin; the nonce follows
FIELDS: Final[Mapping[str, type]] = {
    "model": str,
    "content": list,
    "resolution": str,
    "duration": int,
    "ratio": str,
    "callback_url": str,
    "aigc_watermark": bool,
    "extra": dict,
}
MOST: Final = {"reference_image": 9, "reference_video": 3, "reference_audio": 3, "first_frame": 1, "last_frame": 1}
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "image_url": ("first_frame", "last_frame", "reference_image"),
    "video_url": ("reference_video",),
    "audio_url": ("reference_audio",),
}
FRAMES: Final = frozenset({"first_frame", "last_frame"})
SIZED: Final = (256, 0.4, 2.5)  # shorter side in pixels, least and greatest ratio of a picture
RATIOS: Final = ("adaptive", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
TEXT_LENGTH: Final = 7_000
CLIP_S: Final = 5  # that a clip which is referred to counts as
PAGE: Final = 20
_ID: Final = re.compile(rf"{TASK}(\d{{13}})")


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    if operation == "fetch_file":
        return Ask(operation, "", fresh=True, about=(nonce_of(request.path, bodies.FOLDER),))
    if operation == "list_tasks":
        return Ask(operation, "", body=_filters(request), fresh=True)
    if operation != "create_task":
        found = _ID.fullmatch(request.params["id"])
        if found is None:
            raise Refused(Problem("not_kept"))
        return Ask(operation, "", fresh=True, needs=found[1])
    body = bodies.read(request, FIELDS)
    for name in ("content", "resolution", "duration"):
        if not body.get(name):
            raise invalid(f"{name} is required", name)
    _content(body, request.facts)
    site = request.site + request.path[: request.path.rindex("/")]
    turns = (Turn("user", body["text"], images=body["images"]),)
    return Ask(operation, body["model"], turns, body=body, fresh=True, site=site)


def _content(body: dict[str, Any], facts: Mapping[str, Any]) -> None:
    """Puts beside the content what it comes to: text, first picture, frame, roles. Raises Refused."""
    texts: list[str] = []
    roles: Counter[str] = Counter()
    body |= {"first": "", "images": 0}
    for at, item in enumerate(body["content"]):
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "text":
            typed(item.get("text"), str, f"content[{at}].text")
            texts += [item["text"]] if item.get("text") else []
        elif isinstance(kind, str) and kind in ROLES:
            roles[_medium(body, item, kind, at, facts)] += 1
        else:
            raise invalid(f"content[{at}].type must be one of text, {', '.join(ROLES)}", "content")
    if len(texts) != 1 or not texts[0].strip():
        raise invalid("content must include a non-empty text item (prompt is required)", "content")
    if len(texts[0]) > TEXT_LENGTH:
        raise invalid(f"text is longer than {TEXT_LENGTH} characters", "content")
    _together(roles)
    body |= {"text": texts[0], "input_seconds": CLIP_S * roles["reference_video"]}
    _ratio(body, roles)


def _medium(body: dict[str, Any], item: Mapping[str, Any], kind: str, at: int, facts: Mapping[str, Any]) -> str:
    """The role of a picture, clip or sound; a picture's frame is kept."""
    held = item.get(kind)
    url = held.get("url") if isinstance(held, dict) else None
    if not isinstance(url, str) or not url:
        raise invalid(f"content[{at}].{kind}.url is required", "content")
    role = item.get("role") or ROLES[kind][0]
    if role not in ROLES[kind]:
        raise invalid(f"content[{at}].role {role!r} is not one of {kind}", "content")
    if kind == "image_url":
        found = picture(url, f"content[{at}].image_url.url", STYLE, facts)
        sized(found, f"content[{at}].image_url.url", *SIZED)
        body["images"] += 1
        if role == "first_frame" or (role == "last_frame" and "frame" not in body):
            body["frame"] = found
        if role == "first_frame":
            body["first"] = url
    return str(role)


def _together(roles: Counter[str]) -> None:
    for role, count in roles.items():
        if count > MOST[role]:
            raise invalid(f"at most {MOST[role]} items may be {role}", "content")
    if roles.keys() & FRAMES and roles.keys() - FRAMES:
        raise invalid("frames and references cannot be mixed", "content")
    if roles.keys() == {"reference_audio"}:
        raise invalid("reference_audio needs a picture or a video beside it", "content")


def _ratio(body: dict[str, Any], roles: Counter[str]) -> None:
    """Puts in the ratio that the clip will have (`shape`) and the one that is told (`ratio`). Raises Refused."""
    asked = body.get("ratio") or "adaptive"
    if asked not in RATIOS:
        raise invalid(f"ratio must be one of {', '.join(RATIOS)}", "ratio")
    if roles.keys() & FRAMES:
        asked = "adaptive"
    elif not roles and asked == "adaptive":
        raise invalid("ratio is required for text to video and must not be adaptive", "ratio")
    body |= {"ratio": asked, "shape": "16:9" if asked == "adaptive" else asked}


def _filters(request: Request) -> dict[str, Any]:
    """The page and the filters of a list. Raises Refused."""
    told = parse_qs(request.query)
    page: dict[str, Any] = {}
    for name, usual in (("page_num", 1), ("page_size", PAGE)):
        text = told.get(name, [str(usual)])[-1]
        if not (text.isascii() and text.isdecimal() and 0 < len(text) < 6 and int(text)):
            raise invalid(f"{name} must be a positive integer", name)
        page[name] = int(text)
    ids = [each for text in told.get("filter.task_ids", []) for each in text.split(",")]
    words = {name: told.get(f"filter.{name}", [""])[-1] for name in ("status", "model", "task_type")}
    return page | words | {"task_ids": ids}


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what a model does not take."""
    facts, body = profile.facts, ask.body
    if body["resolution"] not in facts["usd_per_second"]:
        known = ", ".join(facts["usd_per_second"])
        raise invalid(f"resolution must be one of {known} for model {ask.model}", "resolution")
    least, most = facts["seconds_range"]
    if not least <= body["duration"] <= most:
        raise invalid(f"duration must be between {least} and {most} for model {ask.model}", "duration")
    if refuses_input(body["text"]):
        raise Refused(Problem("moderation"))
