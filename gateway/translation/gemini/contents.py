"""Gemini's `contents` as turns.

Calls and responses belong together by their ids where they have some, else by name and order. Thoughts and what
Google's own tools did are passed over. Source: wire reference, 7.1 and 7.5.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.errors import shown
from gateway.translation.fields import json_text
from gateway.translation.gemini import fields
from gateway.translation.prompt import (
    Content,
    File,
    Image,
    Role,
    Sound,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Untranslatable,
    joined,
)

ROLES: Final[Mapping[str, Role]] = {"": "user", "user": "user", "function": "user", "model": "assistant"}
HOSTED: Final = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
STANDARD: Final = str.maketrans("-_", "+/")  # Google takes base64 of URLs as well, others do not
SOUNDS: Final[Mapping[str, str]] = {"audio/mp3": "audio/mpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav"}
KEPT_AT: Final = "generativelanguage.googleapis.com"  # files that were uploaded to Google
RESULTS: Final = ("result", "output")


def turns(contents: Any) -> tuple[Turn, ...]:
    """What the contents say. Raises Untranslatable."""
    calls = Calls()
    made: list[Turn] = []
    for where, content in fields.messages(contents, "contents"):
        role = fields.text(content, "role", where)
        if role not in ROLES:
            raise Untranslatable(f"`{where}.role` is {shown(role)!r}; user or model was due")
        parts = fields.messages(content.get("parts"), f"{where}.parts")
        said = tuple(item for place, part in parts for item in read_part(part, place, calls))
        check_side(said, ROLES[role], where)
        made.append(Turn(ROLES[role], said))
    return joined(made)


def check_side(said: tuple[Content, ...], role: Role, where: str) -> None:
    """The model calls, and the user's side answers. Raises Untranslatable."""
    if role == "user" and any(isinstance(item, ToolCall) for item in said):
        raise Untranslatable(f"`{where}` is the user's and has a functionCall")
    if role == "assistant" and any(isinstance(item, ToolResult) for item in said):
        raise Untranslatable(f"`{where}` is the model's and has a functionResponse")


def read_part(part: dict[str, Any], where: str, calls: Calls) -> Iterator[Content]:
    """What one part says; nothing for thoughts and for Google's own tools. Raises Untranslatable."""
    if part.get("thought") is True or any(name in part for name in HOSTED):
        return
    if "text" in part:
        if text := fields.text(part, "text", where):
            yield Text(text)
    elif "inlineData" in part:
        yield inline(fields.message(part["inlineData"], f"{where}.inlineData"), f"{where}.inlineData")
    elif "fileData" in part:
        yield linked(fields.message(part["fileData"], f"{where}.fileData"), f"{where}.fileData")
    elif "functionCall" in part:
        place = f"{where}.functionCall"
        yield calls.called(fields.message(part["functionCall"], place), place)
    elif "functionResponse" in part:
        place = f"{where}.functionResponse"
        yield calls.answered(fields.message(part["functionResponse"], place), place)
    elif part.keys() - {"thought", "thoughtSignature"}:
        raise Untranslatable(f"`{where}` is of a kind that cannot be translated: {shown(', '.join(sorted(part)))}")


def inline(blob: Mapping[str, Any], where: str) -> Image | File | Sound:
    """Data that stand in the request."""
    kind, data = fields.text(blob, "mimeType", where), fields.text(blob, "data", where)
    if not kind or not data:
        raise Untranslatable(f"`{where}` lacks its mimeType or its data")
    data = data.translate(STANDARD)
    data += "=" * (-len(data) % 4)
    family = kind.partition("/")[0]
    if family == "video":
        raise Untranslatable(f"`{where}` is a video")
    if family == "image":
        return Image(kind, data)
    if family == "audio":
        return Sound(SOUNDS.get(kind, kind), data)
    return File(kind, data, name=fields.text(blob, "displayName", where))


def linked(file: Mapping[str, Any], where: str) -> Image | File:
    """Data that stand elsewhere, where anybody can read them. Raises Untranslatable for what only Google can."""
    url = fields.text(file, "fileUri", where)
    place = address(url)
    if place is None:
        raise Untranslatable(f"`{where}.fileUri` is no address that other providers could read")
    kind = fields.text(file, "mimeType", where) or mimetypes.guess_type(place)[0] or ""
    family = kind.partition("/")[0]
    if family == "image":
        return Image(kind, url=url)
    if family in ("", "audio", "video"):
        raise Untranslatable(f"`{where}` is {f'a file of type {shown(kind)}' if kind else 'a file of unknown type'}")
    return File(kind, url=url, name=fields.text(file, "displayName", where))


def address(url: str) -> str | None:
    """The path of a public URL; None for any other."""
    try:
        split = urlsplit(url)
        host = split.hostname
    except ValueError:
        return None
    return split.path if split.scheme in ("http", "https") and host and host != KEPT_AT else None


class Calls:
    """The calls of a history, and which of them are not answered yet."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._open: list[tuple[str, ToolCall]] = []  # the id that Google's wire had, and the call
        self._number = 0

    def called(self, call: Mapping[str, Any], where: str) -> ToolCall:
        """A call; one without an id, or with one that was there before, gets one."""
        ident, name = fields.text(call, "id", where), fields.text(call, "name", where)
        if not name:
            raise Untranslatable(f"`{where}` has no name")
        args = fields.struct(call.get("args"), f"{where}.args")
        made = ToolCall(self._free(ident), name, json_text(args, f"{where}.args"))
        self._open.append((ident, made))
        return made

    def answered(self, response: Mapping[str, Any], where: str) -> ToolResult:
        """The result of a call."""
        ident, name = fields.text(response, "id", where), fields.text(response, "name", where)
        place = self._place(ident, name)
        if place is None:
            raise Untranslatable(f"`{where}` answers no functionCall before it")
        content, failed = read_response(response, where)
        return ToolResult(self._open.pop(place)[1].id, content, failed)

    def _place(self, ident: str, name: str) -> int | None:
        """Where among the open calls the one stands that a response answers."""
        calls = list(enumerate(self._open))
        if ident and (same := [at for at, (told, _) in calls if told == ident]):
            return same[0]
        named = [at for at, (told, call) in calls if call.name == name and not (told and ident)]
        return named[0] if named else None

    def _free(self, ident: str) -> str:
        while not ident or ident in self._used:
            ident = f"call_{self._number}"
            self._number += 1
        self._used.add(ident)
        return ident


def read_response(response: Mapping[str, Any], where: str) -> tuple[tuple[Text | Image | File, ...], bool]:
    """(What a tool answered, whether it failed). `result`, `output` or `error` alone are unwrapped."""
    answer = fields.struct(response.get("response"), f"{where}.response")
    failed, value = False, answer
    if len(answer) == 1:
        [(name, inner)] = answer.items()
        failed = name == "error" and inner is not None
        value = inner if failed or name in RESULTS else answer
    text = value if isinstance(value, str) else json_text(value, f"{where}.response") if answer else ""
    made: list[Text | Image | File] = [Text(text)] if text else []
    for place, part in fields.messages(response.get("parts"), f"{where}.parts"):
        made.append(read_media(part, place))
    return tuple(made), failed


def read_media(part: Mapping[str, Any], where: str) -> Image | File:
    """A picture or document in a response."""
    if "fileData" in part:
        return linked(fields.message(part["fileData"], f"{where}.fileData"), f"{where}.fileData")
    media = inline(fields.message(part.get("inlineData"), f"{where}.inlineData"), f"{where}.inlineData")
    if isinstance(media, Sound):
        raise Untranslatable(f"`{where}` is a sound")
    return media
