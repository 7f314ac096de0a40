"""What a worker gave: the files in it, and the form in which callers get them.

ComfyUI's workers (version 5, and the form before it) give pictures in base64 or as links. Any other handler gives what
it likes: files are found behind the usual names, and what holds none is kept as it is.
Source: wire reference, chapter on runpod/worker-comfyui; api-reference#comfyui-as-api, #gpu-models.
"""

from __future__ import annotations

import mimetypes
import re
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

FILES_MAX: Final = 64  # of one job
DEPTH_MAX: Final = 4
NAMES: Final = (  # under which handlers give files, in the order in which they are looked through
    *("images", "image", "videos", "video", "audios", "audio", "files", "file", "outputs", "output", "result", "urls"),
    *("url", "image_url", "image_urls", "video_url", "video_urls", "audio_url", "audio_urls", "data", "message"),
)
DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,", re.ASCII)
BASE64_LENGTH_MIN: Final = 64  # shorter texts are words
BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*", re.ASCII)
MAGIC: Final[tuple[tuple[int, bytes, str], ...]] = (  # (where, what, media type)
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
)
ENDS: Final[Mapping[str, tuple[bytes, int]]] = {  # media type -> what a whole file ends with, within so many bytes
    "image/png": (b"IEND\xaeB`\x82", 8),
    "image/jpeg": (b"\xff\xd9", 64),
}


class File(NamedTuple):
    """One file: a link, or its bytes."""

    url: str | None = None
    data: bytes | None = None
    mime: str = ""


def pictures(output: Any) -> list[File]:
    """The pictures of a ComfyUI worker; none where it saved none."""
    if not isinstance(output, dict):
        return []
    images = output.get("images")
    if isinstance(images, list):
        return [file for image in images[:FILES_MAX] if (file := picture(image)) is not None]
    one = picture(output.get("message"))
    return [] if one is None else [one]


def picture(value: Any) -> File | None:
    """One picture: `{"filename", "type", "data"}`, or base64 or a link alone."""
    if isinstance(value, dict):
        return as_file(value.get("data"), mime_of_name(value.get("filename")))
    return as_file(value, "image/png")


def warnings(output: Any) -> list[str]:
    """What a ComfyUI worker remarked beside its pictures."""
    errors = output.get("errors") if isinstance(output, dict) else None
    return [text for text in errors if isinstance(text, str)] if isinstance(errors, list) else []


def files(output: Any) -> list[File]:
    """The files in whatever a handler gave; its output as a JSON file where it holds none; none where it is empty."""
    found = list(found_in(output, 0))[:FILES_MAX]
    if found or output in (None, "", [], {}):
        return found
    return [File(data=orjson.dumps(output), mime="application/json")]


def found_in(value: Any, depth: int) -> Iterator[File]:
    """The files in a value, in the order in which they stand."""
    if depth > DEPTH_MAX:
        return
    if isinstance(value, str):
        if (file := as_file(value, "")) is not None:
            yield file
    elif isinstance(value, list):
        for each in value:
            yield from found_in(each, depth + 1)
    elif isinstance(value, dict):
        for name in NAMES:
            if name in value:
                yield from found_in(value[name], depth + 1)


def as_file(value: Any, mime: str) -> File | None:
    """A file of a link, a data URL or base64; None for any other text."""
    if not isinstance(value, str) or not value:
        return None
    if value.startswith(("https://", "http://")):
        return File(
            url=value, mime=mime or mime_of_name(urlsplit(value.split("#")[0]).path if "[" not in value else "")
        )
    match = DATA_URL.match(value[:200])
    if match is not None:
        data = decoded(value[match.end() :])
        return None if data is None else File(data=data, mime=match[1] or mime_of_bytes(data))
    if len(value) < BASE64_LENGTH_MIN and not mime:
        return None
    data = decoded(value) if BASE64.fullmatch(value) else None
    if data is None or (not mime and mime_of_bytes(data) == ""):
        return None
    return File(data=data, mime=mime_of_bytes(data) or mime)


def decoded(text: str) -> bytes | None:
    """The bytes of base64; None where it is none, or nothing."""
    try:
        return b64decode("".join(text.split()), validate=True) or None
    except (NoBase64, ValueError):
        return None


def mime_of_bytes(data: bytes) -> str:
    """The media type that a file begins like; "" for one that nobody knows."""
    return next((mime for at, magic, mime in MAGIC if data[at : at + len(magic)] == magic), "")


def mime_of_name(name: Any) -> str:
    """The media type of a file's name; "" where it tells none."""
    return (mimetypes.guess_type(name)[0] or "") if isinstance(name, str) else ""


def is_whole(data: bytes, mime: str) -> bool:
    """Whether a file ends as one of its kind does, where that can be said."""
    end, within = ENDS.get(mime_of_bytes(data) or mime, (b"", 0))
    return not end or end in data[-within:]


def data_url(file: File) -> str:
    """A file as callers of deployments get it: its bytes in the text, or its link."""
    if file.data is None:
        return file.url or ""
    return f"data:{file.mime or 'application/octet-stream'};base64,{b64encode(file.data).decode()}"
