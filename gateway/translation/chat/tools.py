"""Tools of a Chat request: what may be called, and what must be.

Source: wire reference 1.1; openai-python, `types/chat/chat_completion_tool_choice_option_param.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.errors import shown
from gateway.translation.chat.parts import Json, object_of, text_of
from gateway.translation.fields import due
from gateway.translation.prompt import CUSTOM_SCHEMA, Prompt, Tool, ToolChoice, Untranslatable

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
MODES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}
LEGACY: Final = "`functions` asks for an answer with `function_call`, which only Chat Completions itself can give."


def read_tools(fields: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The functions and custom tools; those that the upstream runs itself are left out. Raises Untranslatable."""
    if fields.get("functions") and fields.get("function_call") != "none":
        raise Untranslatable(LEGACY)
    offered = fields.get("tools")
    if offered is None:
        return ()
    found = (read_tool(tool, f"tools[{number}]") for number, tool in enumerate(due(offered, list, "tools")))
    return tuple(tool for tool in found if tool is not None)


def read_tool(tool: Any, where: str) -> Tool | None:
    """One tool; None for a hosted one."""
    members = object_of(tool, where)
    match members.get("type"):
        case "function" | None:
            return read_function(object_of(members.get("function"), f"{where}.function"), f"{where}.function")
        case "custom":
            return read_custom(object_of(members.get("custom"), f"{where}.custom"), f"{where}.custom")
        case _:
            return None


def read_function(function: Mapping[str, Any], where: str) -> Tool:
    strict = function.get("strict")
    schema = function.get("parameters")
    if schema is not None:
        object_of(schema, f"{where}.parameters")
    return Tool(
        name_of(function, where),
        text_of(function.get("description"), f"{where}.description"),
        schema,
        strict if isinstance(strict, bool) else None,
    )


def read_custom(custom: Mapping[str, Any], where: str) -> Tool:
    """A custom tool. A grammar for its text goes into the description: no other dialect can enforce it."""
    description = text_of(custom.get("description"), f"{where}.description")
    form = custom.get("format")
    grammar = form.get("grammar") if isinstance(form, dict) else None
    if isinstance(grammar, dict):
        rules = text_of(grammar.get("definition"), f"{where}.format.grammar.definition")
        description = f"{description}\n\nThe text must follow this {grammar.get('syntax')} grammar:\n{rules}".strip()
    return Tool(name_of(custom, where), description, custom=True)


def name_of(members: Mapping[str, Any], where: str) -> str:
    """A name that is not empty. Raises Untranslatable."""
    name = text_of(members.get("name"), f"{where}.name")
    if not name:
        raise Untranslatable(f"`{where}.name` is missing.")
    return name


def read_choice(choice: Any, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """The tools that may be called, and whether one must be. Raises Untranslatable."""
    if choice is None:
        return tools, None
    if isinstance(choice, str):
        return tools, read_mode(choice, tools, "tool_choice")
    kind = object_of(choice, "tool_choice").get("type")
    if kind == "allowed_tools":
        return read_allowed(object_of(choice.get(kind), f"tool_choice.{kind}"), tools)
    check_kind(kind)
    name = name_of(object_of(choice.get(kind), f"tool_choice.{kind}"), f"tool_choice.{kind}")
    return tools, chosen(name, tools)


def check_kind(kind: Any) -> None:
    """Raises Untranslatable for a forced tool that is the upstream's own."""
    if kind not in ("function", "custom"):
        raise Untranslatable(f"`tool_choice` asks for {shown(kind)!r}, which only the upstream itself can run.")


def chosen(name: str, tools: tuple[Tool, ...]) -> ToolChoice:
    """The choice of one tool, which must be among those offered. Raises Untranslatable."""
    if all(tool.name != name for tool in tools):
        raise Untranslatable(f"`tool_choice` asks for {shown(name)!r}, which is not among `tools`.")
    return ToolChoice("tool", name)


def read_mode(value: Any, tools: tuple[Tool, ...], where: str) -> ToolChoice | None:
    """auto, none or required; None where there is nothing to choose from."""
    match MODES.get(value) if isinstance(value, str) else None:
        case "required" if not tools:
            raise Untranslatable(f"`{where}` demands a call, but `tools` has no function.")
        case "auto" | "none" | "required" as mode:
            return ToolChoice(mode) if tools else None
        case _:
            raise Untranslatable(f"`{where}` is none of auto, none and required.")


def read_allowed(allowed: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """Of the tools, those that are allowed."""
    listed = allowed.get("tools")
    if not isinstance(listed, list):
        raise Untranslatable("`tool_choice.allowed_tools.tools` is no array.")
    names = {name for entry in listed if (name := allowed_name(entry))}
    kept = tuple(tool for tool in tools if tool.name in names)
    return kept, read_mode(allowed.get("mode", "auto"), kept, "tool_choice.allowed_tools.mode")


def allowed_name(entry: Any) -> str | None:
    """The name of a function or custom tool in a list of allowed ones."""
    inner = entry.get(entry.get("type")) if isinstance(entry, dict) and isinstance(entry.get("type"), str) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else None


def write_tools(prompt: Prompt) -> Json:
    """The members about tools; none where none is offered. Raises Untranslatable."""
    if not prompt.tools:
        return {}
    made: Json = {"tools": [write_tool(tool) for tool in prompt.tools]}
    if prompt.tool_choice is not None:
        made["tool_choice"] = write_choice(prompt.tool_choice)
    if prompt.parallel_calls is not None:
        made["parallel_tool_calls"] = prompt.parallel_calls
    return made


def write_tool(tool: Tool) -> Json:
    function: Json = {"name": valid_name(tool.name)}
    if tool.description:
        function["description"] = tool.description
    schema = CUSTOM_SCHEMA if tool.custom else tool.schema
    if schema is not None:
        function["parameters"] = schema
    if tool.strict is not None and not tool.custom:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def write_choice(choice: ToolChoice) -> str | Json:
    if choice.mode != "tool":
        return choice.mode
    return {"type": "function", "function": {"name": valid_name(choice.name)}}


def valid_name(name: str) -> str:
    """The name of a tool, in the alphabet of Chat. Raises Untranslatable."""
    if not NAME.fullmatch(name):
        raise Untranslatable(f"Chat Completions takes no tool of the name {shown(name)!r}.")
    return name


def names(tools: Iterable[Tool]) -> frozenset[str]:
    """The names of the custom ones."""
    return frozenset(tool.name for tool in tools if tool.custom)
