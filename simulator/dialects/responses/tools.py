"""Tools of the Responses wire: flat, the caller's own and the provider's; how they are checked and echoed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from simulator.ask import Tool
from simulator.dialects.openai import fields
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import CUSTOM_SCHEMA
from simulator.dialects.responses import schema

OWN: Final = frozenset({"function", "custom"})
_PREVIEW: Final = "web_search_preview"
BUILT_IN: Final = (
    "file_search",
    _PREVIEW,
    "web_search_preview_2025_03_11",
    "web_search",
    "web_search_2025_08_26",
    "computer",
    "computer_use_preview",
    "mcp",
    "code_interpreter",
    "image_generation",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
    "namespace",
    "programmatic_tool_calling",
)
_OTHERS: Final = frozenset({"x_search", "code_execution", "collections_search"})  # of other vendors on this wire
_PLACE: Final = {"type": "approximate", "city": None, "country": "US", "region": None, "timezone": None}
_SEARCH: Final[Mapping[str, Any]] = {"search_context_size": "medium", "user_location": _PLACE}
_ECHOED: Final[Mapping[str, Mapping[str, Any]]] = {  # what the echo says where the request did not
    "function": {"description": None, "name": None, "parameters": None, "strict": True},
    "web_search": {"filters": None, "return_token_budget": "default", "search_content_types": ["text"], **_SEARCH},
    _PREVIEW: _SEARCH,
    "file_search": {
        "filters": None,
        "max_num_results": 20,
        "ranking_options": {"ranker": "auto", "score_threshold": 0.0},
    },
    "image_generation": {
        "background": "auto",
        "moderation": "auto",
        "n": 1,
        "output_compression": 100,
        "output_format": "png",
        "quality": "auto",
        "size": "auto",
    },
    "mcp": {"allowed_tools": None, "headers": None, "require_approval": "always", "server_description": None},
    "tool_search": {"description": None, "parameters": None},
}


def check(value: Any, where: str) -> None:
    """Every tool of a request. Raises Refused."""
    fields.array(value, where)
    for at, tool in enumerate(value):
        path = f"{where}[{at}]"
        fields.dictionary(tool, path)
        kind = fields.required(tool, "type", path, fields.string)
        if kind not in _OTHERS:
            fields.one_of("function", "custom", *BUILT_IN)(kind, f"{path}.type")
        if kind in OWN:
            fields.required(tool, "name", path, fields.function_name)
        if kind == "function":
            _function(tool, path)
        for name, test in _NEEDED.get(kind, {}).items():
            fields.required(tool, name, path, test)
        for name, test in _TYPED.items():
            if tool.get(name) is not None:
                test(tool[name], f"{path}.{name}")


def _function(tool: Mapping[str, Any], path: str) -> None:
    parameters = tool.get("parameters")
    if parameters is None:
        return
    where, of = f"{path}.parameters", f"function '{tool['name']}'"
    fields.dictionary(parameters, where)
    if parameters.get("type", "object") != "object":
        said = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{parameters['type']}\"'."
        raise refuse(f"Invalid schema for {of}: {said}", where, "invalid_function_parameters")
    if tool.get("strict") is True:
        schema.strict(parameters, of, where, "invalid_function_parameters")


def _container(value: Any, where: str) -> None:
    """An id, or an object that says which kind."""
    if not isinstance(value, str):
        fields.dictionary(value, where)
        fields.required(value, "type", where, fields.one_of("auto"))


_NEEDED: Final[Mapping[str, Mapping[str, Callable[[Any, str], object]]]] = {
    "file_search": {"vector_store_ids": fields.filled},
    "code_interpreter": {"container": _container},
    "mcp": {"server_label": fields.string},
    "namespace": {"name": fields.string, "tools": fields.filled},
}

_TYPED: Final[Mapping[str, Callable[[Any, str], object]]] = {
    "user_location": fields.dictionary,
    "partial_images": fields.integer(0, 3),
    "headers": fields.dictionary,
    "defer_loading": fields.boolean,
    "execution": fields.one_of("server", "client"),
    "size": fields.string,
    "quality": fields.string,
    "output_format": fields.one_of("png", "webp", "jpeg"),
}


def check_choice(value: Any, where: str) -> None:
    """The shape of `tool_choice`. Raises Refused."""
    if isinstance(value, str):
        fields.one_of("none", "auto", "required")(value, where)
        return
    if not isinstance(value, dict):
        raise fields.wrong_type(where, "one of a string or an object", value)
    kind = fields.required(value, "type", where, fields.one_of("function", "custom", "allowed_tools", *BUILT_IN))
    if kind in OWN:
        fields.required(value, "name", where, fields.string)
    if kind == "allowed_tools":
        fields.required(value, "tools", where, fields.filled)
        if value.get("mode") is not None:
            fields.one_of("auto", "required")(value["mode"], f"{where}.mode")


def check_together(body: Mapping[str, Any]) -> None:
    """That the chosen tool is among the tools. Raises Refused."""
    choice, tools = body.get("tool_choice"), body.get("tools") or []
    if choice in (None, "auto", "none"):
        return
    if not tools:
        raise refuse("Tool choice 'required' must be specified with 'tools' parameter.", "tool_choice")
    if not isinstance(choice, dict) or choice["type"] == "allowed_tools":
        return
    named = any(tool["type"] == choice["type"] and tool.get("name") == choice.get("name") for tool in tools)
    kinds = {tool["type"] for tool in tools}
    if not (named if choice["type"] in OWN else choice["type"] in kinds):
        raise refuse(f"Tool choice '{choice['type']}' not found in 'tools' parameter.", "tool_choice")


def offered(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The tools that the model may use."""
    choice = body.get("tool_choice")
    allowed = choice.get("tools") if isinstance(choice, dict) and choice["type"] == "allowed_tools" else None
    return tuple(_tool(tool) for tool in body.get("tools") or () if allowed is None or _is_allowed(tool, allowed))


