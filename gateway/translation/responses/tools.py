"""Tools of a Responses request: flat functions, custom tools, namespaces of both; what may be called, and what must be.

A tool of a namespace is called by `NAMESPACE--NAME` where there are no namespaces.
Source: wire reference 2.1; openai-python, `types/responses/{namespace_tool,tool_choice_*}.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.errors import shown
from gateway.translation.chat.parts import Json, object_of, text_of
from gateway.translation.chat.tools import check_kind, chosen, name_of, read_function, read_mode, valid_name
from gateway.translation.fields import due
from gateway.translation.prompt import Prompt, Tool, ToolChoice, Untranslatable

BETWEEN_NAMES: Final = "--"  # of a namespace and its tool: in every dialect's alphabet, and in hardly any name
NO_MEMBERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
ITEMS_WITH_TOOLS: Final = ("additional_tools", "tool_search_output")


def full_name(members: Mapping[str, Any], where: str) -> str:
    """The name of a tool or of a call, with its namespace. Raises Untranslatable."""
    name = name_of(members, where)
    namespace = text_of(members.get("namespace"), f"{where}.namespace")
    return in_namespace(namespace, name, where) if namespace else name


def in_namespace(namespace: str, name: str, where: str) -> str:
    """One name for a tool of a namespace, from which `split_name` has both again. Raises Untranslatable."""
    full = f"{namespace}{BETWEEN_NAMES}{name}"
    if split_name(full) != (namespace, name):
        raise Untranslatable(f"`{where}` is in the namespace {shown(namespace)!r}, which has no counterpart.")
    return full


def split_name(full: str) -> tuple[str, str]:
    """(namespace, name) of a tool; no namespace is ""."""
    namespace, mark, name = full.partition(BETWEEN_NAMES)
    return (namespace, name) if mark and namespace and name else ("", full)


def read_tools(fields: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The callable tools of `tools` and of the items that bring some; of those of one name the first. Hosted ones are
    left out. Raises Untranslatable.
    """
    found = list(tools_of(fields.get("tools"), "tools"))
    items = fields.get("input")
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if item.get("type") in ITEMS_WITH_TOOLS:
            found += tools_of(item.get("tools"), f"input[{number}].tools")
    named: dict[str, Tool] = {}
    for tool in found:
        named.setdefault(tool.name, tool)
    return tuple(named.values())


def tools_of(offered: Any, where: str, namespace: str = "") -> Iterator[Tool]:
    """The functions and custom tools of a list, those of its namespaces among them. Raises Untranslatable."""
    if offered is None:
        return
    for number, tool in enumerate(due(offered, list, where)):
        place = f"{where}[{number}]"
        members = object_of(tool, place)
        match members.get("type"):
            case "namespace" if not namespace:
                yield from tools_of(members.get("tools"), f"{place}.tools", name_of(members, place))
            case "function" | "custom" as kind:
                yield read_tool({**members, "name": tool_name(members, place, namespace)}, place, kind)
            case None:
                raise Untranslatable(f"`{place}.type` is missing.")


def tool_name(members: Mapping[str, Any], where: str, namespace: str) -> str:
    """The name under which a tool is offered. Raises Untranslatable."""
    name = name_of(members, where)
    if namespace:
        return in_namespace(namespace, name, where)
    if split_name(name)[0]:
        raise Untranslatable(f"`{where}.name` has {BETWEEN_NAMES!r} in it, which stands for a namespace elsewhere.")
    return name


def read_tool(members: Mapping[str, Any], where: str, kind: str) -> Tool:
    """One tool. A grammar for a custom tool's text goes into the description: no other dialect can enforce it."""
    if kind == "function":
        return read_function(members, where)
    description = text_of(members.get("description"), f"{where}.description")
    form = members.get("format")
    if isinstance(form, dict) and form.get("type") == "grammar":
        syntax = text_of(form.get("syntax"), f"{where}.format.syntax")
        rules = text_of(form.get("definition"), f"{where}.format.definition")
        description = f"{description}\n\nThe text must follow this {syntax} grammar:\n{rules}".strip()
    return Tool(name_of(members, where), description, custom=True)


def read_choice(choice: Any, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """The tools that may be called, and whether one must be. Raises Untranslatable."""
    if choice is None:
        return tools, None
    if isinstance(choice, str):
        return tools, read_mode(choice, tools, "tool_choice")
    kind = object_of(choice, "tool_choice").get("type")
    if kind == "allowed_tools":
        return read_allowed(choice, tools)
    check_kind(kind)
    return tools, chosen(full_name(choice, "tool_choice"), tools)


def read_allowed(allowed: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """Of the tools, those that are allowed: one by one, or by their namespace. Raises Untranslatable."""
    listed = allowed.get("tools")
    if not isinstance(listed, list):
        raise Untranslatable("`tool_choice.tools` is no array.")
    names, namespaces = set(), set()
    for number, entry in enumerate(listed):
        where = f"tool_choice.tools[{number}]"
        match object_of(entry, where).get("type"):
            case "function" | "custom":
                names.add(full_name(entry, where))
            case "namespace":
                namespaces.add(name_of(entry, where))
    kept = tuple(tool for tool in tools if tool.name in names or split_name(tool.name)[0] in namespaces)
    mode = allowed.get("mode")
    return kept, read_mode("auto" if mode is None else mode, kept, "tool_choice.mode")


def write_tools(prompt: Prompt) -> Json:
    """The members about tools; none where none is offered. Raises Untranslatable."""
    if not prompt.tools:
        return {}
    made: Json = {"tools": [write_tool(tool) for tool in prompt.tools]}
    if prompt.tool_choice is not None:
        made["tool_choice"] = write_choice(prompt.tool_choice, prompt.custom_tools())
    if prompt.parallel_calls is not None:
        made["parallel_tool_calls"] = prompt.parallel_calls
    return made


def write_tool(tool: Tool) -> Json:
    """One tool. Where nothing is said of `strict` this wire is strict, and other schemas are not made for that."""
    described = {"description": tool.description} if tool.description else {}
    if tool.custom:
        return {"type": "custom", "name": valid_name(tool.name), **described}
    schema = NO_MEMBERS if tool.schema is None else tool.schema
    told = {"parameters": schema, "strict": tool.strict is True}
    return {"type": "function", "name": valid_name(tool.name), **described, **told}


def write_choice(choice: ToolChoice, custom: frozenset[str]) -> str | Json:
    """`tool_choice`. Raises Untranslatable."""
    if choice.mode != "tool":
        return choice.mode
    return {"type": "custom" if choice.name in custom else "function", "name": valid_name(choice.name)}
