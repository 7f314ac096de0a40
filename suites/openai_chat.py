"""The OpenAI Chat Completions wire as a client writes and reads it.

Source: schemas/replies/chat_completion.json and chat_chunk.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from suites.heard import Call, Heard, Told
from suites.sse import Event

NAME = "chat"
STOPS = {"end": "stop", "length": "length", "tool": "tool_calls", "stop_sequence": "stop"}


def body(model: str, prompt: str, stream: bool) -> dict[str, Any]:
    """The smallest request."""
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    return asked | {"stream": True} if stream else asked


def tool(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as this wire offers it."""
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": dict(schema)}}


def turn_with_result(heard: Heard, result: str) -> list[dict[str, Any]]:
    """The messages that answer a reply's tool calls."""
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in heard.calls
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": result} for call in heard.calls]
    return [{"role": "assistant", "content": heard.text or None, "tool_calls": calls}, *results]


def read_error(document: Any) -> tuple[str, str] | None:
    """Type and message of an error body."""
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        return str(error.get("type")), str(error.get("message"))
    return None


def read_usage(usage: Any) -> Told | None:
    """The usage object of a completion or chunk."""
    if not isinstance(usage, dict):
        return None
    read = usage.get("prompt_tokens_details") or {}
    spent = usage.get("completion_tokens_details") or {}
    return Told(
        input_tokens=usage.get("prompt_tokens", 0),
        output_tokens=usage.get("completion_tokens", 0),
        cached_tokens=read.get("cached_tokens") or 0,
        cache_write_tokens=read.get("cache_write_tokens") or 0,
        reasoning_tokens=spent.get("reasoning_tokens") or 0,
    )


def read_json(document: Any) -> Heard:
    """What a JSON body says."""
    heard = Heard(error=read_error(document))
    if heard.error or not isinstance(document, dict):
        return heard
    heard.id, heard.model = str(document.get("id", "")), str(document.get("model", ""))
    for choice in document.get("choices") or ():
        message, index = choice.get("message") or {}, choice.get("index", 0)
        heard.texts[index] = message.get("content") or ""
        heard.refusal += message.get("refusal") or ""
        heard.thinking += message.get("reasoning_content") or ""
        heard.stops[index] = choice.get("finish_reason")
        for number, row in enumerate(message.get("tool_calls") or ()):
            heard.calls.append(Call(row["id"], row["function"]["name"], row["function"]["arguments"], number))
    heard.usage = read_usage(document.get("usage"))
    heard.usages = int(heard.usage is not None)
    return heard


def read_stream(events: Iterable[Event]) -> Heard:
    """What the events of a stream say so far."""
    heard = Heard()
    for event in events:
        heard.after_terminal += bool(heard.terminals)
        if event.is_comment or event.name == "ping":
            heard.pings += 1
        elif event.data == "[DONE]":
            heard.terminals += 1
        elif isinstance(event.json, dict):
            _read_chunk(heard, event.json, event.at_ms)
    return heard


def _read_chunk(heard: Heard, chunk: Mapping[str, Any], at_ms: float) -> None:
    heard.error = heard.error or read_error(chunk)
    heard.id, heard.model = str(chunk.get("id", heard.id)), str(chunk.get("model", heard.model))
    usage = read_usage(chunk.get("usage"))
    if usage is not None:
        heard.usage, heard.usages = usage, heard.usages + 1
    for choice in chunk.get("choices") or ():
        delta, index = choice.get("delta") or {}, choice.get("index", 0)
        heard.starts += index == 0 and bool(delta.get("role"))
        heard.texts[index] = heard.texts.get(index, "") + (delta.get("content") or "")
        heard.refusal += delta.get("refusal") or ""
        heard.thinking += delta.get("reasoning_content") or ""
        if any(delta.get(name) for name in ("content", "refusal", "reasoning_content", "tool_calls")):
            heard.deltas.append(at_ms)
        for row in delta.get("tool_calls") or ():
            _read_call(heard, row)
        if choice.get("finish_reason"):
            heard.stops[index] = choice["finish_reason"]


def _read_call(heard: Heard, row: Mapping[str, Any]) -> None:
    function = row.get("function") or {}
    number = row.get("index", 0)
    call = next((call for call in heard.calls if call.index == number), None)
    if call is None:
        call = Call(row.get("id") or "", function.get("name") or "", "", number)
        heard.calls.append(call)
    call.arguments += function.get("arguments") or ""


def schema_problems(text: str, schema: Mapping[str, Any]) -> list[str]:
    """How a JSON text departs from a schema; [] where it does not."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return [f"no JSON: {error}"]
    return [error.message for error in Draft202012Validator(dict(schema)).iter_errors(document)]
