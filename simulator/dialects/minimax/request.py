"""Requests on MiniMax's first wire: clips, pictures, files. `GroupId` in a query is tolerated, as it is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Profile
from simulator.dialects.inspection import refuses_input
from simulator.dialects.minimax import body as bodies
from simulator.dialects.minimax import clips
from simulator.dialects.minimax.body import picture, sized, typed
from simulator.dialects.minimax.problems import invalid
from simulator.media.results import nonce_of
from simulator.problem import Problem, Refused

STYLE: Final = "oss"  # of links
TASK, FILE = "17", "20"  # how ids of tasks and of files begin; the nonce follows
FRAME: Final = (301, 0.4, 2.5)  # shorter side in pixels, least and greatest ratio of a frame
IMAGES_MAX: Final = 9
SIDE_PX: Final = (512, 2048)  # of a picture whose size is asked for
CLIP: Final[Mapping[str, type]] = {
    "model": str,
    "prompt": str,
    "prompt_optimizer": bool,
    "fast_pretreatment": bool,
    "duration": int,
    "resolution": str,
    "first_frame_image": str,
    "last_frame_image": str,
    "subject_reference": list,
    "callback_url": str,
    "aigc_watermark": bool,
}
IMAGE: Final[Mapping[str, type]] = {
    "model": str,
    "prompt": str,
    "aspect_ratio": str,
    "width": int,
    "height": int,
    "n": int,
    "seed": int,
    "response_format": str,
    "prompt_optimizer": bool,
    "subject_reference": list,
    "aigc_watermark": bool,
}
ASKED: Final = {
    "query_video": ("task_id", TASK),
    "retrieve_file": ("file_id", FILE),
    "retrieve_content": ("file_id", FILE),
}
_DIGITS: Final = re.compile(r"\d{13}")


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    if operation == "fetch_file":
        return Ask(operation, "", fresh=True, about=(nonce_of(request.path, bodies.FOLDER),))
    if operation in ASKED:
        return _about(request, operation)
    body = bodies.read(request, CLIP if operation == "create_video" else IMAGE)
    prompt = body.get("prompt", "")
    body["text"] = prompt
    _subjects(body.get("subject_reference", []), request.facts)
    site = request.site + request.path[: request.path.rindex("/")]
    if operation == "create_image":
        _image(body)
        return Ask(operation, body["model"], (Turn("user", prompt),), choices=body.get("n", 1), body=body, site=site)
    given = [name for name in ("last_frame_image", "first_frame_image") if name in body]
    for name in given:
        body["frame"] = picture(body[name], name, STYLE, request.facts)
        sized(body["frame"], name, *FRAME)
    body["first"] = body.get("first_frame_image", "")
    turns = (Turn("user", prompt, images=len(given)),)
    return Ask(operation, body["model"], turns, body=body, fresh=True, site=site)


def _about(request: Request, operation: str) -> Ask:
    """A request about a task or a file."""
    name, prefix = ASKED[operation]
    told = bodies.query(request).get(name, "")
    if not told:
        raise invalid(f"{name} is required", name)
    if not told.startswith(prefix) or _DIGITS.fullmatch(told[len(prefix) :]) is None:
        raise Refused(Problem("not_kept", None if name == "task_id" else "invalid params, file not found"))
    return Ask(operation, "", body={"id": told}, fresh=True, needs=told[len(prefix) :])


def _subjects(given: list[Any], facts: Mapping[str, Any]) -> None:
    for each in given:
        typed(each, dict, "subject_reference")
        if each is None or each.get("type") != "character":
            raise invalid("subject_reference type must be character", "subject_reference")
        images = each.get("image") if "image" in each else each.get("image_file")
        for text in images if isinstance(images, list) and images else [images]:
            picture(text, "subject_reference.image", STYLE, facts)


def _image(body: dict[str, Any]) -> None:
    """The fields of a picture that do not depend on the model. Raises Refused."""
    if not body["text"]:
        raise invalid("prompt is required", "prompt")
    if not 1 <= body.get("n", 1) <= IMAGES_MAX:
        raise invalid(f"n must be between 1 and {IMAGES_MAX}", "n")
    if body.get("response_format", "url") not in ("url", "base64"):
        raise invalid("response_format must be url or base64", "response_format")
    sides = [body[name] for name in ("width", "height") if name in body]
    if len(sides) == 1:
        raise invalid("width and height must be set together", "width")
    if any(not SIDE_PX[0] <= side <= SIDE_PX[1] or side % 8 for side in sides):
        raise invalid(f"width and height must be multiples of 8 from {SIDE_PX[0]} to {SIDE_PX[1]}", "width")


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what a model does not take."""
    facts, body = profile.facts, ask.body
    if ask.operation not in facts["operations"]:
        raise Refused(Problem("unknown_model", param=ask.model))
    if len(body["text"]) > facts["prompt_length"]:
        raise invalid(f"prompt is longer than {facts['prompt_length']} characters", "prompt")
    if ask.operation == "create_video":
        _frames(ask, facts)
        _length(ask, facts)
    elif body.get("aspect_ratio") is not None and body["aspect_ratio"] not in facts["sizes"]:
        raise invalid(f"aspect_ratio {body['aspect_ratio']!r} is not supported", "aspect_ratio")
    if refuses_input(body["text"]):
        raise Refused(Problem("moderation"))


def _frames(ask: Ask, facts: Mapping[str, Any]) -> None:
    body, takes = ask.body, facts["takes"]
    for name in ("prompt", "first_frame_image", "last_frame_image", "subject_reference"):
        if takes.get(name) == "required" and not body.get(name):
            raise invalid(f"{name} is required for model {ask.model}", name)
    if not body["text"] and not any(body.get(name) for name in takes if name != "prompt"):
        raise invalid("prompt is required", "prompt")
    for name in ("first_frame_image", "last_frame_image", "subject_reference"):
        if name in body and name not in takes:
            raise invalid(f"{name} is not supported by model {ask.model}", name)


def _length(ask: Ask, facts: Mapping[str, Any]) -> None:
    name, length = clips.resolution(ask, facts), clips.seconds(ask)
    lengths: Mapping[str, list[int]] = facts["seconds"]
    if name not in lengths or (name in facts.get("with_frame", ()) and "first_frame_image" not in ask.body):
        raise invalid(f"model {ask.model} does not support resolution {name}", "resolution")
    if length not in lengths[name]:
        raise invalid(f"model {ask.model} does not support duration {length} at resolution {name}", "duration")
