"""Requests on Vidu's wire: what is to be made, tasks by id, lists, cancellations.

Pictures come as addresses or as data URLs; bare base64 is no picture here. Source: Vidu's documentation, the pages of
each kind of generation and the list of tasks, which spells its page both `pager` and `paper`: both are taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import orjson

from simulator.ask import Ask, Request, Turn
from simulator.dialects.vidu.problems import bad
from simulator.media import results
from simulator.media.results import Given
from simulator.problem import Problem, Refused

STYLE: Final = "s3"  # of links to results
FOLDER: Final = "/infer/tasks"
BODY_BYTES: Final = 20 << 20
PROMPT_LENGTH, PAYLOAD_LENGTH = 5000, 1_048_576
SIDE_MIN, RATIO_MAX = 128, 4
PAGE_SIZE, PAGE_SIZE_MAX = 10, 100
DAYS_MS: Final = 7 * 86_400_000
TASK_ID: Final = re.compile(r"[1-9][0-9]{17}")
MOVES: Final = ("auto", "small", "medium", "large")
STYLES: Final = ("general", "anime")
RATIOS: Final = ("16:9", "9:16", "3:4", "4:3", "1:1")

Json = Mapping[str, Any]


class Kind(NamedTuple):
    """One kind of generation."""

    path: str
    images: tuple[int, int] = (0, 0)  # least and most
    prompt: bool = False  # it is due
    shows: bool = False  # it begins with the first picture
    ratio: bool = False  # it has one of its own


KINDS: Final[Mapping[str, Kind]] = {
    "text2video": Kind("/text2video", prompt=True, ratio=True),
    "img2video": Kind("/img2video", (1, 1), shows=True),
    "start_end2video": Kind("/start-end2video", (2, 2), shows=True),
    "reference2video": Kind("/reference2video", (1, 7), prompt=True, ratio=True),
    "template": Kind("/template", (1, 3), shows=True),
    "reference2image": Kind("/reference2image", (0, 7), prompt=True, ratio=True),
}
TEMPLATE_MODEL: Final = "vidu-template"  # a template names none


class Order(NamedTuple):
    """One task, as asked."""

    prompt: str
    pictures: tuple[Given, ...]
    shows: bool
    seconds: int | None  # None: the model's usual length
    resolution: str  # "": the model's usual one
    ratio: str  # "": that of the first picture
    seed: int | None  # None: one is drawn
    sound: bool | None  # None: as the model has it
    bgm: bool
    off_peak: bool
    watermark: bool
    move: str
    style: str
    template: str
    payload: str
    callback: str


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    if operation in KINDS:
        return _submission(request, operation, KINDS[operation])
    told = {name: values for name, values in parse_qs(request.query).items() if values}
    if operation == "get_credits":
        detail = told.get("show_detail", ["false"])[-1].lower() == "true" or _detail(request.body)
        return Ask(operation, "", body={"detail": detail}, fresh=True)
    if operation == "list_tasks":
        return Ask(operation, "", body=_list(told), fresh=True)
    number = request.params["id"]
    if not TASK_ID.fullmatch(number):
        raise Refused(Problem("not_kept"))
    if operation == "cancel_task":
        given = _body(request) if request.body else {}
        if given.get("id", number) != number:
            raise bad("FieldInvalid", "id")
    return Ask(operation, "", fresh=True, needs=number)


def _submission(request: Request, operation: str, kind: Kind) -> Ask:
    body = _body(request)
    model = _text(body, "model", 64) or (TEMPLATE_MODEL if operation == "template" else "")
    if not model:
        raise bad("FieldLacking", "model")
    template = _text(body, "template", 128)
    if operation == "template" and not template:
        raise bad("FieldLacking", "template")
    order = _order(body, kind, _pictures(body, kind, request.facts), template)
    if kind.prompt and not order.prompt:
        raise bad("FieldLacking", "prompt")
    return Ask(
        operation,
        model,
        (Turn("user", order.prompt, images=len(order.pictures)),),
        body=body | {"order": order, "key": request.headers.get("authorization", "").rpartition(" ")[2]},
        fresh=True,
        site=request.site + request.path.removesuffix(kind.path),
    )


def _order(body: Json, kind: Kind, pictures: tuple[Given, ...], template: str) -> Order:
    sound = body.get("audio")
    _flag(body, "audio")
    return Order(
        prompt=_text(body, "prompt", PROMPT_LENGTH),
        pictures=pictures,
        shows=kind.shows,
        seconds=_whole(body, "duration", 1, 600),
        resolution=_text(body, "resolution", 16),
        ratio=_choice(body, "aspect_ratio", (*RATIOS, "auto"), "16:9") if kind.ratio else "",
        seed=_whole(body, "seed", 0, (1 << 31) - 1) or None,
        sound=sound,
        bgm=_flag(body, "bgm"),
        off_peak=_flag(body, "off_peak"),
        watermark=_flag(body, "watermark"),
        move=_choice(body, "movement_amplitude", MOVES, "auto"),
        style=_choice(body, "style", STYLES, "general"),
        template=template,
        payload=_text(body, "payload", PAYLOAD_LENGTH),
        callback=_text(body, "callback_url", 2048),
    )


def _pictures(body: Json, kind: Kind, facts: Json) -> tuple[Given, ...]:
    """The pictures, also those of subjects."""
    listed = _texts(body.get("images"), "images")
    subjects = body.get("subjects")
    if subjects is not None:
        if not isinstance(subjects, list) or not all(isinstance(one, dict) for one in subjects):
            raise bad("FieldInvalid", "subjects")
        for one in subjects:
            listed += _texts(one.get("images"), "subjects.images")
    least, most = kind.images
    if most == 0 and listed:
        raise bad("FieldUnwanted", "images")
    if least and not listed:
        raise bad("FieldLacking", "images")
    if not least <= len(listed) <= most:
        raise bad("FieldItemCountOutOfRange", "images")
    return tuple(_picture(text, facts) for text in listed)


def _picture(text: str, facts: Json) -> Given:
    if not text.startswith(("http://", "https://", "data:image/")):
        raise bad("ImageFormatInvalid")
    try:
        found = results.given(text, STYLE, FOLDER, facts["signature_secret"])
    except results.Missing:
        raise bad("ImageDownloadFailure") from None
    except ValueError:
        raise bad("ImageFormatInvalid") from None
    low, high = sorted((found.width, found.height))
    if low < facts.get("side_min", SIDE_MIN) or high > RATIO_MAX * low:
        raise bad("PageSizeOutOfRange")
    return found


def _list(told: Mapping[str, list[str]]) -> dict[str, Any]:
    """What a list of tasks is to hold."""
    size = _page(told, "pagesz", PAGE_SIZE)
    if not 1 <= size <= PAGE_SIZE_MAX:
        raise bad("PageSizeOutOfRange")
    token = told.get("pager.page_token", told.get("paper.page_token", [""]))[-1]
    if token and not token.isdecimal():
        raise bad("FieldInvalid", "pager.page_token")
    wanted = {name: ",".join(told[name]).split(",") for name in ("task_ids", "states", "resolutions") if name in told}
    versions = [f"vidu{one}" for one in ",".join(told.get("model_versions", [])).split(",") if one]
    return {
        "from_ms": _time(told, "created_at.from"),
        "to_ms": _time(told, "created_at.to"),
        "wanted": wanted | ({"models": versions} if versions else {}),
        "skip": int(token[:9]) if token else _page(told, "page", 0) * size,
        "size": size,
    }


def _page(told: Mapping[str, list[str]], name: str, usual: int) -> int:
    text = told.get(f"pager.{name}", told.get(f"paper.{name}", [str(usual)]))[-1]
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise bad("FieldInvalid", f"pager.{name}")
    return int(text)


def _time(told: Mapping[str, list[str]], name: str) -> float | None:
    """A moment in Unix milliseconds."""
    if name not in told:
        return None
    try:
        at = datetime.fromisoformat(told[name][-1].replace(" ", "+"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, OverflowError):
        raise bad("FieldInvalid", name) from None


# --- fields -----------------------------------------------------------------------------------------------------------


def _body(request: Request) -> dict[str, Any]:
    if len(request.body) > BODY_BYTES:
        raise Refused(Problem("too_large", "request body too large"))
    try:
        found = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise bad("BadRequest")
    return found


def _detail(body: bytes) -> bool:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict) and found.get("show_detail") is True


def _text(body: Json, name: str, most: int) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        raise bad("FieldInvalid", name)
    return value


def _texts(value: object, name: str) -> list[str]:
    found = [] if value is None else value
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise bad("FieldInvalid", name)
    return list(found)


def _choice(body: Json, name: str, values: tuple[str, ...], usual: str) -> str:
    value = body.get(name)
    if value is None or value == "":
        return usual
    if value not in values:
        raise bad("FieldInvalid", name)
    return str(value)


def _whole(body: Json, name: str, low: int, high: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise bad("FieldInvalid", name)
    return value


def _flag(body: Json, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad("FieldInvalid", name)
    return bool(value)
