"""The input of a Responses request: messages, calls and what they gave, read and written.

Source: wire reference 2.1; openai-python, `types/responses/response_input_item_param.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import shown
from gateway.translation.chat.messages import UNANSWERED, called, wrapped
from gateway.translation.chat.parts import Json, object_of, text_of
from gateway.translation.chat.tools import valid_name
from gateway.translation.prompt import Content, Prompt, Text, ToolCall, ToolResult, Turn, Untranslatable, joined
from gateway.translation.responses.parts import read_content, write_output, write_parts
from gateway.translation.responses.tools import ITEMS_WITH_TOOLS, full_name

CALL_ID_MAX: Final = 64  # letters
RUN_UPSTREAM: Final = (  # their results are in what the assistant said next
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "mcp_list_tools",
    "mcp_call",
    "tool_search_call",
)
LEFT_OUT: Final = frozenset({"reasoning", *RUN_UPSTREAM, *ITEMS_WITH_TOOLS})


def read_input(value: Any, custom: frozenset[str]) -> tuple[tuple[str, ...], tuple[Turn, ...]]:
    """The instructions among the items, and the turns. `custom`: tools that take free text. Raises Untranslatable."""
    if not isinstance(value, list):
        text = text_of(value, "input")
        return (), (Turn("user", (Text(text),)),) if text else ()
    instructions: list[str] = []
    turns: list[Turn] = []
    for number, item in enumerate(value):
        where = f"input[{number}]"
        if is_instruction(item):
            instructions += read_instruction(item, where)
        elif (turn := read_item(item, where, custom)) is not None:
            turns.append(turn)
    return tuple(instructions), tuple(map(results_first, joined(turns)))


def is_instruction(item: Json) -> bool:
    """Whether an item is a message of the system or the developer."""
    return item.get("type") in (None, "message") and item.get("role") in ("system", "developer")


def read_instruction(item: Json, where: str) -> list[str]:
    """The texts of such a message. Raises Untranslatable."""
    texts = []
    for piece in read_content(item.get("content"), f"{where}.content"):
        if not isinstance(piece, Text):
            raise Untranslatable(f"`{where}.content` holds more than text; instructions cannot.")
        texts.append(piece.text)
    return texts


def read_item(item: Json, where: str, custom: frozenset[str]) -> Turn | None:
    """What one side said or did; None for what other dialects can do without. Raises Untranslatable."""
    kind = text_of(item.get("type"), f"{where}.type") or ("message" if "role" in item else "")
    match kind:
        case "message":
            return read_message(item, where)
        case "function_call":
            return Turn("assistant", (read_call(item, where, custom),))
        case "custom_tool_call":
            name, text = full_name(item, where), text_of(item.get("input"), f"{where}.input")
            return Turn("assistant", (ToolCall(call_id(item, where), name, text if name in custom else wrapped(text)),))
        case "function_call_output" | "custom_tool_call_output":
            found: list[Any] = list(read_content(item.get("output"), f"{where}.output"))
            return Turn("user", (ToolResult(call_id(item, where), tuple(found)),))
        case _ if kind in LEFT_OUT:
            return None
        case _:
            raise Untranslatable(f"`{where}` is of the type {shown(kind)!r}, which has no counterpart.")


def read_message(item: Json, where: str) -> Turn:
    """A message of the user or the assistant. Raises Untranslatable."""
    content = read_content(item.get("content"), f"{where}.content")
    match item.get("role"):
        case "user":
            return Turn("user", content)
        case "assistant":
            return Turn("assistant", content)
        case role:
            raise Untranslatable(f"`{where}.role` is {shown(role)!r}, which has no counterpart.")


def read_call(item: Json, where: str, custom: frozenset[str]) -> ToolCall:
    """A call of a function. Raises Untranslatable."""
    return called(call_id(item, where), {**item, "name": full_name(item, where)}, where, custom)


def call_id(item: Mapping[str, Any], where: str) -> str:
    """The id by which a call and its result find each other. Raises Untranslatable."""
    ident = text_of(object_of(item, where).get("call_id"), f"{where}.call_id")
    if not ident:
        raise Untranslatable(f"`{where}.call_id` is missing.")
    return ident


def results_first(turn: Turn) -> Turn:
    """The turn with the results of tools before all else, as most dialects demand."""
    return Turn(turn.role, tuple(sorted(turn.content, key=lambda piece: not isinstance(piece, ToolResult))))


def write_input(prompt: Prompt) -> list[Json]:
    """The items: further instructions, then the turns. Raises Untranslatable."""
    made = [message("developer", text) for text in prompt.instructions[1:]]
    custom = prompt.custom_tools()
    due: list[ToolCall] = []  # calls that wait for a result
    for turn in prompt.turns:
        if turn.role == "user":
            made += write_user(turn, due, custom)
            due = []
        else:
            made += unanswered(due, custom)
            due = [piece for piece in turn.content if isinstance(piece, ToolCall)]
            made += write_assistant(turn)
            made += [write_call(call, custom) for call in due]
    return made + unanswered(due, custom)


def message(role: str, content: str | list[Json]) -> Json:
    return {"type": "message", "role": role, "content": content}


def write_user(turn: Turn, due: list[ToolCall], custom: frozenset[str]) -> list[Json]:
    """A result for every call that waits for one, then what the user says; a result of no such call is said, too."""
    results = {piece.id: piece for piece in turn.content if isinstance(piece, ToolResult)}
    answers = [result_item(call, write_output(results[call.id].content), custom) for call in due if call.id in results]
    missing = [call for call in due if call.id not in results]
    waited_for = {call.id for call in due}
    said: list[Content] = []
    for piece in turn.content:
        if not isinstance(piece, ToolResult):
            said.append(piece)
        elif piece.id not in waited_for:
            said += piece.content
    made = answers + unanswered(missing, custom)
    return [*made, message("user", write_parts(said))] if said else made


def unanswered(calls: list[ToolCall], custom: frozenset[str]) -> list[Json]:
    """What stands for results that the history does not have: a call without any is refused."""
    return [result_item(call, UNANSWERED, custom) for call in calls]


def result_item(call: ToolCall, output: str | list[Json], custom: frozenset[str]) -> Json:
    kind = "custom_tool_call_output" if call.name in custom else "function_call_output"
    return {"type": kind, "call_id": valid_id(call.id), "output": output}


def write_assistant(turn: Turn) -> list[Json]:
    """What the assistant said, as text: parts of its messages would need their ids. Its calls come after that, because
    nothing may stand between them and their results.
    """
    said = [piece for piece in turn.content if not isinstance(piece, ToolCall)]
    if not all(isinstance(piece, Text) for piece in said):
        raise Untranslatable("Responses has no room for pictures, files and speech of the assistant.")
    return [message("assistant", piece.text) for piece in said if isinstance(piece, Text)]


def write_call(call: ToolCall, custom: frozenset[str]) -> Json:
    named = {"call_id": valid_id(call.id), "name": valid_name(call.name)}
    if call.name in custom:
        return {"type": "custom_tool_call", **named, "input": call.arguments}
    return {"type": "function_call", **named, "arguments": call.arguments}


def valid_id(ident: str) -> str:
    """The id of a call, as long as it may be; always the same for the same id."""
    return ident if len(ident) <= CALL_ID_MAX else f"call_{hashlib.sha256(ident.encode()).hexdigest()[:32]}"
