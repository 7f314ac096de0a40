"""What a Messages caller says: the system prompt and the content blocks of each message, read.

Thoughts are passed over, and so are the calls and results of tools that Anthropic runs. Source: wire reference, 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gateway.translation.fields import due, json_text
from gateway.translation.messages.fields import member, optional
from gateway.translation.prompt import Content, File, Image, Role, Text, ToolCall, ToolResult, Turn, Untranslatable

Json = Mapping[str, Any]
ROLES: Final[Mapping[str, Role]] = {"user": "user", "assistant": "assistant"}
LEFT_OUT: Final = frozenset(
    [
        *("thinking", "redacted_thinking", "fallback", "tool_reference"),
        *("server_tool_use", "mcp_tool_use", "mcp_tool_result", "mcp_tool_listing", "advisor_tool_result"),
        *("web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result"),
        *("bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result"),
    ]
)


def system(value: Any, where: str) -> Iterator[str]:
    """The texts of a system prompt: one string, or text blocks."""
    if isinstance(value, str):
        yield from [value] if value else []
        return
    for number, block in enumerate(due(value, list, where)):
        path = f"{where}[{number}]"
        if (kind := member(due(block, dict, path), "type", str, path)) != "text":
            raise Untranslatable(f"`{path}` is a block of type {kind!r}; a text was due.")
        yield from (text.text for text in _text(block, path))


def conversation(messages: list[Json]) -> tuple[list[Turn], list[str]]:
    """The turns, one for each message, and the system texts that stand between them."""
    turns: list[Turn] = []
    instructions: list[str] = []
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        role = member(message, "role", str, path)
        if message.get("content") is None:
            raise Untranslatable(f"`{path}.content` is missing.")
        if role == "system":
            instructions += system(message["content"], f"{path}.content")
        elif role in ROLES:
            turns.append(Turn(ROLES[role], tuple(contents(message["content"], f"{path}.content", ROLES[role]))))
        else:
            raise Untranslatable(f"`{path}.role` is {role!r}; user or assistant was due.")
    return turns, instructions


def contents(value: Any, where: str, role: Role) -> Iterator[Content]:
    """What a message says: one string, or blocks."""
    for block, path in _blocks(value, where):
        kind = block["type"]
        if kind == "tool_use" and role == "assistant":
            yield _call(block, path)
        elif kind == "tool_result" and role == "user":
            yield _result(block, path)
        else:
            yield from _shown(block, path)


def _blocks(value: Any, where: str) -> Iterator[tuple[Json, str]]:
    if isinstance(value, str):
        yield {"type": "text", "text": value}, where
        return
    for number, block in enumerate(due(value, list, where)):
        path = f"{where}[{number}]"
        member(due(block, dict, path), "type", str, path)
        yield block, path


def _shown(block: Json, where: str) -> Iterator[Text | Image | File]:
    """What a block shows to the model."""
    if block["type"] in SHOWN:
        yield from SHOWN[block["type"]](block, where)
    elif block["type"] not in LEFT_OUT:
        raise Untranslatable(f"`{where}` is a block of type {block['type']!r}, which cannot stand here.")


def _text(block: Json, where: str) -> Iterator[Text]:
    if text := member(block, "text", str, where):
        yield Text(text)


def _image(block: Json, where: str) -> Iterator[Image]:
    source = member(block, "source", dict, where)
    where += ".source"
    match member(source, "type", str, where):
        case "base64":
            yield Image(member(source, "media_type", str, where), member(source, "data", str, where))
        case "url":
            yield Image(url=member(source, "url", str, where))
        case kind:
            raise _elsewhere(kind, where)


def _document(block: Json, where: str) -> Iterator[Text | Image | File]:
    """A document as a file; one that is text already, as that with its title and context before it."""
    source = member(block, "source", dict, where)
    title = optional(block, "title", str, where) or ""
    context = optional(block, "context", str, where) or ""
    where += ".source"
    kind = member(source, "type", str, where)
    heading = [title, context] if kind in ("text", "content") else [context]
    yield from (Text(text) for text in heading if text)
    match kind:
        case "base64":
            yield File(member(source, "media_type", str, where), member(source, "data", str, where), name=title)
        case "url":
            yield File(url=member(source, "url", str, where), name=title)
        case "text":
            yield from (Text(text) for text in [member(source, "data", str, where)] if text)
        case "content":
            for inner, path in _blocks(source.get("content"), f"{where}.content"):
                yield from _text_or_image(inner, path)
        case _:
            raise _elsewhere(kind, where)


def _text_or_image(block: Json, where: str) -> Iterator[Text | Image | File]:
    if block["type"] not in ("text", "image"):
        raise Untranslatable(f"`{where}` is a block of type {block['type']!r}; a text or an image was due.")
    return _shown(block, where)


def _elsewhere(kind: str, where: str) -> Untranslatable:
    kept = "is kept by another provider" if kind == "file" else "is not known"
    return Untranslatable(f"`{where}` is of type {kind!r}, which {kept}.")


def _search_result(block: Json, where: str) -> Iterator[Text]:
    title, source = (optional(block, name, str, where) or "" for name in ("title", "source"))
    yield from (Text(text) for text in (title, source) if text)
    for inner, path in _blocks(block.get("content"), f"{where}.content"):
        yield from _text(inner, path)


def _compaction(block: Json, where: str) -> Iterator[Text]:
    yield from (Text(text) for text in [optional(block, "content", str, where)] if text)


SHOWN: Final[Mapping[str, Callable[[Json, str], Iterator[Text | Image | File]]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "compaction": _compaction,
}


def _call(block: Json, where: str) -> ToolCall:
    arguments = json_text(member(block, "input", dict, where), f"{where}.input")
    return ToolCall(member(block, "id", str, where), member(block, "name", str, where), arguments)


def _result(block: Json, where: str) -> ToolResult:
    content = block.get("content")
    shown = _blocks("" if content is None else content, f"{where}.content")
    pieces = tuple(piece for inner, path in shown for piece in _shown(inner, path))
    failed = optional(block, "is_error", bool, where) or False
    return ToolResult(member(block, "tool_use_id", str, where), pieces, failed)
