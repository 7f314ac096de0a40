"""Turns as Messages of content blocks. Source: wire reference, 6.1; the types of the official Python client."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable
from typing import Any, Final

import orjson

from gateway.translation.messages.fields import plain
from gateway.translation.messages.tools import called
from gateway.translation.prompt import (
    CUSTOM_ARGUMENT,
    Content,
    File,
    Image,
    Sound,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Untranslatable,
)

Json = dict[str, Any]
PICTURES: Final = {kind: kind for kind in ("image/jpeg", "image/png", "image/gif", "image/webp")} | {
    "image/jpg": "image/jpeg"
}
PDF: Final = "application/pdf"
LINKS: Final = ("https://", "http://")


def messages(turns: Iterable[Turn], custom: Collection[str]) -> list[Json]:
    """The turns; `custom` names the tools whose arguments are one free text. Raises Untranslatable."""
    return [
        {"role": turn.role, "content": [block(piece, turn.role == "user", custom) for piece in turn.content]}
        for turn in turns
    ]


def block(piece: Content, by_user: bool, custom: Collection[str]) -> Json:
    """One piece of a turn. Raises Untranslatable."""
    match piece:
        case Text(text):
            return {"type": "text", "text": text}
        case Image() | File() if not by_user:
            raise Untranslatable("A picture or a document of the assistant's own has no place in this dialect.")
        case Image():
            return _image(piece)
        case File():
            return _document(piece)
        case ToolCall(ident, name, arguments):
            values = {CUSTOM_ARGUMENT: arguments} if name in custom else _values(arguments)
            return {"type": "tool_use", "id": ident, "name": called(name), "input": values}
        case ToolResult():
            return _result(piece)
        case Sound():
            raise Untranslatable("Sound cannot be sent to a model of this dialect.")


def _values(arguments: str) -> Json:
    """Arguments as the object that Anthropic demands. Those that are none are shown to the model as they are."""
    try:
        values = orjson.loads(arguments) if arguments.strip() else {}
    except ValueError:
        values = None
    return plain(values, "arguments") if isinstance(values, dict) else {CUSTOM_ARGUMENT: arguments}


def _result(result: ToolResult) -> Json:
    made: Json = {"type": "tool_result", "tool_use_id": result.id}
    if result.content:
        made["content"] = [block(piece, True, ()) for piece in result.content]
    return made | ({"is_error": True} if result.failed else {})


def _image(image: Image) -> Json:
    if image.url:
        return {"type": "image", "source": {"type": "url", "url": _link(image.url)}}
    kind = PICTURES.get(image.media_type.lower())
    if kind is None:
        raise Untranslatable(f"A picture of type {image.media_type!r} cannot be sent to a model of this dialect.")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": image.data}}


def _document(file: File) -> Json:
    made: Json = {"type": "document", "source": _source(file)}
    return made | ({"title": file.name} if file.name else {})


def _source(file: File) -> Json:
    kind = file.media_type.lower()
    if file.url and kind in ("", PDF):
        return {"type": "url", "url": _link(file.url)}
    if file.data and kind == PDF:
        return {"type": "base64", "media_type": PDF, "data": file.data}
    if file.data and kind.startswith("text/"):
        try:
            return {
                "type": "text",
                "media_type": "text/plain",
                "data": base64.b64decode(file.data, validate=True).decode(),
            }
        except ValueError:
            raise Untranslatable(f"A document of type {kind!r} is not base64 of text in UTF-8.") from None
    raise Untranslatable(f"A document of type {file.media_type!r} cannot be sent to a model of this dialect.")


def _link(url: str) -> str:
    if not url.lower().startswith(LINKS):
        raise Untranslatable(f"{url[:80]!r} is no address that a model of this dialect can read.")
    return url