def _is_allowed(tool: Mapping[str, Any], allowed: Sequence[Any]) -> bool:
    keys = ("type", "name", "server_label")
    wanted = [{key: one.get(key) for key in keys} for one in allowed if isinstance(one, dict)]
    return {key: tool.get(key) for key in keys} in wanted


def _tool(tool: Mapping[str, Any]) -> Tool:
    kind = tool["type"]
    if kind == "function":
        return Tool(tool["name"], tool.get("parameters") or {})
    return Tool(tool.get("name") or kind, CUSTOM_SCHEMA if kind == "custom" else {}, kind)


def choice_of(body: Mapping[str, Any]) -> str:
    """The choice as an `Ask` says it; one of the provider's own tools leaves none of the caller's."""
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        return choice
    if choice["type"] == "allowed_tools":
        return str(choice.get("mode") or "auto")
    return str(choice["name"]) if choice["type"] in OWN else "none"


def echoed(tool: Mapping[str, Any], defaults: bool, more: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as the response repeats it: its type, then the rest by name, with `more` for functions.

    Without `defaults` (other vendors) only what was sent.
    """
    kind = tool["type"]
    filled = {} if not defaults else dict(_ECHOED.get(kind, {})) | (dict(more) if kind == "function" else {})
    sent = {name: value for name, value in tool.items() if value is not None or name not in filled}
    whole = filled | sent
    if kind in ("web_search", _PREVIEW) and defaults and whole["user_location"] is not _PLACE:
        whole["user_location"] = _PLACE | {"country": None} | whole["user_location"]
    if kind == "mcp" and isinstance(whole.get("headers"), dict):
        whole["headers"] = dict.fromkeys(whole["headers"], "<redacted>")
    return {"type": kind} | {name: whole[name] for name in sorted(whole) if name != "type"}
