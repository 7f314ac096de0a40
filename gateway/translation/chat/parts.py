"""Contents of Chat messages: texts, pictures, files and sounds, read and written.

Source: wire reference 1.1; openai-python, `types/chat/chat_completion_content_part_param.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.body import json_type
from gateway.errors import shown
from gateway.translation.fields import due
from gateway.translation.prompt import Content, File, Image, Sound, Text, Untranslatable

Json = dict[str, Any]
Piece = Text | Image | File | Sound

BETWEEN_TEXTS: Final = "\n\n"
SOUNDS: Final[Mapping[str, str]] = {"wav": "audio/wav", "mp3": "audio/mpeg"}  # format -> media type
FORMATS: Final[Mapping[str, str]] = {
    **{media_type: name for name, media_type in SOUNDS.items()},
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
}
DATA_URL: Final = re.compile(r"data:([\w.+/-]*)(?:;[\w.+=-]+)*;base64,(.*)", re.DOTALL | re.IGNORECASE)
PLAIN: Final = "text/"


def read_content(content: Any, where: str) -> tuple[Piece, ...]:
    """What `content` holds. Raises Untranslatable."""
    return pieces_of(content, where, read_part)


def pieces_of(content: Any, where: str, read: Callable[[Any, str], Piece | None]) -> tuple[Piece, ...]:
    """What a text, a list of parts, or nothing holds; `read` reads a part. Raises Untranslatable."""
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise Untranslatable(f"`{where}` is {json_type(content)}; a text or an array was due.")
    found = (read(part, f"{where}[{number}]") for number, part in enumerate(content))
    return tuple(piece for piece in found if piece is not None)


def read_part(part: Any, where: str) -> Piece | None:
    """One part; None for one that is empty or tells thoughts."""
    if isinstance(part, str):
        return Text(part) if part else None
    match due(part, dict, where).get("type"):
        case "text" | "refusal" as kind:
            text = text_of(part.get(kind), f"{where}.{kind}")
            return Text(text) if text else None
        case "image_url":
            return read_image(part.get("image_url"), f"{where}.image_url")
        case "file":
            return read_file(part.get("file"), f"{where}.file")
        case "input_audio":
            return read_sound(part.get("input_audio"), f"{where}.input_audio")
        case "thinking" | "redacted_thinking" | "reasoning":
            return None
        case kind:
            raise Untranslatable(f"`{where}` is of the type {shown(kind)!r}, which has no counterpart.")


def text_of(value: Any, where: str) -> str:
    """A text that may be null. Raises Untranslatable."""
    return "" if value is None else due(value, str, where)


def object_of(value: Any, where: str) -> Mapping[str, Any]:
    """An object. Raises Untranslatable."""
    return due(value, dict, where)


def read_image(value: Any, where: str) -> Image:
    members = {"url": value} if isinstance(value, str) else object_of(value, where)
    url = text_of(members.get("url"), f"{where}.url")
    detail = text_of(members.get("detail"), f"{where}.detail")
    if (inline := DATA_URL.fullmatch(url)) is not None:
        return Image(inline[1].lower() or "image/png", data_of(inline[2], f"{where}.url"), detail=detail)
    if not url.lower().startswith(("http://", "https://")):
        raise Untranslatable(f"`{where}.url` is neither a web address nor base64 data.")
    return Image(url=url, detail=detail)


def read_file(value: Any, where: str) -> File:
    members = object_of(value, where)
    data = text_of(members.get("file_data"), f"{where}.file_data")
    if not data:
        raise Untranslatable(f"`{where}` has no `file_data`; a file kept elsewhere cannot be carried over.")
    inline = DATA_URL.fullmatch(data)
    media_type, data = (inline[1].lower(), inline[2]) if inline else ("", data)
    name = text_of(members.get("filename"), f"{where}.filename")
    return File(media_type or "application/pdf", data_of(data, f"{where}.file_data"), name=name)


def read_sound(value: Any, where: str) -> Sound:
    members = object_of(value, where)
    name = text_of(members.get("format"), f"{where}.format")
    if name not in SOUNDS:
        raise Untranslatable(f"`{where}.format` is {shown(name)!r}; wav or mp3 was due.")
    return Sound(SOUNDS[name], data_of(text_of(members.get("data"), f"{where}.data"), f"{where}.data"))


def data_of(text: str, where: str) -> str:
    """Base64 that is not empty. Raises Untranslatable."""
    if not text:
        raise Untranslatable(f"`{where}` has no data.")
    return text


def write_user(content: Iterable[Content]) -> str | list[Json]:
    """The content of a user's message. Texts alone become one: many servers take no list."""
    pieces = tuple(content)
    texts = [piece.text for piece in pieces if isinstance(piece, Text)]
    if len(texts) == len(pieces):
        return BETWEEN_TEXTS.join(texts)
    return [write_part(piece) for piece in pieces]


def write_result(content: Sequence[Text | Image | File]) -> str:
    """The content of a tool's message: text alone. Raises Untranslatable."""
    return BETWEEN_TEXTS.join(result_text(piece) for piece in content)


def result_text(piece: Text | Image | File) -> str:
    if isinstance(piece, Text):
        return piece.text
    if isinstance(piece, File) and (text := plain_text(piece)):
        return text
    raise Untranslatable("Chat Completions has no room for pictures and files in the result of a tool.")


def write_part(piece: Content) -> Json:
    """One part of a user's message. Raises Untranslatable."""
    match piece:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(media_type, data, url, detail):
            shown_as = {"url": url or f"data:{media_type or 'image/png'};base64,{data}"}
            return {"type": "image_url", "image_url": {**shown_as, **({"detail": detail} if detail else {})}}
        case File():
            return write_file(piece)
        case Sound(media_type, data):
            if media_type not in FORMATS:
                raise Untranslatable(f"Chat Completions takes speech as wav or mp3, not as {shown(media_type)}.")
            return {"type": "input_audio", "input_audio": {"data": data, "format": FORMATS[media_type]}}
        case _:
            raise Untranslatable("Chat Completions has no room for calls and results in a user's message.")


def write_file(file: File) -> Json:
    if text := plain_text(file):
        return {"type": "text", "text": text}
    if not file.data:
        raise Untranslatable("Chat Completions takes documents as data, not by an address.")
    data = f"data:{file.media_type or 'application/pdf'};base64,{file.data}"
    return {"type": "file", "file": {"filename": file.name or "document.pdf", "file_data": data}}


def plain_text(file: File) -> str:
    """What a plain text file says; "" for any other."""
    if not file.media_type.startswith(PLAIN):
        return ""
    try:
        return base64.b64decode(file.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
