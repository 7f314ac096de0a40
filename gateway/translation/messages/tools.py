"""The tools of a Messages body, and whether one must be called: read and written.

Tools that Anthropic runs or whose schema its models know by heart (web_search, bash, computer…) are left out where they
are only offered. Source: wire reference, 6.1; the types of the official Python client.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

from gateway.translation.fields import due
from gateway.translation.messages.fields import member, optional, plain
from gateway.translation.prompt import CUSTOM_SCHEMA, Prompt, Tool, ToolChoice, Untranslatable

Json = dict[str, Any]
NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
MODES: Final[Mapping[str, Literal["auto", "none", "required"]]] = {"auto": "auto", "none": "none", "any": "required"}
WORDS: Final = {mode: word for word, mode in MODES.items()}


def read(fields: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The tools that the caller runs by a schema of its own. Raises Untranslatable."""
    made = []
    for at, tool in enumerate(optional(fields, "tools", list) or []):
        where = f"tools[{at}]"
        if (optional(due(tool, dict, where), "type", str, where) or "custom") == "custom":
            made.append(_tool(tool, where))
    return tuple(made)


def _tool(tool: Mapping[str, Any], where: str) -> Tool:
    return Tool(
        name=member(tool, "name", str, where),
        description=optional(tool, "description", str, where) or "",
        schema=plain(member(tool, "input_schema", dict, where), f"{where}.input_schema"),
        strict=optional(tool, "strict", bool, where),
    )


def read_choice(fields: Mapping[str, Any], names: Collection[str]) -> tuple[ToolChoice | None, bool | None]:
    """Whether a tool must be called, and whether several may be at once. `names` are of those that were read.

    Raises Untranslatable.
    """
    choice = optional(fields, "tool_choice", dict)
    if choice is None:
        return None, None
    single = optional(choice, "disable_parallel_tool_use", bool, "tool_choice")
    parallel = None if single is None else not single
    kind = member(choice, "type", str, "tool_choice")
    if kind == "tool":
        name = member(choice, "name", str, "tool_choice")
        if name not in names:
            raise Untranslatable(f"`tool_choice` demands the tool {name!r}, which other providers do not have.")
        return ToolChoice("tool", name), parallel
    if kind not in MODES:
        raise Untranslatable(f"`tool_choice.type` is {kind!r}, which is not known.")
    if kind == "any" and not names:
        raise Untranslatable("`tool_choice` demands a call, and no tool is offered that other providers have.")
    return ToolChoice(MODES[kind]), parallel


def write(tools: Sequence[Tool]) -> list[Json]:
    """The tools. Raises Untranslatable."""
    return [_written(tool) for tool in tools]


def _written(tool: Tool) -> Json:
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None or tool.custom else {"strict": tool.strict}
    return {"name": called(tool.name), **described, "input_schema": _schema(tool), **strict}


def _schema(tool: Tool) -> Json:
    """The schema of the arguments, which Anthropic wants to say that they are an object."""
    if tool.custom:
        return dict(CUSTOM_SCHEMA)
    return {**(tool.schema or {"properties": {}}), "type": "object"}


def called(name: str) -> str:
    """The name of a tool, if Anthropic takes it; the answer could not call it by another. Raises Untranslatable."""
    if not NAME.fullmatch(name):
        raise Untranslatable(f"{name!r} is no name of a tool in this dialect: letters, digits, _ and - were due.")
    return name


def write_choice(prompt: Prompt, free: bool) -> Json | None:
    """`tool_choice`, if there is one to make. `free`: no call may be demanded. Raises Untranslatable."""
    choice = prompt.tool_choice or ToolChoice("auto")
    names = {tool.name for tool in prompt.tools}
    if choice.mode == "tool" and choice.name not in names:
        raise Untranslatable(f"The tool {choice.name!r} must be called, but is not offered.")
    if choice.mode == "required" and not names:
        raise Untranslatable("A tool must be called, but none is offered.")
    if not names:
        return None
    if choice.mode in ("required", "tool") and free:
        choice = ToolChoice("auto")
    single = {"disable_parallel_tool_use": True} if prompt.parallel_calls is False and choice.mode != "none" else {}
    if prompt.tool_choice is None and not single:
        return None
    if choice.mode == "tool":
        return {"type": "tool", "name": choice.name, **single}
    return {"type": WORDS[choice.mode], **single}
