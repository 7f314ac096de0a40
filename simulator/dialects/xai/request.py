"""Requests for pictures and videos, JSON all of them: to an `Ask`, or to a complaint.

A field of another type is 422 with a parser's sentence, one that the API does not have (`size`) is 400 with the code
"400". Of inputs that come inline the size and length are read; an address is never downloaded. A video that this fleet
made is known by its link: `Ask.needs` is then the request that it came of.

Sources: xAI's documentation of the endpoints and public issues for the sentence about `size`; that wrong types and
words are 422 is reported, their sentences and all others are not confirmed.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Mapping
from typing import Any, Final

from PIL import Image

from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.openai.request import parsed
from simulator.media import clips
from simulator.media.captions import caption
from simulator.problem import Problem, Refused

VIDEOS: Final = "/xai-vidgen-bucket"
IMAGES: Final = "/xai-imgen"
VIDEO_MODEL: Final = "grok-imagine-video"
OPERATIONS: Final[Mapping[str, str]] = {  # -> the end of its path
    "create_image": "/images/generations",
    "edit_image": "/images/edits",
    "create_video": "/videos/generations",
    "edit_video": "/videos/edits",
    "extend_video": "/videos/extensions",
}
UNSUPPORTED: Final = ("size", "style")
INPUT_BYTES_MAX: Final = 10 << 20  # of a picture
FORMATS: Final = ("JPEG", "PNG", "WEBP")
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-(4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"
_ID = re.compile(_UUID)
_FILE = re.compile(rf"xai-video-{_UUID}\.mp4|xai-tmp-imgen-{_UUID}-[0-9a-f]{{8}}\.jpeg")
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "model": (str, "a string"),
    "prompt": (str, "a string"),
    "aspect_ratio": (str, "a string"),
    "resolution": (str, "a string"),
    "response_format": (str, "a string"),
    "quality": (str, "a string"),
    "user": (str, "a string"),
    "n": (int, "u32"),
    "duration": (int, "u32"),
    "generate_audio": (bool, "a boolean"),
    "image": (dict, "struct ImageUrl"),
    "video": (dict, "struct VideoUrl"),
    "images": (list, "a sequence"),
    "reference_images": (list, "a sequence"),
    "reference_audios": (list, "a sequence"),
}
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "create_image": ("prompt",),
    "edit_image": ("prompt",),
    "create_video": (),
    "edit_video": ("prompt", "video"),
    "extend_video": ("prompt", "video"),
}


def decode(request: Request, operation: str) -> Ask:
    """The request as an `Ask`. Raises Refused."""
    if operation in ("poll_video", "fetch_file"):
        return _about(request, operation)
    body = _body(request, operation)
    model = body.get("model") or (VIDEO_MODEL if operation.endswith("video") else "")
    if not model:
        raise unprocessable("missing field `model`")
    pictures = [_picture(url) for url in _urls(body)]
    source, needs = _source(body, request.site)
    prompt = body.get("prompt") or ""
    read = body | {"pictures": pictures, "source": source, "caption": caption(prompt)}
    return Ask(
        operation,
        model,
        (Turn("user", prompt, images=len(pictures)),),
        choices=body.get("n") or 1,
        input_tokens=tokens.count(prompt),
        body=read,
        keep=operation.endswith("image"),  # a job is kept by the desk
        fresh=operation.endswith("video"),
        needs=needs,
        site=request.site + request.path.removesuffix(OPERATIONS[operation]),
    )


def _about(request: Request, operation: str) -> Ask:
    """A request about an earlier one, by its id or by the name of a file that it made."""
    name = request.params["id" if operation == "poll_video" else "name"]
    found = (_ID if operation == "poll_video" else _FILE).fullmatch(name)
    if found is None:
        raise Refused(Problem("not_kept"))
    needs = next(group for group in found.groups() if group)
    return Ask(operation, model="", body={"name": name}, fresh=True, needs=needs)


def _body(request: Request, operation: str) -> dict[str, Any]:
    body = parsed(request.body)
    for name in UNSUPPORTED:
        if body.get(name) is not None:
            raise Refused(Problem("invalid_request", f"Argument not supported: {name}", name, "unsupported_argument"))
    for name, (kind, due) in _TYPES.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise unprocessable(f"{name}: invalid type, expected {due}")
    for name in _NEEDED[operation]:
        if not body.get(name):
            raise unprocessable(f"missing field `{name}`")
    if operation == "create_video" and not (body.get("prompt") or body.get("image")):
        raise bad("Either a prompt or an image must be provided.")
    if operation == "edit_image" and not (body.get("image") or body.get("images")):
        raise unprocessable("missing field `image`")
    return body


def unprocessable(said: str) -> Refused:
    """What the parser of bodies complains of."""
    return Refused(Problem("unprocessable", f"Failed to deserialize the JSON body into the target type: {said}"))


def bad(said: str, param: str | None = None) -> Refused:
    """A 400 with this sentence."""
    return Refused(Problem("invalid_request", said, param))


# --- inputs -----------------------------------------------------------------------------------------------------------


def _urls(body: Mapping[str, Any]) -> list[str]:
    """The addresses of all pictures that came with a request, in order."""
    rows = [("image", body["image"])] if body.get("image") else []
    for name in ("images", "reference_images"):
        rows += [(f"{name}[{at}]", row) for at, row in enumerate(body.get(name) or ())]
    return [_url(row, where) for where, row in rows]


def _url(row: Any, where: str) -> str:
    url = row.get("url") if isinstance(row, dict) else None
    if not isinstance(url, str) or not url:
        raise unprocessable(f"{where}: missing field `url`")
    return url


def inlined(url: str) -> bytes | None:
    """The file that an address holds itself; None for any other address. Raises Refused."""
    if not url.startswith("data:"):
        return None
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise bad("Failed to decode the base64 data of the input.") from None


def _picture(url: str) -> tuple[str, tuple[int, int] | None]:
    """An address and the size of the picture, where it is told by the address itself. Raises Refused."""
    data = inlined(url)
    if data is None:
        return url, None
    if len(data) > INPUT_BYTES_MAX:
        raise bad(f"The input image is larger than {INPUT_BYTES_MAX >> 20} MiB.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            return url, image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise bad("The input is not an image of a supported format.") from None


def _source(body: Mapping[str, Any], site: str) -> tuple[dict[str, Any], str]:
    """What is known of the input video, and the nonce of the request that made it, if this fleet did."""
    if not body.get("video"):
        return {}, ""
    url = _url(body["video"], "video")
    name = url.rpartition("/")[2]
    found = _FILE.fullmatch(name) if url.startswith(site) and VIDEOS in url else None
    if found is not None and found[1]:
        return {"url": url, "name": name}, found[1]
    data = inlined(url)
    if data is None:
        return {"url": url}, ""
    try:
        facts = clips.probe(data)
    except ValueError:
        raise bad("The input is not a video of a supported format.") from None
    if facts.seconds <= 0 or not facts.frames:
        raise bad("The input video is empty.")
    return {"seconds": facts.seconds, "size": (facts.width, facts.height)}, ""
