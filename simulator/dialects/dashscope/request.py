"""Requests on DashScope's wire: how they must be called, what they give the model, and what is asked of tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Profile
from simulator.dialects.dashscope import geometry
from simulator.dialects.dashscope.problems import NO_ASYNC, NO_SYNC, WRONG_URL, denied, invalid
from simulator.dialects.inspection import refuses_input
from simulator.media import results
from simulator.media.results import Given, nonce_of
from simulator.problem import Problem, Refused

FOLDER: Final = "/dashscope-result"  # of files behind links
STYLE: Final = "oss"
SERVICES: Final = "/services/aigc/"
SINGLE: Final = ("img_url", "first_frame_url", "last_frame_url", "audio_url", "reference_url", "base_image_url")
SEVERAL: Final = ("reference_urls", "reference_video_urls", "images")
FIRST: Final = ("img_url", "first_frame_url", "first_frame")  # what a clip begins with
SIDE_PX: Final = (240, 8000)  # of a picture
SEEDS: Final = 2_147_483_647
STATUSES: Final = ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN")
DAY_MS: Final = 86_400_000
FLAGS: Final = ("prompt_extend", "watermark", "audio")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-(4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})")
_TIME: Final = "%Y%m%d%H%M%S"


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    if operation == "fetch_file":
        return Ask(operation, "", fresh=True, about=(nonce_of(request.path, FOLDER),))
    if operation == "list_tasks":
        return Ask(operation, "", body=_filters(request), fresh=True)
    if "id" in request.params:
        found = _ID.fullmatch(request.params["id"])
        if found is None:
            raise Refused(Problem("not_kept"))
        return Ask(operation, "", body={"id": request.params["id"]}, fresh=True, needs=found[1])
    is_async = request.headers.get("x-dashscope-async", "").lower() == "enable"
    if operation == "create_image" and is_async:
        raise denied(NO_ASYNC, 403)
    if operation != "create_image" and not is_async:
        raise denied(NO_SYNC, int(request.facts.get("sync_status", 403)))
    return _submission(request, operation)


def _submission(request: Request, operation: str) -> Ask:
    body = _parsed(request.body)
    path = request.path[request.path.index(SERVICES) + len(SERVICES) :]
    texts, images = _messages(body["input"]) if "messages" in body["input"] else _flat(body["input"])
    body |= {"path": path, "text": texts, "images": images, "given": None, "missing": False, "first": ""}
    for name, url in images:
        _picture(body, name, url, request.facts)
    site = request.site + request.path[: request.path.index(SERVICES)]
    turns = (Turn("user", texts, images=len(images)),)
    count = body["parameters"].get("n")
    fresh = operation != "create_image"
    return Ask(operation, body["model"], turns, choices=count or 1, body=body, fresh=fresh, site=site)


def _parsed(data: bytes) -> dict[str, Any]:
    """The body, with its three parts. Raises Refused."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise invalid("Required body invalid, please check the request body format.") from None
    if not isinstance(body, dict):
        raise invalid("Required body invalid, please check the request body format.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise invalid('Required parameter "model" missing from request.', "model", "BadRequest.EmptyModel")
    if not isinstance(body.get("input"), dict) or not body["input"]:
        raise invalid("Required input parameter missing from request.", "input", "BadRequest.EmptyInput")
    parameters = {} if body.get("parameters") is None else body["parameters"]
    if not isinstance(parameters, dict):
        raise invalid("parameters must be an object", "parameters")
    parameters = {name: value for name, value in parameters.items() if value is not None}
    _whole(parameters, "n", 1, 16)
    _whole(parameters, "seed", 0, SEEDS)
    _whole(parameters, "duration", 1, 60)
    for name in FLAGS:
        if not isinstance(parameters.get(name, True), bool):
            raise invalid(f"{name} must be a boolean", f"parameters.{name}")
    return {"model": body["model"], "input": body["input"], "parameters": parameters}


def _whole(parameters: Mapping[str, Any], name: str, low: int, high: int) -> None:
    value = parameters.get(name, low)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise invalid(f"{name} must be an integer from {low} to {high}", f"parameters.{name}")


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise invalid(f"{name} must be a string", name)
    return value


def _flat(given: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """The prompt, and every address with what it is for. Raises Refused."""
    prompt = "" if given.get("prompt") is None else _text(given["prompt"], "input.prompt")
    _text(given.get("negative_prompt") or "", "input.negative_prompt")
    return prompt, list(_addresses(given))


def _addresses(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in SINGLE:
        if given.get(name) is not None:
            yield name, _text(given[name], f"input.{name}")
    for name in SEVERAL:
        for url in _list(given.get(name), f"input.{name}"):
            yield name, _text(url, f"input.{name}")
    for item in _list(given.get("media"), "input.media"):
        if not isinstance(item, dict):
            raise invalid("input.media must be an array of objects", "input.media")
        yield _text(item.get("type"), "input.media.type"), _text(item.get("url"), "input.media.url")


def _list(value: Any, name: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise invalid(f"{name} must be an array", name)
    return value or []


def _messages(given: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """The text and the pictures of the one message there may be. Raises Refused."""
    messages = _list(given["messages"], "input.messages")
    if len(messages) != 1 or not isinstance(messages[0], dict):
        raise invalid("input.messages must have exactly one message", "input.messages")
    texts, images = [], []
    for item in _list(messages[0].get("content"), "input.messages.content"):
        if not isinstance(item, dict):
            raise invalid("input.messages.content must be an array of objects", "input.messages")
        if item.get("text") is not None:
            texts.append(_text(item["text"], "input.messages.content.text"))
        if item.get("image") is not None:
            images.append(("image", _text(item["image"], "input.messages.content.image")))
    return "\n".join(texts), images


def _picture(body: dict[str, Any], name: str, url: str, facts: Mapping[str, Any]) -> None:
    """Looks at a picture, clip or sound that was given. Raises Refused."""
    if not url.startswith(("http://", "https://", "oss://", "data:")):
        raise invalid(
            f"input.{name}: url is invalid, due http, https, oss or a data URL", f"input.{name}", "InvalidURL"
        )
    if url.startswith("data:") and not url.startswith("data:image/"):
        return
    try:
        found = _given(url, facts)
    except results.Missing:
        body["missing"] = True
        return
    except ValueError:
        raise invalid(f"input.{name}: the image could not be decoded", f"input.{name}") from None
    if name in FIRST:
        if not SIDE_PX[0] <= min(found.width, found.height) <= max(found.width, found.height) <= SIDE_PX[1]:
            said = f"sides must be from {SIDE_PX[0]} to {SIDE_PX[1]} pixels"
            raise invalid(f"input.{name}: the image's {said}", f"input.{name}")
        body["given"], body["first"] = found, "" if url.startswith("oss://") else url


def _given(url: str, facts: Mapping[str, Any]) -> Given:
    if url.startswith("oss://"):  # what the SDK uploaded: its bytes are not known here
        return Given(results.SIDE, results.SIDE, "")
    return results.given(url, STYLE, FOLDER, facts["signature_secret"])


def _filters(request: Request) -> dict[str, Any]:
    """The page and the filters of a list. Raises Refused."""
    told = dict(parse_qsl(request.query))
    page: dict[str, Any] = {"model_name": told.get("model_name", ""), "status": told.get("status", "")}
    for name, usual in (("page_no", 1), ("page_size", 10)):
        text = told.get(name, str(usual))
        if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text)):
            raise invalid(f"{name} must be a positive integer", name)
        page[name] = int(text)
    if page["status"] and page["status"] not in STATUSES:
        raise invalid(f"status must be one of {', '.join(STATUSES)}", "status")
    for name in ("start_time", "end_time"):
        page[name] = _moment(told[name], name, request.facts) if told.get(name) else None
    return page


def _moment(text: str, name: str, facts: Mapping[str, Any]) -> int:
    """A local time, in Unix milliseconds."""
    try:
        found = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise invalid(f"{name} must be YYYYMMDDhhmmss", name) from None
    return int(found.timestamp() * 1000) - int(facts.get("utc_offset_h", 0)) * 3_600_000


# --- by model ---------------------------------------------------------------------------------------------------------


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what a model does not take."""
    facts, body = profile.facts, ask.body
    if body["path"] not in facts["paths"]:
        raise invalid(WRONG_URL)
    if not body["text"] and facts.get("prompt") != "optional":
        raise invalid("input must contain prompt", "input.prompt")
    if len(body["text"]) > facts["prompt_length"] and not facts.get("cuts_prompt"):
        raise invalid(f"prompt must have at most {facts['prompt_length']} characters", "input.prompt")
    _media([name for name, _ in body["images"]], facts)
    if "tiers" in facts:
        geometry.clip(body["parameters"], facts, body["given"])
        if body["parameters"].get("duration", facts["seconds"][0]) not in facts["seconds"]:
            due = ", ".join(map(str, facts["seconds"]))
            raise invalid(f"duration must be one of {due}", "parameters.duration")
    else:
        geometry.picture(body["parameters"].get("size"), facts)
        if ask.choices > facts["n_max"]:
            raise invalid(f"num_images_per_prompt must be at most {facts['n_max']}", "parameters.n")
    if refuses_input(body["text"]):
        raise Refused(Problem("moderation"))


def _media(names: list[str], facts: Mapping[str, Any]) -> None:
    """Raise Refused unless what came is what a model takes (`takes`: name -> most) and what it needs (one of each)."""
    takes: Mapping[str, int] = facts.get("takes", {})
    for name in names:
        if name not in takes:
            raise invalid(f"{name} is not supported by this model", f"input.{name}")
        if names.count(name) > takes[name]:
            raise invalid(f"at most {takes[name]} of {name} may be given", f"input.{name}")
    for either in facts.get("needs", ()):
        if not set(either) & set(names):
            raise invalid(f"input must contain {' or '.join(either)}", f"input.{either[0]}")
