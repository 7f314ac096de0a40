"""Reads a Chat Completions request: from bytes to an `Ask`, or to OpenAI's own complaint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from simulator.ask import NEVER_THINK, Ask, Request, Tool, Turn
from simulator.dialects.openai import deployments, fields
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.tokens import prompt_tokens
from simulator.problem import Problem, Refused

CUSTOM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
THINKING_TOKENS = 32_768  # that may be thought when no budget is told
BODY_BYTES_MAX = 32 << 20
DEPTH_MAX = 200  # more brackets than this may be nested deeper than 254 levels, which cannot be written
_ROLE = {"developer": "system", "function": "tool"}
_role = fields.one_of(*fields.ROLES)


def decode(request: Request, operation: str) -> Ask:
    """The request as an `Ask`. Raises Refused.

    Facts of the mount: those of `openai.deployments`; `ignores` (fields that are passed by when they are of no known
    form); `thinking` (see `_thinking`); `cache_step` and `cache_min` (see `openai.tokens`). A mount with a `form` of
    its own, unless it is `strict`, looks neither for the call of a tool's answer nor at the rules of strict schemas.
    """
    facts = request.facts
    body = parsed(request.body)
    if "query" in facts or "deployment" in facts:
        body["model"] = deployments.model(request, body)
    if body.get("model") in (None, ""):
        raise Refused(Problem("missing_model"))
    if body.get("messages") is None:
        raise fields.missing("messages")
    loose = "form" in facts and not facts.get("strict")
    body = _checked(body, facts.get("ignores", ()), fields.LOOSE if loose else fields.OPTIONAL)
    _messages(body["messages"], loose=loose)
    _together(body)
    return _ask(body, operation, facts)


def _checked(body: dict[str, Any], ignores: Sequence[str], checks: Mapping[str, fields.Check]) -> dict[str, Any]:
    """The body, every field of which has a known form; without those that are ignored when they have none.

    Tools of a type that only the provider knows are kept as `server_tools`.
    """
    passed: list[str] = []
    for name, value in body.items():
        if value is None or name not in checks:
            continue
        try:
            checks[name](value, name)
        except Refused:
            if name not in ignores:
                raise
            passed.append(name)
    if not passed:
        return body
    tools = body["tools"] if "tools" in passed and isinstance(body["tools"], list) else []
    kept = {name: value for name, value in body.items() if name not in passed}
    return kept | {"server_tools": [tool for tool in tools if isinstance(tool, dict)]}


def parsed(data: bytes) -> dict[str, Any]:
    """The body as an object that can be written again: neither too long nor too deep. Raises Refused."""
    if len(data) > BODY_BYTES_MAX:
        raise Refused(Problem("too_large"))
    try:
        body = orjson.loads(data or b"{}")
        if data.count(b"{") + data.count(b"[") > DEPTH_MAX:
            orjson.dumps([[body]])
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        raise Refused(Problem("bad_json")) from None
    if not isinstance(body, dict):
        raise Refused(Problem("bad_json"))
    return body


def _ask(body: Mapping[str, Any], operation: str, facts: Mapping[str, Any]) -> Ask:
    """What a valid body asks for."""
    input_tokens, cached_tokens = prompt_tokens(body, facts)
    stop = body.get("stop") or ()
    most = body.get("max_completion_tokens")
    return Ask(
        operation=operation,
        model=body["model"],
        turns=tuple(_turn(message) for message in body["messages"]),
        stream=bool(body.get("stream")),
        max_tokens=most if most is not None else body.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        choices=body.get("n") or 1,
        tools=_tools(body),
        tool_choice=_tool_choice(body),
        parallel_tools=body.get("parallel_tool_calls") is not False,
        schema=_schema(body.get("response_format")),
        thinking_tokens=_thinking(body, facts.get("thinking", ())),
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        body=body,
    )


def _thinking(body: Mapping[str, Any], ways: Sequence[str]) -> int:
    """Tokens that may be thought, by the ways in which a provider is asked: 0 when nothing is, NEVER_THINK when not to.

    `enable_thinking` (true or false, with `thinking_budget`), `thinking` ({type: enabled | disabled}), `reasoning`
    ({enabled} or {effort}), `reasoning_effort` (a word; "none": not to).
    """
    said: object = None
    for way in ways:
        match way, body.get(way):
            case _, None:
                continue
            case "enable_thinking", bool(said):
                pass
            case "thinking", {"type": "enabled" | "disabled" as word}:
                said = word == "enabled"
            case "reasoning", {"enabled": bool(said)}:
                pass
            case ("reasoning", {"effort": str(word)}) | ("reasoning_effort", str(word)):
                said = word != "none"
    if said is None:
        return 0
    budget = body.get("thinking_budget")
    return (budget if isinstance(budget, int) and budget > 0 else THINKING_TOKENS) if said else NEVER_THINK


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = []
    for tool in body.get("tools") or ():
        kind = tool["type"]
        inner = tool[kind]
        tools.append(Tool(inner["name"], CUSTOM_SCHEMA if kind == "custom" else inner.get("parameters") or {}, kind))
    allowed = _allowed(body.get("tool_choice"))
    return tuple(tool for tool in tools if allowed is None or tool.name in allowed)


def _allowed(choice: Any) -> frozenset[str] | None:
    """The names that an `allowed_tools` choice leaves, or None when it is none."""
    if not isinstance(choice, dict) or choice["type"] != "allowed_tools":
        return None
    tools = choice["allowed_tools"].get("tools") or []
    inner = [tool.get(str(tool.get("type"))) for tool in tools if isinstance(tool, dict)]
    return frozenset(str(tool.get("name")) for tool in inner if isinstance(tool, dict))


def _tool_choice(body: Mapping[str, Any]) -> str:
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        return choice
    if choice["type"] == "allowed_tools":
        return str(choice["allowed_tools"].get("mode", "auto"))
    return str(choice[choice["type"]]["name"])


def _schema(form: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if form is None or form["type"] == "text":
        return None
    return form["json_schema"].get("schema") or {} if form["type"] == "json_schema" else {}


def _turn(message: Mapping[str, Any]) -> Turn:
    content = message.get("content")
    parts: Sequence[Mapping[str, Any]] = content if isinstance(content, list) else []
    texts = [content] if isinstance(content, str) else [part["text"] for part in parts if part["type"] == "text"]
    role = message["role"]
    return Turn(
        role=_ROLE.get(role, role),
        text="\n".join(texts),
        tool_results=int(role in ("tool", "function")),
        images=sum(part["type"] == "image_url" for part in parts),
    )


def _messages(messages: Sequence[Any], *, loose: bool) -> None:
    """Every message by itself, and, unless `loose`, that tool messages answer the calls before them."""
    open_calls: list[str] = []
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        fields.dictionary(message, where)
        role = fields.required(message, "role", where, _role)
        if message.get("name") is not None:
            fields.string(message["name"], f"{where}.name")
        _content(message, role, where)
        if loose:
            if role == "assistant":
                _calls(message, where)
            continue
        if role == "tool":
            called = fields.required(message, "tool_call_id", where, fields.string)
            if at == 0 or messages[at - 1].get("role") not in ("assistant", "tool") or called not in open_calls:
                _orphan(called, bool(open_calls), at)
            open_calls.remove(called)
            continue
        if open_calls:
            _unanswered(open_calls, at)
        open_calls = _calls(message, where) if role == "assistant" else []
    if open_calls:
        _unanswered(open_calls, len(messages))


def _orphan(called: str, some_open: bool, at: int) -> None:
    where = f"messages.[{at}].role"
    if some_open:
        raise refuse(
            f"Invalid parameter: 'tool_call_id' of '{called}' not found in 'tool_calls' of previous message.", where
        )
    raise refuse(
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        where,
    )


def _unanswered(calls: Sequence[str], at: int) -> None:
    raise refuse(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(calls)}",
        f"messages.[{at}].role",
    )


def _calls(message: Mapping[str, Any], where: str) -> list[str]:
    """The ids of the calls of an assistant message, which are checked."""
    calls = message.get("tool_calls")
    if calls is None:
        return []
    fields.filled(calls, f"{where}.tool_calls")
    ids = []
    for at, call in enumerate(calls):
        path = f"{where}.tool_calls[{at}]"
        fields.dictionary(call, path)
        ids.append(fields.required(call, "id", path, fields.string))
        kind = fields.required(call, "type", path, fields.one_of("function", "custom"))
        inner = fields.required(call, kind, path, fields.dictionary)
        fields.required(inner, "name", f"{path}.{kind}", fields.string)
        argument = "arguments" if kind == "function" else "input"
        fields.string(inner.get(argument, ""), f"{path}.{kind}.{argument}")
    return ids


def _content(message: Mapping[str, Any], role: str, where: str) -> None:
    content = message.get("content")
    path = f"{where}.content"
    if content is None:
        if role != "assistant":
            raise refuse("Invalid value for 'content': expected a string, got null.", path, "invalid_type")
        if not (
            message.get("tool_calls") or message.get("function_call") or message.get("refusal") or message.get("audio")
        ):
            raise refuse("Invalid value for 'content': expected a string, got null.", path, "invalid_type")
        return
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise fields.wrong_type(path, "one of a string or array of objects", content)
    for at, part in enumerate(content):
        _part(part, f"{path}[{at}]")


def _part(part: Any, where: str) -> None:
    """One part of a message's content. Types that the table lacks pass: the model's row says what it takes."""
    fields.dictionary(part, where)
    kind = fields.required(part, "type", where, fields.string)
    if kind in ("text", "refusal"):
        if not isinstance(part.get(kind), str):
            raise (
                fields.missing(f"{where}.{kind}")
                if part.get(kind) is None
                else fields.wrong_type(f"{where}.{kind}", "a string", part[kind])
            )
    elif kind == "image_url":
        image = fields.required(part, "image_url", where, fields.dictionary)
        fields.required(image, "url", f"{where}.image_url", fields.string)
    elif kind == "input_audio":
        audio = fields.required(part, "input_audio", where, fields.dictionary)
        fields.required(audio, "data", f"{where}.input_audio", fields.string)
        fields.required(audio, "format", f"{where}.input_audio", fields.one_of("wav", "mp3"))


def _together(body: Mapping[str, Any]) -> None:
    """Fields that need one another."""
    if body.get("stream_options") is not None and not body.get("stream"):
        raise refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if body.get("tool_choice") is not None and not body.get("tools"):
        raise refuse(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.", "tool_choice"
        )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise refuse("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] != "allowed_tools":
        name = choice[choice["type"]]["name"]
        if name not in {tool[tool["type"]]["name"] for tool in body["tools"]}:
            raise refuse(f"Tool choice '{choice['type']}' not found in 'tools' parameter.", "tool_choice")
    if (body.get("response_format") or {}).get("type") == "json_object" and b"json" not in _texts(body).lower():
        raise refuse(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )


def _texts(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps([message.get("content") for message in body["messages"]])
