"""Requests on Kling's second wire: the model in the path, `settings` and `options`, one path for all tasks.

`prompt` may stand beside `contents` or among them. What an omni model takes besides frames is documented by type only:
there any content with a text or an address is taken. Source: Kling's documentation, 3.0 series and task management.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from simulator.ask import Ask, Request, Turn
from simulator.dialects.kling import auth, fields
from simulator.dialects.kling.fields import Json
from simulator.dialects.kling.legacy_request import TASK_ID
from simulator.dialects.kling.order import Order
from simulator.dialects.kling.problems import bad
from simulator.media.results import Given

OPERATIONS: Final[Mapping[str, str]] = {  # first segment of the path -> operation
    "text-to-video": "text_to_video",
    "image-to-video": "image_to_video",
    "omni-video": "omni_to_video",
}
LIMIT, LIMIT_MAX, IDS_MAX = 100, 500, 500
FILTERS: Final = ("status", "product_type")
FRAMES: Final = ("first_frame", "end_frame", "last_frame")
SOUND: Final = "native"
CONTENTS_MAX: Final = 20


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    if operation == "list_tasks":
        return _list(request)
    if operation == "get_tasks":
        return _query(request)
    return _submission(request, operation)


def _submission(request: Request, operation: str) -> Ask:
    body = fields.body(request)
    settings, options = fields.inner(body, "settings"), fields.inner(body, "options")
    prompt, frames, others = _contents(body, operation, request.facts)
    if operation == "image_to_video" and "first_frame" not in frames:
        raise bad("contents: first_frame is required")
    if not prompt and operation != "image_to_video":
        raise bad("prompt is required")
    ratio = fields.text(settings, "aspect_ratio", 16)
    if operation == "image_to_video" and ratio:
        raise bad("settings.aspect_ratio is not supported by image-to-video")
    shows = "first_frame" in frames
    order = Order(
        prompt=prompt,
        mode=fields.text(settings, "resolution", 16),
        seconds=fields.whole(settings, "duration", 1, 600, 5),
        ratio=ratio or ("" if shows else "16:9"),
        pictures=(*[frames[name] for name in FRAMES if name in frames], *others),
        shows=shows,
        sound=fields.text(settings, "audio", 32) == SOUND,
        callback=fields.text(options, "callback_url", 2048),
        external=fields.text(options, "external_task_id", 128),
        watermark=fields.yes(fields.inner(options, "watermark_info"), "enabled"),
    )
    model, root = request.params["model"], request.path.rpartition("/")[0].rpartition("/")[0]
    return Ask(
        operation,
        model,
        (Turn("user", order.prompt, images=len(order.pictures)),),
        body=body | {"order": order, "times": auth.times(request)},
        fresh=True,
        among=bool(order.external) and not request.facts.get("external_ids_repeat"),
        site=request.site + root,
    )


def _contents(body: Json, operation: str, facts: Json) -> tuple[str, dict[str, Given], list[Given]]:
    """The prompt, the frames by their type, and what other pictures there are."""
    said = [fields.text(body, "prompt")]
    frames: dict[str, Given] = {}
    others: list[Given] = []
    for row in fields.rows(body, "contents", CONTENTS_MAX):
        kind = row.get("type")
        if kind == "prompt":
            said.append(fields.text(row, "text", due=True))
        elif isinstance(kind, str) and kind in FRAMES and operation != "text_to_video":
            frames[kind] = fields.picture(row.get("url"), f"contents.{kind}.url", facts)
        elif operation == "omni_to_video" and isinstance(kind, str) and kind:
            if "image" in kind:
                others.append(fields.picture(row.get("url"), f"contents.{kind}.url", facts))
            elif row.get("url") is not None:
                fields.address(row["url"], f"contents.{kind}.url")
        else:
            raise bad(f"contents.type value '{str(kind)[:64]}' is invalid")
    return "\n".join(filter(None, said)), frames, others


def _query(request: Request) -> Ask:
    """Tasks by their ids, or by those that their makers gave them."""
    told = parse_qs(request.query)
    given = {name: ",".join(told[name]).split(",") for name in ("task_ids", "external_task_ids") if name in told}
    if len(given) != 1:
        raise bad("exactly one of task_ids and external_task_ids is required")
    ((name, ids),) = given.items()
    if len(ids) > IDS_MAX:
        raise bad(f"{name}: size must be between 1 and {IDS_MAX}")
    body = {"times": auth.times(request), "ids": ids}
    if name == "external_task_ids":
        return Ask("find_tasks", "", body=body, fresh=True)
    return Ask("get_tasks", "", body=body, fresh=True, about=tuple(one for one in ids if TASK_ID.fullmatch(one)))


def _list(request: Request) -> Ask:
    given = fields.body(request) if request.body else {}
    wanted: dict[str, list[str]] = {}
    for row in fields.rows(given, "filters", len(FILTERS)):
        key, values = fields.choice(row, "key", FILTERS), row.get("values")
        if not key or not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise bad("filters must be a list of objects with key and values")
        wanted[key] = values
    body: dict[str, Any] = {
        "times": auth.times(request),
        "from_ms": fields.number(given, "start_time", 0, 1 << 53, 0),
        "to_ms": fields.number(given, "end_time", 0, 1 << 53, 1 << 53),
        "limit": fields.whole(given, "limit", 1, LIMIT_MAX, LIMIT),
        "after": _opened(fields.text(given, "cursor", 128)),
        "wanted": wanted,
    }
    return Ask("list_tasks", "", body=body, fresh=True)


def cursor(created_ms: int, number: str) -> str:
    """Where a list goes on: behind this task."""
    return urlsafe_b64encode(f"{created_ms}.{number}".encode()).decode().rstrip("=")


def _opened(told: str) -> tuple[int, str] | None:
    if not told:
        return None
    try:
        created_ms, _, number = urlsafe_b64decode(told + "=" * (-len(told) % 4)).decode("ascii").partition(".")
        return int(created_ms), number
    except (NoBase64, ValueError):
        raise bad("cursor is invalid") from None
