"""Requests on Kling's first wire: the model in `model_name`, a path for each kind of task.

A ratio that comes with a first frame is passed by, as gateways send one: the clip follows the picture. Whether a
duration may be a number is not documented: the fact `strict_durations` refuses it. Source: Kling's documentation, the
pages of each kind of task.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from simulator.ask import Ask, Request, Turn
from simulator.dialects.kling import auth, fields
from simulator.dialects.kling.fields import Json
from simulator.dialects.kling.order import Order
from simulator.dialects.kling.problems import bad
from simulator.media import results
from simulator.media.results import Film, Given

VIDEO_ID: Final = re.compile(r"([1-9][0-9]{17})1")
TASK_ID: Final = re.compile(r"[1-9][0-9]{17}")
PAGE_MAX, PAGE_SIZE, PAGE_SIZE_MAX = 1000, 30, 500
IMAGES_MAX: Final = 9
CAMERAS: Final = ("simple", "down_back", "forward_up", "right_turn_forward", "left_turn_forward")
MOVES: Final = ("horizontal", "vertical", "pan", "tilt", "roll", "zoom")
STAND_IN: Final = Film("", 5.0, 1280, 720, 24, 0)  # for a clip that is not downloaded


class Form(NamedTuple):
    """What is read of one body."""

    body: Json
    facts: Json  # of the mount

    def pictures(self, rows: list[dict[str, Any]], key: str, name: str) -> tuple[Given, ...]:
        """The pictures of a list of objects."""
        return tuple(fields.picture(row.get(key), f"{name}.{key}", self.facts) for row in rows)

    def optional(self, *names: str) -> dict[str, Given]:
        """The pictures that are there."""
        found = {name: self.body.get(name) for name in names}
        return {name: fields.picture(value, name, self.facts) for name, value in found.items() if value}

    def seconds(self) -> int:
        """The duration."""
        return fields.seconds(self.body, strict=bool(self.facts.get("strict_durations")))

    def source(self, given: Json) -> tuple[Film | None, str]:
        """The clip that a task is made from: by its address, or by an id, which is looked up later."""
        number, url = fields.text(given, "video_id", 64), given.get("video_url")
        if number and url:
            raise bad("video_id and video_url cannot be used together")
        if number:
            return None, number
        if not url:
            raise bad("video_id or video_url is required")
        found = results.behind(
            fields.address(url, "video_url"), fields.STYLE, fields.FOLDER, self.facts["signature_secret"]
        )
        return (found if isinstance(found, Film) else STAND_IN._replace(prompt=str(url)[:100])), ""


def _text2video(form: Form) -> Order:
    order = _moving(form)
    _camera(form.body)
    return order._replace(ratio=fields.text(form.body, "aspect_ratio", 16) or "16:9")


def _image2video(form: Form) -> Order:
    found = form.optional("image", "image_tail")
    if not found:
        raise bad("image and image_tail cannot both be empty")
    fields.rows(form.body, "dynamic_masks", 6)
    _camera(form.body)
    return _moving(form, is_prompt_due=False)._replace(pictures=tuple(found.values()), shows="image" in found)


def _multi_image2video(form: Form) -> Order:
    rows = fields.rows(form.body, "image_list", 4, least=1)
    pictures = form.pictures(rows, "image", "image_list")
    ratio = fields.text(form.body, "aspect_ratio", 16) or "16:9"
    return _moving(form)._replace(pictures=pictures, ratio=ratio)


def _omni_video(form: Form) -> Order:
    rows = fields.rows(form.body, "image_list", 7)
    pictures = form.pictures(rows, "image_url", "image_list")
    types = [fields.choice(row, "type", ("first_frame", "end_frame")) for row in rows]
    order = _moving(form)._replace(ratio=fields.text(form.body, "aspect_ratio", 16))
    for row in fields.rows(form.body, "video_list", 1):
        fields.choice(row, "refer_type", ("base", "feature"))
        fields.choice(row, "keep_original_sound", ("yes", "no"))
        source, _ = form.source(row)
        if row.get("refer_type", "base") == "base":
            order = order._replace(source=source)
    if "first_frame" in types:
        first = types.index("first_frame")
        pictures = (pictures[first], *pictures[:first], *pictures[first + 1 :])
    elif not order.ratio and order.source is None:
        order = order._replace(ratio="16:9")
    return order._replace(pictures=pictures, shows="first_frame" in types)


def _motion_control(form: Form) -> Order:
    body = form.body
    picture = fields.picture(body.get("image_url"), "image_url", form.facts)
    for name, words in (("character_orientation", ("image", "video")), ("mode", ("std", "pro"))):
        if not fields.choice(body, name, words):
            raise bad(f"{name} is required")
    keeps = fields.choice(body, "keep_original_sound", ("yes", "no"), "yes") == "yes"
    source, number = form.source({"video_url": body.get("video_url")})
    length = round((source or STAND_IN).seconds)
    order = Order(prompt=fields.text(body, "prompt"), mode=str(body["mode"]), seconds=length, source_id=number)
    return order._replace(pictures=(picture,), shows=True, sound=keeps)


def _video_extend(form: Form) -> Order:
    fields.number(form.body, "cfg_scale", 0, 1, 0.5)
    number = fields.text(form.body, "video_id", 64, due=True)
    return Order(prompt=fields.text(form.body, "prompt"), source_id=number, adds=5)


def _lip_sync(form: Form) -> Order:
    given = fields.inner(form.body, "input")
    mode = fields.choice(given, "mode", ("text2video", "audio2video"))
    if not mode:
        raise bad("input.mode: must not be null")
    source, number = form.source(given)
    said = ""
    if mode == "text2video":
        said = fields.text(given, "text", 120, due=True)
        fields.text(given, "voice_id", 64, due=True)
        if not fields.choice(given, "voice_language", ("zh", "en"), "zh"):
            raise bad("Voice language not found")
        fields.number(given, "voice_speed", 0.8, 2.0, 1.0)
    else:
        kind = fields.choice(given, "audio_type", ("file", "url"))
        if not kind:
            raise bad("Audio type is null")
        if kind == "url":
            fields.address(given.get("audio_url"), "audio_url")
        else:
            fields.text(given, "audio_file", 8 << 20, due=True)
    return Order(prompt=said, source=source, source_id=number, sound=True)


def _effects(form: Form) -> Order:
    scene = fields.text(form.body, "effect_scene", 64, due=True)
    given = fields.inner(form.body, "input")
    inner = Form(given, form.facts)
    many = given.get("images")
    if isinstance(many, list):
        if len(many) != 2:
            raise bad("images: size must be 2")
        pictures = tuple(fields.picture(value, "images", form.facts) for value in many)
    else:
        pictures = (fields.picture(given.get("image"), "image", form.facts),)
    mode = fields.text(given, "mode", 16)
    return Order(prompt=scene, mode=mode, seconds=inner.seconds(), pictures=pictures, shows=True)


def _create_image(form: Form) -> Order:
    body = form.body
    for name in ("image_fidelity", "human_fidelity"):
        fields.number(body, name, 0, 1, 0.5)
    fields.choice(body, "image_reference", ("subject", "face"))
    pictures = tuple(form.optional("image").values())
    order = Order(prompt=fields.text(body, "prompt", due=True), mode=fields.text(body, "resolution", 8))
    count = fields.whole(body, "n", 1, IMAGES_MAX, 1)
    return order._replace(ratio=fields.text(body, "aspect_ratio", 16) or "16:9", pictures=pictures, number=count)


def _omni_image(form: Form) -> Order:
    body = form.body
    pictures = form.pictures(fields.rows(body, "image_list", 10), "image", "image_list")
    is_series = fields.choice(body, "result_type", ("single", "series"), "single") == "series"
    name, least, usual = ("series_amount", 2, 4) if is_series else ("n", 1, 1)
    count = fields.whole(body, name, least, IMAGES_MAX, usual)
    ratio = fields.text(body, "aspect_ratio", 16)
    order = Order(prompt=fields.text(body, "prompt", due=True), mode=fields.text(body, "resolution", 8))
    return order._replace(ratio="" if ratio == "auto" else ratio, pictures=pictures, number=count, series=is_series)


def _try_on(form: Form) -> Order:
    human = fields.picture(form.body.get("human_image"), "human_image", form.facts)
    cloth = fields.picture(form.body.get("cloth_image"), "cloth_image", form.facts)
    return Order(pictures=(human, cloth))


def _moving(form: Form, *, is_prompt_due: bool = True) -> Order:
    """What all clips have in common."""
    body = form.body
    for name in ("element_list", "voice_list"):
        fields.rows(body, name, 7)
    fields.text(body, "negative_prompt")
    fields.number(body, "cfg_scale", 0, 1, 0.5)
    shots = fields.rows(body, "multi_prompt", 6)
    is_split = fields.yes(body, "multi_shot")
    if is_split and fields.choice(body, "shot_type", ("customize", "intelligence"), "customize") == "customize":
        prompt = "\n".join(fields.text(shot, "prompt", 512, due=True) for shot in shots)
        if not shots:
            raise bad("multi_prompt is required")
        lengths = [fields.seconds(shot, strict=False) for shot in shots]
        if sum(lengths) != form.seconds():
            raise bad("multi_prompt: the durations of all shots must add up to duration")
    else:
        prompt = fields.text(body, "prompt", due=is_prompt_due)
    sound = fields.choice(body, "sound", ("on", "off"), "off") == "on"
    mode = fields.text(body, "mode", 16)
    return Order(prompt=prompt, mode=mode, seconds=form.seconds(), sound=sound)


def _camera(body: Json) -> None:
    camera = fields.inner(body, "camera_control")
    kind = fields.choice(camera, "type", CAMERAS)
    config = fields.inner(camera, "config")
    moves = [name for name in MOVES if fields.number(config, name, -10, 10, 0)]
    if kind == "simple" and len(moves) != 1:
        raise bad("camera_control.config: exactly one of its values must not be 0")


READERS: Final[Mapping[str, tuple[str, Callable[[Form], Order], str]]] = {  # operation -> path, reader, usual model
    "text2video": ("/videos/text2video", _text2video, "kling-v1"),
    "image2video": ("/videos/image2video", _image2video, "kling-v1"),
    "multi_image2video": ("/videos/multi-image2video", _multi_image2video, "kling-v1-6"),
    "omni_video": ("/videos/omni-video", _omni_video, "kling-video-o1"),
    "motion_control": ("/videos/motion-control", _motion_control, "kling-v2-6"),
    "video_extend": ("/videos/video-extend", _video_extend, "kling-video-extend"),
    "lip_sync": ("/videos/lip-sync", _lip_sync, "kling-lip-sync"),
    "effects": ("/videos/effects", _effects, "kling-v1-6"),
    "create_image": ("/images/generations", _create_image, "kling-v1"),
    "omni_image": ("/images/omni-image", _omni_image, "kling-image-o1"),
    "try_on": ("/images/kolors-virtual-try-on", _try_on, "kolors-virtual-try-on-v1"),
}
OF_PATH: Final = {path: operation for operation, (path, _, _) in READERS.items()}


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    if operation in READERS:
        return _submission(request, operation)
    root, kind = _parted(request)
    site = request.site + root
    body: dict[str, Any] = {"times": auth.times(request), "kind": kind}
    if operation == "list_tasks":
        return Ask("list_tasks", "", body=body | _page(request.query), fresh=True, site=site)
    number = request.params["id"]
    if TASK_ID.fullmatch(number):
        return Ask("get_task", "", body=body, fresh=True, needs=number, site=site)
    return Ask("find_task", "", body=body | {"external": number}, fresh=True, site=site)


def _submission(request: Request, operation: str) -> Ask:
    body = fields.body(request)
    path, reader, usual = READERS[operation]
    naming = fields.inner(body, "input") if operation == "effects" else body
    model = fields.text(naming, "model_name", 64) or usual
    order = reader(Form(body, request.facts))._replace(
        callback=fields.text(body, "callback_url", 2048),
        external=fields.text(body, "external_task_id", 128),
        watermark=fields.yes(fields.inner(body, "watermark_info"), "enabled"),
    )
    needs = ""
    if order.source_id:
        found = VIDEO_ID.fullmatch(order.source_id)
        if found is None:
            raise bad(f"video {order.source_id} does not exist")
        needs = found[1]
    return Ask(
        operation,
        model,
        (Turn("user", order.prompt, images=len(order.pictures)),),
        choices=order.number,
        body=body | {"order": order, "times": auth.times(request)},
        fresh=True,
        needs=needs,
        among=bool(order.external) and not request.facts.get("external_ids_repeat"),
        site=request.site + request.path.removesuffix(path),
    )


def _parted(request: Request) -> tuple[str, str]:
    """The root below which a path stands, and the kind of task it is about."""
    path = request.path
    if "id" in request.params:
        path = path.removesuffix(f"/{request.params['id']}")
    kind = next(kind for suffix, kind in OF_PATH.items() if path.endswith(suffix))
    return path.removesuffix(READERS[kind][0]), kind


def _page(query: str) -> dict[str, int]:
    told = dict(parse_qsl(query))
    given = {name: int(value) if value.isdecimal() and len(value) < 7 else -1 for name, value in told.items()}
    page = fields.whole(given, "pageNum", 1, PAGE_MAX, 1)
    return {"page": page, "size": fields.whole(given, "pageSize", 1, PAGE_SIZE_MAX, PAGE_SIZE)}
