"""Reads a request for pictures, JSON or a form: to an `Ask`, or to OpenAI's own complaint.

Of a form, numbers and yes/no become what they would be in JSON, and the files of `image`, `image[]` and `image[0]` are
gathered under `image`. Pictures come out as `Picture`, under `pictures` and `mask_picture`.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from PIL import Image

from simulator import forms
from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.openai import deployments, fields
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import BODY_BYTES_MAX, parsed
from simulator.problem import Problem, Refused

DEFAULTS: Final[Mapping[str, str]] = {"create_image": "dall-e-2", "edit_image": "dall-e-2", "vary_image": "dall-e-2"}
IMAGES_MAX: Final = 16
FORMATS: Final[Mapping[str, str]] = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_FILES: Final = re.compile(r"(image|mask)(?:\[\d*\])?")
_WHOLE: Final = re.compile(r"-?\d{1,9}")
_NUMBERS: Final = frozenset({"n", "output_compression", "partial_images"})
_DIRECTIVE: Final = re.compile(r"\[\[[^\]]*\]\]")

OPTIONAL: Final[Mapping[str, fields.Check]] = {
    "background": fields.one_of("transparent", "opaque", "auto"),
    "input_fidelity": fields.one_of("high", "low"),
    "model": fields.string,
    "moderation": fields.one_of("low", "auto"),
    "n": fields.integer(1, 10),
    "output_compression": fields.integer(0, 100),
    "output_format": fields.one_of("png", "jpeg", "webp"),
    "partial_images": fields.integer(0, 3),
    "prompt": fields.string,
    "quality": fields.string,
    "response_format": fields.one_of("url", "b64_json"),
    "size": fields.string,
    "stream": fields.boolean,
    "style": fields.one_of("vivid", "natural"),
    "user": fields.string,
}


class Picture(NamedTuple):
    """A picture that came with a request."""

    width: int
    height: int
    form: str  # "PNG"
    size_bytes: int
    url: str = ""  # where it would have to be downloaded


def decode(request: Request, operation: str) -> Ask:
    """The request as an `Ask`. Raises Refused."""
    kind = request.headers.get("content-type", "")
    body = _form(request, kind) if kind.startswith("multipart/") else _json(request, operation)
    if (model := deployments.model(request, body)) is not None:
        body["model"] = model
    for name, value in body.items():
        if value is not None and name in OPTIONAL:
            OPTIONAL[name](value, name)
    if operation != "vary_image" and not body.get("prompt"):
        raise fields.missing("prompt")
    if operation != "create_image" and not body["pictures"]:
        raise fields.missing("image")
    if (count := len(body["pictures"])) > IMAGES_MAX:
        said = f"Expected an array with maximum length {IMAGES_MAX}, but got an array with length {count} instead."
        raise refuse(f"Invalid 'image': array too long. {said}", "image", "array_above_max_length")
    prompt = body.get("prompt") or ""
    root = request.path[: request.path.rindex("/images/")]
    return Ask(
        operation=operation,
        model=body.get("model") or DEFAULTS[operation],
        turns=(Turn("user", prompt, images=len(body["pictures"])),),
        stream=bool(body.get("stream")),
        choices=body.get("n") or 1,
        input_tokens=tokens.count(prompt),
        body=body,
        site=request.site + root,
    )


def caption(prompt: str) -> str:
    """The prompt without directives, in one line."""
    return " ".join(_DIRECTIVE.sub(" ", prompt).split())


def picture(data: bytes, where: str, content_type: str = "") -> Picture:
    """What an uploaded file is. Raises Refused unless it is a picture of a known format."""
    try:
        with Image.open(io.BytesIO(data), formats=[*FORMATS]) as image:
            return Picture(image.width, image.height, image.format or "", len(data))
    except (OSError, ValueError, Image.DecompressionBombError):
        kind = content_type or "application/octet-stream"
        due = "Supported file formats are 'image/jpeg', 'image/png', and 'image/webp'."
        said = f"Invalid file '{where}': unsupported mimetype ('{kind}'). {due}"
        raise refuse(said, where, "unsupported_file_mimetype") from None


def _form(request: Request, kind: str) -> dict[str, Any]:
    """The body of a form. Raises Refused."""
    if len(request.body) > BODY_BYTES_MAX:
        raise Refused(Problem("too_large"))
    try:
        parts = forms.parts(kind, request.body)
    except ValueError as error:
        raise refuse(f"Could not parse multipart form: {error}") from None
    body: dict[str, Any] = {"pictures": [], "mask_picture": None}
    for part in parts:
        name = part.name.removesuffix("[]")
        if (file := _FILES.fullmatch(part.name)) is not None:
            found = picture(part.data, file[1], part.content_type)
            if file[1] == "mask":
                body["mask_picture"] = found
            else:
                body["pictures"].append(found)
            body[file[1]] = part.filename
        elif name in _NUMBERS and _WHOLE.fullmatch(part.text):
            body[name] = int(part.text)
        elif name == "stream" and part.text in ("true", "false"):
            body[name] = part.text == "true"
        else:
            body[name] = part.text
    return body


def _json(request: Request, operation: str) -> dict[str, Any]:
    """The body of a JSON request; of an edit, with its pictures read. Raises Refused."""
    body: dict[str, Any] = {**parsed(request.body), "pictures": [], "mask_picture": None}
    if operation == "create_image":
        return body
    if body.get("images") is not None:
        fields.filled(body["images"], "images")
        for at, one in enumerate(body["images"]):
            body["pictures"].append(_referred(one, f"images[{at}]"))
    if body.get("mask") is not None:
        body["mask_picture"] = _referred(body["mask"], "mask")
    return body


def _referred(value: Any, where: str) -> Picture:
    """A picture by its address. Nothing is downloaded: what is not inlined counts as a square. Raises Refused."""
    fields.dictionary(value, where)
    if value.get("file_id") is not None:
        fields.string(value["file_id"], f"{where}.file_id")
        return Picture(1024, 1024, "PNG", 0)
    url: str = fields.required(value, "image_url", where, fields.string)
    if url.startswith("data:"):
        head, _, data = url.partition(",")
        try:
            return picture(base64.b64decode(data, validate=True), where, head[5:].partition(";")[0])
        except (binascii.Error, ValueError):
            said = f"Invalid '{where}.image_url'. Expected a base64-encoded data URL."
            raise refuse(said, where, "invalid_value") from None
    return Picture(1024, 1024, "PNG", 0, url)
