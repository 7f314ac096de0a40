"""Validation of a Messages request's fields, complaining as Anthropic does: the path, a colon, a sentence in pydantic's
words.

Only the shape is looked at here; what depends on the model is in `anthropic.rules`. Every function raises `Refused`
(400). Source: the public request schema (the official Python client's types, 2.12) and public issues for the
sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from simulator.dialects.anthropic.problems import refuse

REQUIRED: Final = "Field required"
EXTRA: Final = "Extra inputs are not permitted"
SAMPLING: Final = ("temperature", "top_p", "top_k")
VERSION_WITHOUT_SAMPLING: Final = "2026-10-21"
_SHARED = frozenset(
    [
        "model",
        "messages",
        "system",
        "thinking",
        "tools",
        "tool_choice",
        "cache_control",
        "output_config",
        "output_format",
        "context_management",
        "mcp_servers",
        "speed",
        "user_profile_id",
        "betas",
        "compaction",
        "thread",
    ]
)
GENERATE_FIELDS: Final = _SHARED | frozenset(
    [
        "max_tokens",
        "stream",
        "stop_sequences",
        "metadata",
        "service_tier",
        "inference_geo",
        "container",
        "diagnostics",
        "fallbacks",
        "fallback_credit_token",
        "billing_policy",
    ]
).union(SAMPLING)
COUNT_FIELDS: Final = _SHARED
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
THINKING_MIN_TOKENS: Final = 1024
MESSAGES_MAX: Final = 100_000

Check = Callable[[Any, str], None]


def dictionary(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise refuse(f"{where}: Input should be a valid dictionary")


def string(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise refuse(f"{where}: Input should be a valid string")


def boolean(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise refuse(f"{where}: Input should be a valid boolean")


def array(value: Any, where: str) -> None:
    if not isinstance(value, list):
        raise refuse(f"{where}: Input should be a valid list")


def integer(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refuse(f"{where}: Input should be a valid integer")


def at_least(low: int) -> Check:
    """A check that takes integers from `low` on."""

    def check(value: Any, where: str) -> None:
        integer(value, where)
        if value < low:
            raise refuse(f"{where}: Input should be greater than or equal to {low}")

    return check


def unit(value: Any, where: str) -> None:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refuse(f"{where}: Input should be a valid number")
    if not 0 <= value <= 1:
        raise refuse(f"{where}: range: 0..1")


def one_of(*words: str) -> Check:
    """A check that takes these words only."""
    quoted = [f"'{word}'" for word in words]
    due = quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" or {quoted[-1]}"

    def check(value: Any, where: str) -> None:
        if value not in words:
            raise refuse(f"{where}: Input should be {due}")

    return check


def required(value: Mapping[str, Any], name: str, where: str, check: Check) -> None:
    """The field is there and passes; an explicit null is not there for it."""
    path = f"{where}.{name}" if where else name
    if name not in value:
        raise refuse(f"{path}: {REQUIRED}")
    check(value[name], path)


def tagged(value: Any, where: str, tags: Collection[str]) -> str:
    """The `type` of a member of a union."""
    dictionary(value, where)
    if "type" not in value:
        raise refuse(f"{where}: Unable to extract tag using discriminator 'type'")
    tag = value["type"]
    if not isinstance(tag, str) or tag not in tags:
        due = ", ".join(f"'{t}'" for t in sorted(tags))
        raise refuse(f"{where}: Input tag '{tag}' found using 'type' does not match any of the expected tags: {due}")
    return tag


def stop_sequences(value: Any, where: str) -> None:
    array(value, where)
    for at, item in enumerate(value):
        string(item, f"{where}.{at}")
        if not item.strip():
            raise refuse(f"{where}: each stop sequence must contain non-whitespace")


def metadata(value: Any, where: str) -> None:
    dictionary(value, where)
    if value.get("user_id") is not None:
        string(value["user_id"], f"{where}.user_id")


def cache_control(value: Any, where: str) -> None:
    tagged(value, where, ("ephemeral",))
    if value.get("ttl") is not None:
        one_of("5m", "1h")(value["ttl"], f"{where}.ephemeral.ttl")


def thinking(value: Any, where: str) -> None:
    tag = tagged(value, where, ("adaptive", "between_tools", "disabled", "enabled"))
    if tag == "enabled":
        required(value, "budget_tokens", f"{where}.enabled", at_least(THINKING_MIN_TOKENS))
    if value.get("display") is not None:
        one_of("summarized", "omitted")(value["display"], f"{where}.{tag}.display")


def output_config(value: Any, where: str) -> None:
    dictionary(value, where)
    if value.get("effort") is not None:
        one_of("low", "medium", "high", "xhigh", "max")(value["effort"], f"{where}.effort")
    if value.get("format") is not None:
        output_format(value["format"], f"{where}.format")


def output_format(value: Any, where: str) -> None:
    tagged(value, where, ("json_schema",))
    required(value, "schema", where, dictionary)


def thread(value: Any, where: str) -> None:
    if tagged(value, where, ("create", "continue")) == "continue":
        required(value, "previous_message_id", f"{where}.continue", string)


def tool_choice(value: Any, where: str) -> None:
    tag = tagged(value, where, ("any", "auto", "none", "tool"))
    if tag == "tool":
        required(value, "name", f"{where}.tool", string)
    if value.get("disable_parallel_tool_use") is not None:
        boolean(value["disable_parallel_tool_use"], f"{where}.{tag}.disable_parallel_tool_use")


def tools(value: Any, where: str) -> None:
    array(value, where)
    names: set[str] = set()
    for at, tool in enumerate(value):
        path = f"{where}.{at}"
        dictionary(tool, path)
        kind = tool.get("type") or "custom"
        string(kind, f"{path}.type")
        if kind == "mcp_toolset":
            required(tool, "mcp_server_name", f"{path}.{kind}", string)
            continue
        if kind.endswith("_toolset") or "_toolset_" in kind:
            continue
        required(tool, "name", f"{path}.{kind}", string)
        if not _TOOL_NAME.fullmatch(tool["name"]):
            raise refuse(f"{path}.{kind}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if kind == "custom":
            required(tool, "input_schema", f"{path}.custom", dictionary)
            if tool["input_schema"].get("type") != "object":
                due = "Input should be 'object'" if "type" in tool["input_schema"] else REQUIRED
                raise refuse(f"{path}.custom.input_schema.type: {due}")
        if tool.get("description") is not None:
            string(tool["description"], f"{path}.{kind}.description")
        if tool.get("cache_control") is not None:
            cache_control(tool["cache_control"], f"{path}.{kind}.cache_control")
        if tool["name"] in names:
            raise refuse(f"{where}: Tool names must be unique.")
        names.add(tool["name"])


def nothing(value: Any, where: str) -> None:
    """A field that the fleet passes by."""


OPTIONAL: dict[str, Check] = {
    "stream": boolean,
    "stop_sequences": stop_sequences,
    "temperature": unit,
    "top_p": unit,
    "top_k": at_least(0),
    "thinking": thinking,
    "output_config": output_config,
    "output_format": output_format,
    "tools": tools,
    "tool_choice": tool_choice,
    "metadata": metadata,
    "service_tier": one_of("auto", "standard_only"),
    "cache_control": cache_control,
    "context_management": dictionary,
    "mcp_servers": array,
    "thread": thread,
}


def fields(body: Mapping[str, Any], allowed: Collection[str], version: str) -> None:
    """Every field of the body but `messages` and `system`, which `anthropic.content` reads."""
    required(body, "model", "", string)
    if "max_tokens" in allowed:
        required(body, "max_tokens", "", at_least(0))
    for name, value in body.items():
        if name not in allowed or (version == VERSION_WITHOUT_SAMPLING and name in SAMPLING):
            raise refuse(f"{name}: {EXTRA}")
        if value is not None:
            OPTIONAL.get(name, nothing)(value, name)
