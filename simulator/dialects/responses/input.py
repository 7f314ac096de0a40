"""Validation of the `input` of a Responses request: a text, or items.

Rules that span items: a tool's output needs its call and a call its output; a reasoning item with an id needs the item
that followed it. An `item_reference` stands for an item of an earlier response, which is not looked up: where there is
one, calls and outputs need not match.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from simulator.dialects.openai import fields
from simulator.dialects.openai.fields import Check
from simulator.dialects.openai.problems import refuse

Item = Mapping[str, Any]

ROLES: Final = ("assistant", "system", "developer", "user")
USER_PARTS: Final = ("input_text", "input_image", "input_file", "input_audio", "computer_screenshot", "summary_text")
ASSISTANT_PARTS: Final = ("output_text", "refusal")
CALLS: Final[Mapping[str, str]] = {  # call -> what answers it
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "computer_call": "computer_call_output",
    "local_shell_call": "local_shell_call_output",
    "shell_call": "shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
}
OUTPUTS: Final = frozenset(CALLS.values())
_PAIRED: Final = ("function_call", "custom_tool_call")
_FILE_MIME: Final = re.compile(r"data:((?:application|text|message)/[\w.+-]+)(?:;[^,]*)?;base64,")
_MIME: Final = re.compile(r"data:([^;,]*)")
_FILES: Final = "https://platform.openai.com/docs/assistants/tools/file-search#supported-files"


def check(value: Any, where: str) -> None:
    """The input by itself. Raises Refused."""
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise fields.wrong_type(where, "one of an array of objects or a string", value)
    for at, item in enumerate(value):
        path = f"{where}[{at}]"
        fields.dictionary(item, path)
        kind = item.get("type") or ("message" if "role" in item else None)
        if kind is None:
            raise fields.missing(f"{path}.type")
        fields.one_of(*KINDS)(kind, f"{path}.type")
        KINDS[kind](item, path)


def _message(item: Any, path: str) -> None:
    role = fields.required(item, "role", path, fields.one_of(*ROLES))
    content = item.get("content")
    where = f"{path}.content"
    if content is None:
        raise fields.missing(where)
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise fields.wrong_type(where, "one of an array of objects or a string", content)
    parts(content, where, ASSISTANT_PARTS if role == "assistant" else USER_PARTS)


def parts(content: Sequence[Any], where: str, kinds: tuple[str, ...]) -> None:
    """The parts of a message, or of what a tool gave. Raises Refused."""
    for at, part in enumerate(content):
        path = f"{where}[{at}]"
        fields.dictionary(part, path)
        kind = fields.required(part, "type", path, fields.string)
        fields.one_of(*kinds)(kind, path)
        if kind in ("input_text", "output_text", "summary_text"):
            _text(part, "text", path)
        elif kind == "refusal":
            _text(part, "refusal", path)
        elif kind == "input_image" and part.get("file_id") is None:
            fields.required(part, "image_url", path, fields.string)
        elif kind == "input_file":
            _file(part, path)


def _text(part: Item, name: str, path: str) -> None:
    if part.get(name) is None:
        raise fields.missing(f"{path}.{name}")
    fields.string(part[name], f"{path}.{name}")


def _file(part: Item, path: str) -> None:
    data = part.get("file_data")
    if data is None:
        if part.get("file_id") is None and part.get("file_url") is None:
            raise fields.missing(f"{path}.file_id")
        return
    where = f"{path}.file_data"
    fields.string(data, where)
    if _FILE_MIME.match(data):
        return
    mime = _MIME.match(data)
    came = f"but got unsupported MIME type '{mime[1]}'" if mime else "but got a value without the 'data:' prefix"
    due = "Expected a base64-encoded data URL with a valid file MIME type"
    example = "(e.g. 'data:text/plain;base64,SGVsbG8sIFdvcmxkIQ==')"
    said = f"Invalid file data: '{where}'. {due} {example}, {came}. Please see {_FILES} for supported file types."
    raise refuse(said, where, "invalid_value")


def _texts(*names: str) -> Check:
    """A check that these members are texts."""

    def check(item: Any, path: str) -> None:
        for name in names:
            _text(item, name, path)

    return check


def _output(item: Any, path: str) -> None:
    _text(item, "call_id", path)
    output = item.get("output")
    if output is None:
        raise fields.missing(f"{path}.output")
    if isinstance(output, list):
        parts(output, f"{path}.output", USER_PARTS)
    elif not isinstance(output, str):
        raise fields.wrong_type(f"{path}.output", "one of an array of objects or a string", output)


def _reasoning(item: Any, path: str) -> None:
    if item.get("summary") is None:
        raise fields.missing(f"{path}.summary")
    for name, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        value = item.get(name)
        if value is not None:
            fields.array(value, f"{path}.{name}")
        for at, part in enumerate(value or ()):
            where = f"{path}.{name}[{at}]"
            fields.dictionary(part, where)
            fields.required(part, "type", where, fields.one_of(kind))
            _text(part, "text", where)
    if item.get("encrypted_content") is not None:
        fields.string(item["encrypted_content"], f"{path}.encrypted_content")


def _other(item: Any, path: str) -> None:
    """An item that the fleet passes by."""


KINDS: Final[Mapping[str, Check]] = {
    "message": _message,
    "function_call": _texts("call_id", "name", "arguments"),
    "function_call_output": _output,
    "custom_tool_call": _texts("call_id", "name", "input"),
    "custom_tool_call_output": _output,
    "reasoning": _reasoning,
    "item_reference": _texts("id"),
    "compaction": _texts("encrypted_content"),
    "computer_call_output": _texts("call_id"),
    "local_shell_call_output": _texts("output"),
    "shell_call_output": _texts("call_id"),
    "apply_patch_call_output": _texts("call_id"),
    **dict.fromkeys(
        (
            "file_search_call",
            "web_search_call",
            "computer_call",
            "code_interpreter_call",
            "image_generation_call",
            "local_shell_call",
            "shell_call",
            "apply_patch_call",
            "mcp_list_tools",
            "mcp_approval_request",
            "mcp_approval_response",
            "mcp_call",
            "tool_search_call",
            "tool_search_output",
            "additional_tools",
            "configuration_update",
            "compaction_trigger",
            "program",
            "program_output",
        ),
        _other,
    ),
}


def items(value: Any) -> tuple[Item, ...]:
    """A valid input as items."""
    if isinstance(value, str):
        return ({"type": "message", "role": "user", "content": value},)
    return tuple(item if "type" in item else {"type": "message", **item} for item in value or ())


def check_pairs(found: Sequence[Item]) -> None:
    """That calls and outputs of the whole conversation match. Raises Refused."""
    if any(item["type"] == "item_reference" for item in found):
        return
    made = {kind: {item["call_id"] for item in found if item["type"] == kind} for kind in _PAIRED}
    given = {kind: {item["call_id"] for item in found if item["type"] == CALLS[kind]} for kind in _PAIRED}
    for item in found:
        for kind, word in zip(_PAIRED, ("function call", "custom tool call"), strict=True):
            if item["type"] == CALLS[kind] and item["call_id"] not in made[kind]:
                raise refuse(f"No tool call found for {word} output with call_id {item['call_id']}.", "input")
            if item["type"] == kind and item["call_id"] not in given[kind]:
                raise refuse(f"No tool output found for {word} {item['call_id']}.", "input")


def check_adjacent(found: Sequence[Item]) -> None:
    """That nothing stands between calls and their outputs, as some vendors demand. Raises Refused."""
    waiting: list[str] = []
    for item in found:
        if item["type"] in _PAIRED:
            waiting.append(item["call_id"])
        elif item["type"] in OUTPUTS:
            waiting = [call for call in waiting if call != item.get("call_id")]
        elif waiting:
            raise refuse(f"No tool output found for tool call {waiting[0]}.")


def check_reasoning(found: Sequence[Item]) -> None:
    """That reasoning with an id is followed by what it led to. Raises Refused."""
    for at, item in enumerate(found):
        if item["type"] != "reasoning" or not item.get("id"):
            continue
        after = found[at + 1] if at + 1 < len(found) else {"type": "message", "role": "user"}
        bare = after["type"] == "message" and not (after.get("role") == "assistant" and after.get("id"))
        if bare or after["type"] in OUTPUTS:
            said = f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."
            raise refuse(said, "input")
