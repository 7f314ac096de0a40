"""Reads a request for jobs of the first Sora on Azure, JSON or a form: to an `Ask`, or to a complaint.

Of a form, numbers become what they would be in JSON, and `inpaint_items` is JSON in a text that names files by
`file_name`. A picture at frame 0 begins the clip, cut to its `crop_bounds`. Source: Azure's public quickstart.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from PIL import Image

from simulator import forms
from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Profile
from simulator.dialects.openai import deployments, fields
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import BODY_BYTES_MAX, parsed
from simulator.media.frames import is_picture
from simulator.problem import Problem, Refused

CREATE: Final = "create_video_job"
_NUMBERS: Final = ("width", "height", "n_seconds", "n_variants")
_WHOLE: Final = re.compile(r"[0-9]{1,6}")
_ID: Final = re.compile(r"(task|gen)_01j([0-9a-z])([0-9a-z]{22})")
_TAKEN: Final = frozenset({"prompt", "model", "inpaint_items", *_NUMBERS})
_EDGES: Final = ("left_fraction", "top_fraction", "right_fraction", "bottom_fraction")


def submission(request: Request) -> Ask:
    """A request for a job. Raises Refused."""
    kind = request.headers.get("content-type", "")
    body, files = _form(request, kind) if kind.startswith("multipart/") else (parsed(request.body), {})
    for name in body:
        if name not in _TAKEN:
            raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    prompt: str = fields.required(body, "prompt", "", fields.string)
    for name in _NUMBERS:
        if body.get(name) is not None:
            fields.integer(1)(body[name], name)
    for name in ("width", "height"):
        fields.required(body, name, "", lambda *_: None)
    model = deployments.model(request, body)
    if model is None:
        raise fields.missing("model")
    fields.string(model, "model")
    read = {
        "prompt": prompt,
        "width": body["width"],
        "height": body["height"],
        "n_seconds": body.get("n_seconds") or 5,
        "n_variants": body.get("n_variants") or 1,
        "image": _image(body.get("inpaint_items"), files),
    }
    turns = (Turn("user", prompt, images=int(read["image"] is not None)),)
    return Ask(CREATE, str(model), turns, input_tokens=tokens.count(prompt), body=read, fresh=True)


def about(request: Request, operation: str) -> Ask:
    """A request about a job or a generation. Raises Refused."""
    deployments.model(request, {})
    found = _ID.fullmatch(request.params["id"])
    if found is None:
        raise Refused(Problem("not_kept"))
    body = {"id": request.params["id"], "variant": found[2]}
    return Ask(operation, "", body=body, fresh=True, needs=found[3])


def listing(request: Request) -> Ask:
    """A request for all jobs. Raises Refused."""
    deployments.model(request, {})
    return Ask("list_video_jobs", "", fresh=True)


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what this model does not take."""
    body, facts = ask.body, profile.facts
    size = f"{body['width']}x{body['height']}"
    if size not in facts["sizes"]:
        due = ", ".join(facts["sizes"])
        raise refuse(
            f"Resolution '{size}' is not supported. Supported resolutions are: {due}.", "size", "invalid_value"
        )
    fields.integer(1, facts["seconds_max"][size])(body["n_seconds"], "n_seconds")
    fields.integer(1, facts["sizes"][size])(body["n_variants"], "n_variants")


def _form(request: Request, kind: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(the body of a form, its files by name). Raises Refused."""
    if len(request.body) > BODY_BYTES_MAX:
        raise Refused(Problem("too_large"))
    try:
        parts = forms.parts(kind, request.body)
    except ValueError as error:
        raise refuse(f"Could not parse multipart form: {error}") from None
    body: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for part in parts:
        if part.filename is not None:
            files[part.filename] = part.data
        elif part.name in _NUMBERS and _WHOLE.fullmatch(part.text):
            body[part.name] = int(part.text)
        elif part.name == "inpaint_items":
            body[part.name] = _json(part.data)
        else:
            body[part.name] = part.text
    return body, files


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raise refuse("Invalid 'inpaint_items': expected JSON.", "inpaint_items", "invalid_value") from None


def _image(items: object, files: Mapping[str, bytes]) -> bytes | None:
    """The picture that the clip begins with, if any. Raises Refused."""
    if items is None:
        return None
    fields.array(items, "inpaint_items")
    found: bytes | None = None
    for at, item in enumerate(items if isinstance(items, list) else ()):
        where = f"inpaint_items[{at}]"
        fields.dictionary(item, where)
        kind = fields.required(item, "type", where, fields.one_of("image", "video"))
        name = fields.required(item, "file_name", where, fields.string)
        if name not in files:
            raise refuse(f"Invalid '{where}.file_name': no file '{name}' was sent.", where, "invalid_value")
        fields.integer(0)(item.get("frame_index") or 0, f"{where}.frame_index")
        if kind == "image" and not is_picture(files[name]):
            raise refuse("Invalid image data.", where, "invalid_image_file")
        if kind == "image" and not item.get("frame_index"):
            found = _cut(files[name], item.get("crop_bounds"), where)
    return found


def _cut(data: bytes, bounds: object, where: str) -> bytes:
    """As much of a picture as its bounds leave, fractions of its sides. Raises Refused."""
    if bounds is None:
        return data
    fields.dictionary(bounds, f"{where}.crop_bounds")
    told = bounds if isinstance(bounds, dict) else {}
    left, top, right, bottom = (told.get(edge, default) for edge, default in zip(_EDGES, (0, 0, 1, 1), strict=True))
    for edge in (left, top, right, bottom):
        fields.decimal(0, 1)(edge, f"{where}.crop_bounds")
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
        if box[0] >= box[2] or box[1] >= box[3]:
            raise refuse(f"Invalid '{where}.crop_bounds': nothing is left.", where, "invalid_value")
        out = io.BytesIO()
        image.convert("RGB").crop(box).save(out, "PNG")
    return out.getvalue()
