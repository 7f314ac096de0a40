"""The Anthropic Messages wire as a client writes and reads it.

Source: schemas/replies/message.json and message_event.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from suites.heard import Call, Heard, Told
from suites.sse import Event

NAME = "messages"
STOPS = {"end": "end_turn", "length": "max_tokens", "tool": "tool_use", "stop_sequence": "stop_sequence"}


def body(model: str, prompt: str, stream: bool) -> dict[str, Any]:
    """The smallest request."""
    asked: dict[str, Any] = {"model": model, "max_tokens": 512, "messages": [{"role": "user", "content": prompt}]}
    return asked | {"stream": True} if stream else asked


def tool(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as this wire offers it."""
    return {"name": name, "description": "A tool.", "input_schema": dict(schema)}


def turn_with_result(heard: Heard, result: str) -> list[dict[str, Any]]:
    """The messages that answer a reply's tool calls."""
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": result} for call in heard.calls]
    return [{"role": "assistant", "content": heard.blocks}, {"role": "user", "content": results}]


def read_error(document: Any) -> tuple[str, str] | None:
    """Type and message of an error body or event."""
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        return str(error.get("type")), str(error.get("message"))
    return None


def read_usage(usage: Mapping[str, Any]) -> Told:
    """The usage object of a message. The wire counts cached tokens apart; here they are part of the input."""
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    details = usage.get("output_tokens_details") or {}
    return Told(
        input_tokens=(usage.get("input_tokens") or 0) + read + written,
        output_tokens=usage.get("output_tokens") or 0,
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=details.get("thinking_tokens") or 0,
    )


def read_json(document: Any) -> Heard:
    """What a JSON body says."""
    heard = Heard(error=read_error(document))
    if heard.error or not isinstance(document, dict):
        return heard
    heard.id, heard.model = str(document.get("id", "")), str(document.get("model", ""))
    heard.blocks = list(document.get("content") or ())
    if document.get("stop_reason"):
        heard.stops[0] = document["stop_reason"]
    heard.stop_sequence = document.get("stop_sequence")
    if isinstance(document.get("usage"), dict):
        heard.usage, heard.usages = read_usage(document["usage"]), 1
    _read_blocks(heard)
    return heard


def read_stream(events: Iterable[Event]) -> Heard:
    """What the events of a stream say so far."""
    heard = Heard()
    usage: dict[str, Any] = {}
    pieces: dict[int, str] = {}  # of tool input, by block
    for event in events:
        heard.after_terminal += bool(heard.terminals)
        if event.is_comment or event.name == "ping":
            heard.pings += 1
        elif isinstance(event.json, dict):
            _read_event(heard, event.json, event.at_ms, usage, pieces)
    for index, text in pieces.items():
        heard.blocks[index]["input_text"] = text
    if usage:
        heard.usage = read_usage(usage)
    _read_blocks(heard)
    return heard


def _read_event(
    heard: Heard, event: Mapping[str, Any], at_ms: float, usage: dict[str, Any], pieces: dict[int, str]
) -> None:
    match event.get("type"):
        case "message_start":
            message = event.get("message") or {}
            heard.starts += 1
            heard.id, heard.model = str(message.get("id", "")), str(message.get("model", ""))
            usage.update(message.get("usage") or {})
        case "content_block_start":
            heard.blocks.append(dict(event.get("content_block") or {}))
        case "content_block_delta":
            heard.deltas.append(at_ms)
            _read_delta(heard, event, pieces)
        case "message_delta":
            delta = event.get("delta") or {}
            if delta.get("stop_reason"):
                heard.stops[0] = delta["stop_reason"]
            heard.stop_sequence = delta.get("stop_sequence")
            heard.usages += 1
            usage.update({name: count for name, count in (event.get("usage") or {}).items() if count is not None})
        case "message_stop":
            heard.terminals += 1
        case "error":
            heard.error = heard.error or read_error(event)


def _read_delta(heard: Heard, event: Mapping[str, Any], pieces: dict[int, str]) -> None:
    index, delta = event.get("index", 0), event.get("delta") or {}
    if not 0 <= index < len(heard.blocks):
        return
    block = heard.blocks[index]
    match delta.get("type"):
        case "text_delta":
            block["text"] = block.get("text", "") + delta.get("text", "")
        case "thinking_delta":
            block["thinking"] = block.get("thinking", "") + delta.get("thinking", "")
        case "signature_delta":
            block["signature"] = block.get("signature", "") + delta.get("signature", "")
        case "input_json_delta":
            pieces[index] = pieces.get(index, "") + delta.get("partial_json", "")
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]


def _read_blocks(heard: Heard) -> None:
    """Text, thinking, signatures and calls out of the blocks."""
    for number, block in enumerate(heard.blocks):
        match block.get("type"):
            case "text":
                heard.texts[0] = heard.texts.get(0, "") + str(block.get("text") or "")
            case "thinking":
                heard.thinking += str(block.get("thinking") or "")
                heard.signatures.append(str(block.get("signature") or ""))
            case "tool_use":
                text = block.pop("input_text", None)
                if text is None:
                    text = json.dumps(block.get("input"), separators=(",", ":"), ensure_ascii=False)
                else:
                    block["input"] = _parsed(text)
                heard.calls.append(Call(str(block.get("id")), str(block.get("name")), text, number))


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return text
