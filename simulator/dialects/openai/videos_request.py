"""Reads a request of the Videos wire, JSON or a form: to an `Ask`, or to OpenAI's own complaint.

`Ask.body` of what begins a video: `prompt`, `seconds` and `size` (as sent), `image` (bytes or None), and `source`,
the video that it is made of. Pictures behind an address are not downloaded: such a video begins with a picture of its
own. Source: the public specification (2.3.0); that `input_reference` is no text, from a public issue.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from simulator import forms
from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.openai import deployments, fields
from simulator.dialects.openai.images_request import Picture, picture
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import BODY_BYTES_MAX, parsed
from simulator.media.frames import is_picture, measured
from simulator.problem import Problem, Refused

CREATE: Final = "create_video"
REMIX: Final = "remix_video"
EDIT: Final = "edit_video"
EXTEND: Final = "extend_video"
CHARACTER: Final = "create_character"
BEGINNINGS: Final = (CREATE, REMIX, EDIT, EXTEND)
DEFAULT_MODEL: Final = "sora-2"
NONCE_LENGTH: Final = 22
PROMPT_LENGTH: Final = 32_000
PAGE, PAGE_MAX = 20, 100
_ID: Final = re.compile(r"(?:video|char)_[0-9a-f]{26}([0-9a-f]{22})")
_NESTED: Final = re.compile(r"(\w+)\[(\w+)\]")
_FILES: Final = ("input_reference", "video")
_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    CREATE: frozenset({"prompt", "model", "seconds", "size", "input_reference", "characters"}),
    REMIX: frozenset({"prompt"}),
    EDIT: frozenset({"prompt", "video"}),
    EXTEND: frozenset({"prompt", "video", "seconds"}),
    CHARACTER: frozenset({"name", "video"}),
}


class Source(NamedTuple):
    """The video that another one is made of."""

    id: str  # "": it was uploaded
    seconds: float
    width: int
    height: int
    image: bytes | None = None  # that it begins with


def beginning(request: Request, operation: str) -> Ask:
    """A request that begins a video. Raises Refused."""
    body = _body(request, operation)
    prompt: str = fields.required(body, "prompt", "", fields.string)
    if not prompt:
        raise refuse("Invalid 'prompt': empty string.", "prompt", "empty_string")
    if len(prompt) > PROMPT_LENGTH:
        said = f"Expected a string with maximum length {PROMPT_LENGTH}, but got one with length {len(prompt)} instead."
        raise refuse(f"Invalid 'prompt': string too long. {said}", "prompt", "string_above_max_length")
    image, shape = _reference(body.get("input_reference"))
    source, nonce = _source(body, operation, request)
    read = {
        "prompt": prompt,
        "seconds": body.get("seconds"),
        "size": body.get("size"),
        "image": image,
        "shape": shape,
        "source": source,
    }
    if operation == EXTEND and body.get("seconds") is None:
        raise fields.missing("seconds")
    turns = (Turn("user", prompt, images=int(shape is not None)),)
    model = "" if nonce else _model(request, body)
    return Ask(operation, model, turns, input_tokens=tokens.count(prompt), body=read, fresh=True, needs=nonce)


def character(request: Request) -> Ask:
    """A request for a character of a clip. Raises Refused."""
    body = _body(request, CHARACTER)
    name: str = fields.required(body, "name", "", fields.string)
    _uploaded(fields.required(body, "video", "", lambda *_: None))
    return Ask(CHARACTER, _model(request, body), (Turn("user", name),), body={"name": name}, fresh=True, keep=True)


def about(request: Request, operation: str) -> Ask:
    """A request about a video or a character. Raises Refused."""
    deployments.model(request, {})
    found = nonce(request.params["id"])
    variant = parse_qs(request.query).get("variant", ["video"])[0]
    fields.one_of("video", "thumbnail", "spritesheet")(variant, "variant")
    return Ask(operation, "", body={"id": request.params["id"], "variant": variant}, fresh=True, needs=found)


def listing(request: Request) -> Ask:
    """A request for a page of the list. Raises Refused."""
    deployments.model(request, {})
    query = parse_qs(request.query)
    limit, order = query.get("limit", [str(PAGE)])[0], query.get("order", ["desc"])[0]
    fields.one_of("asc", "desc")(order, "order")
    if not re.fullmatch(r"[0-9]{1,9}", limit):
        raise refuse(
            "Invalid type for 'limit': expected an integer, but got a string instead.", "limit", "invalid_type"
        )
    fields.integer(1, PAGE_MAX)(int(limit), "limit")
    body = {"limit": int(limit), "order": order, "after": query.get("after", [""])[0]}
    return Ask("list_videos", "", body=body, fresh=True)


def nonce(name: object) -> str:
    """The nonce in the id of a video or a character. Raises Refused."""
    found = _ID.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise Refused(Problem("not_kept"))
    return found[1]


def _model(request: Request, body: Mapping[str, Any]) -> str:
    model = deployments.model(request, body)
    if model is None:
        return DEFAULT_MODEL
    fields.string(model, "model")
    return str(model) or DEFAULT_MODEL


def _body(request: Request, operation: str) -> dict[str, Any]:
    kind = request.headers.get("content-type", "")
    body = _form(request, kind) if kind.startswith("multipart/") else parsed(request.body)
    for name in body:
        if name not in _TAKEN[operation]:
            raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return body


def _form(request: Request, kind: str) -> dict[str, Any]:
    """The body of a form: files as they are, `video[id]` as an object. Raises Refused."""
    if len(request.body) > BODY_BYTES_MAX:
        raise Refused(Problem("too_large"))
    try:
        parts = forms.parts(kind, request.body)
    except ValueError as error:
        raise refuse(f"Could not parse multipart form: {error}") from None
    body: dict[str, Any] = {}
    for part in parts:
        nested = _NESTED.fullmatch(part.name)
        if nested is not None:
            inner = body.setdefault(nested[1], {})
            if isinstance(inner, dict):
                inner[nested[2]] = part.text
        else:
            body[part.name] = part if part.filename is not None and part.name in _FILES else part.text
    return body


def _reference(given: object) -> tuple[bytes | None, Picture | None]:
    """(the picture that a video begins with, what is known of it). Raises Refused."""
    where = "input_reference"
    if given is None:
        return None, None
    if isinstance(given, forms.Part):
        return _whole(given.data, where, given.content_type)
    if not isinstance(given, dict):
        raise fields.wrong_type(where, "a file", given)
    if given.get("file_id") is not None:
        fields.string(given["file_id"], f"{where}.file_id")
        return None, None
    url: str = fields.required(given, "image_url", where, fields.string)
    if not url.startswith("data:"):
        return None, None
    head, _, data = url.partition(",")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        said = f"Invalid '{where}.image_url'. Expected a base64-encoded data URL."
        raise refuse(said, where, "invalid_value") from None
    return _whole(raw, where, head[5:].partition(";")[0])


def _whole(data: bytes, where: str, kind: str) -> tuple[bytes, Picture]:
    """A picture that can be decoded. Raises Refused."""
    found = picture(data, where, kind)
    if not is_picture(data):
        raise refuse("Invalid image data.", where, "invalid_image_file")
    return data, found


def _source(body: Mapping[str, Any], operation: str, request: Request) -> tuple[Source | None, str]:
    """(the clip that was uploaded, the nonce of a video that is named). Raises Refused."""
    if operation == REMIX:
        return None, nonce(request.params["id"])
    if operation == CREATE:
        return None, ""
    given = fields.required(body, "video", "", lambda *_: None)
    if not isinstance(given, dict):
        return _uploaded(given), ""
    return None, nonce(fields.required(given, "id", "video", fields.string))


def _uploaded(given: object) -> Source:
    """A clip of the form. Raises Refused."""
    if not isinstance(given, forms.Part):
        raise fields.wrong_type("video", "a file", given)
    found = measured(given.data)
    if found is None:
        kind = given.content_type or "application/octet-stream"
        said = f"Invalid file 'video': unsupported mimetype ('{kind}'). Supported file formats are 'video/mp4'."
        raise refuse(said, "video", "unsupported_file_mimetype")
    return Source("", *found)
