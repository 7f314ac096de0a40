"""Messages of a Chat request, read and written.

Source: wire reference 1.1 and 9.5; openai-python, `types/chat/chat_completion_message_param.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from gateway.body import json_type
from gateway.errors import shown
from gateway.translation.chat.parts import (
    BETWEEN_TEXTS,
    Json,
    Piece,
    object_of,
    read_content,
    text_of,
    write_result,
    write_user,
)
from gateway.translation.chat.tools import name_of, valid_name
from gateway.translation.prompt import (
    CUSTOM_ARGUMENT,
    Content,
    Prompt,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Untranslatable,
    joined,
)

ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,40}")  # 40: OpenAI's limit
UNANSWERED: Final = "(no result)"


def read_messages(messages: list[Json], custom: frozenset[str]) -> tuple[tuple[str, ...], tuple[Turn, ...]]:
    """The instructions, wherever they stand, and the turns. `custom`: the tools that take free text."""
    instructions: list[str] = []
    turns: list[Turn] = []
    legacy = ""  # the id of the call that a `function` message answers
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        match message["role"]:
            case "system" | "developer":
                instructions += texts_of(read_content(message.get("content"), f"{where}.content"), where)
            case "user":
                turns.append(Turn("user", read_content(message.get("content"), f"{where}.content")))
            case "assistant":
                legacy = f"call_{number}"
                turns.append(Turn("assistant", (*read_assistant(message, where, legacy, custom),)))
            case "tool":
                ident = text_of(message.get("tool_call_id"), f"{where}.tool_call_id")
                turns.append(Turn("user", (read_result(message, where, ident),)))
            case "function":
                turns.append(Turn("user", (read_result(message, where, legacy),)))
            case role:
                raise Untranslatable(f"`{where}.role` is {shown(role)!r}, which has no counterpart.")
    return tuple(instructions), joined(turns)


def texts_of(pieces: Iterable[Piece], where: str) -> Iterator[str]:
    for piece in pieces:
        if not isinstance(piece, Text):
            raise Untranslatable(f"`{where}.content` holds more than text; instructions cannot.")
        yield piece.text


def read_assistant(message: Json, where: str, legacy: str, custom: frozenset[str]) -> Iterator[Content]:
    """What the assistant said, and the calls it made; its thoughts are left out. Raises Untranslatable."""
    if message.get("audio"):
        raise Untranslatable(f"`{where}.audio` is kept elsewhere and cannot be carried over.")
    yield from map(Text, texts_of(read_content(message.get("content"), f"{where}.content"), where))
    if refusal := text_of(message.get("refusal"), f"{where}.refusal"):
        yield Text(refusal)
    calls = message.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise Untranslatable(f"`{where}.tool_calls` is {json_type(calls)}; an array was due.")
    for number, call in enumerate(calls or ()):
        yield read_call(object_of(call, f"{where}.tool_calls[{number}]"), f"{where}.tool_calls[{number}]", custom)
    if message.get("function_call") is not None:
        function = object_of(message["function_call"], f"{where}.function_call")
        yield called(legacy, function, f"{where}.function_call", custom)


def read_call(call: Mapping[str, Any], where: str, custom: frozenset[str]) -> ToolCall:
    """One entry of `tool_calls`. Raises Untranslatable."""
    ident = text_of(call.get("id"), f"{where}.id")
    if not ident:
        raise Untranslatable(f"`{where}.id` is missing.")
    if call.get("type") != "custom":
        return called(ident, object_of(call.get("function"), f"{where}.function"), f"{where}.function", custom)
    members = object_of(call.get("custom"), f"{where}.custom")
    name = name_of(members, f"{where}.custom")
    text = text_of(members.get("input"), f"{where}.custom.input")
    return ToolCall(ident, name, text if name in custom else wrapped(text))


def called(ident: str, function: Mapping[str, Any], where: str, custom: frozenset[str]) -> ToolCall:
    """A call of a function, its arguments an object's JSON; of a custom tool, its text. Raises Untranslatable."""
    name = name_of(function, where)
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        arguments = orjson.dumps(arguments).decode()
    text = text_of(arguments, f"{where}.arguments")
    value = parsed(text)
    if name in custom:
        inner = value.get(CUSTOM_ARGUMENT) if isinstance(value, dict) else None
        return ToolCall(ident, name, inner if isinstance(inner, str) else text)
    if not isinstance(value, dict):
        raise Untranslatable(f"`{where}.arguments` is not the JSON of an object.")
    return ToolCall(ident, name, text if text.strip() else "{}")


def parsed(text: str) -> Any:
    """What a JSON text says, an empty one an empty object; None where it is no JSON."""
    try:
        return orjson.loads(text) if text.strip() else {}
    except ValueError:
        return None


def wrapped(text: str) -> str:
    """The text that a custom tool takes, as arguments of a function."""
    return orjson.dumps({CUSTOM_ARGUMENT: text}).decode()


def read_result(message: Json, where: str, ident: str) -> ToolResult:
    """What a tool answered. Raises Untranslatable."""
    if not ident:
        raise Untranslatable(f"`{where}` answers no call.")
    found: list[Any] = list(read_content(message.get("content"), f"{where}.content"))
    return ToolResult(ident, tuple(found))


def write_messages(prompt: Prompt) -> list[Json]:
    """One system message, then the turns. Raises Untranslatable."""
    made: list[Json] = []
    if prompt.instructions:
        made.append({"role": "system", "content": BETWEEN_TEXTS.join(prompt.instructions)})
    custom = prompt.custom_tools()
    due: list[str] = []  # calls that wait for a result
    for turn in prompt.turns:
        if turn.role == "user":
            made += write_answers(turn, due)
            due = []
        else:
            made += unanswered(due)
            made.append(write_assistant(turn, custom))
            due = [piece.id for piece in turn.content if isinstance(piece, ToolCall)]
    return made + unanswered(due)


def write_answers(turn: Turn, due: list[str]) -> list[Json]:
    """A result for every call that waits for one, then what the user says; a result of no such call is said, too."""
    results = {piece.id: piece for piece in turn.content if isinstance(piece, ToolResult)}
    made: list[Json] = []
    for ident in due:
        text = write_result(results[ident].content) if ident in results else UNANSWERED
        made.append({"role": "tool", "tool_call_id": valid_id(ident), "content": text})
    said: list[Content] = []
    for piece in turn.content:
        if not isinstance(piece, ToolResult):
            said.append(piece)
        elif piece.id not in due:
            said += piece.content
    return [*made, {"role": "user", "content": write_user(said)}] if said else made


def unanswered(due: list[str]) -> list[Json]:
    """Results for calls that nobody answered: without them the history is refused."""
    return [{"role": "tool", "tool_call_id": valid_id(ident), "content": UNANSWERED} for ident in due]


def write_assistant(turn: Turn, custom: frozenset[str]) -> Json:
    text = "".join(piece.text for piece in turn.content if isinstance(piece, Text))
    calls = [write_call(piece, custom) for piece in turn.content if isinstance(piece, ToolCall)]
    if not calls:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": text or None, "tool_calls": calls}


def write_call(call: ToolCall, custom: frozenset[str]) -> Json:
    arguments = wrapped(call.arguments) if call.name in custom else call.arguments
    function = {"name": valid_name(call.name), "arguments": arguments}
    return {"id": valid_id(call.id), "type": "function", "function": function}


def valid_id(ident: str) -> str:
    """The id of a call, in the form of Chat; another one always becomes the same."""
    if ID.fullmatch(ident):
        return ident
    return f"call_{hashlib.sha256(ident.encode()).hexdigest()[:24]}"
