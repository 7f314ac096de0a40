"""Messages replies from one mode into the other: a stream as one message, and one message as a stream.

For upstreams that stream without being asked, or do not when asked. Source: wire reference, "Mode mismatch" and 6.3.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway import sse
from gateway.chain import Failure
from gateway.upstreams import anthropic_messages
from gateway.upstreams.anthropic_messages import MessagesReader
from gateway.upstreams.problems import broken
from gateway.upstreams.reading import Part, Whole

JOINED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def assemble(stream: bytes) -> Whole | Failure:
    """The message that a stream amounts to, or why it amounts to none."""
    reader = MessagesReader()
    parser = sse.Parser()
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}  # JSON of tool inputs, by block
    for event in [*parser.feed(stream), *parser.end()]:
        part = reader.read(event)
        if part in (Part.ERROR, Part.BROKEN):
            return reader.failure or broken("the upstream's stream is broken")
        if part in (Part.NOTHING, Part.PING):
            continue
        take_event(orjson.loads(event.data), message, blocks, inputs)
    if not message or not reader.complete:
        return broken("the upstream's stream ended in mid-answer")
    for index, text in inputs.items():
        try:
            blocks[index]["input"] = orjson.loads(text) if text.strip() else {}
        except ValueError:
            return broken("the upstream's stream has a tool input that is not JSON")
    message["content"] = [blocks[index] for index in sorted(blocks)]
    return anthropic_messages.read_whole(orjson.dumps(message))


def take_event(
    event: dict[str, Any], message: dict[str, Any], blocks: dict[int, dict[str, Any]], inputs: dict[int, str]
) -> None:
    """Adds one event to what came before."""
    index = event.get("index", 0)
    match event.get("type"):
        case "message_start":
            message.update(event.get("message") or {})
        case "content_block_start":
            blocks[index] = dict(event.get("content_block") or {})
        case "content_block_delta":
            delta = event.get("delta") or {}
            block = blocks.setdefault(index, {"type": "text", "text": ""})
            kind = str(delta.get("type"))
            if kind == "input_json_delta":
                inputs[index] = inputs.get(index, "") + (delta.get("partial_json") or "")
            elif kind == "citations_delta":
                block.setdefault("citations", []).append(delta.get("citation"))
            elif kind in JOINED:
                block[JOINED[kind]] = (block.get(JOINED[kind]) or "") + (delta.get(JOINED[kind]) or "")
        case "message_delta":
            message.update(event.get("delta") or {})
            message["usage"] = {**(message.get("usage") or {}), **(event.get("usage") or {})}


def disassemble(body: bytes) -> bytes:
    """A stream that amounts to a message, in the order of the real one."""
    message = orjson.loads(body)
    usage = message.get("usage") or {}
    opening = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }
    frames = [event("message_start", message=opening)]
    for index, block in enumerate(message["content"]):
        start, deltas = parts(block)
        frames.append(event("content_block_start", index=index, content_block=start))
        frames += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        frames.append(event("content_block_stop", index=index))
    ending = {name: message.get(name) for name in ("stop_reason", "stop_sequence")}
    ending["stop_reason"] = ending["stop_reason"] or "end_turn"
    frames += (event("message_delta", delta=ending, usage=usage), event("message_stop"))
    return b"".join(frames)


def parts(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A content block as its start and its deltas."""
    match block.get("type"):
        case "text":
            cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
            return {**block, "text": ""}, [{"type": "text_delta", "text": block.get("text", "")}, *cited]
        case "thinking":
            deltas = (
                [{"type": "thinking_delta", "thinking": block.get("thinking", "")}] if block.get("thinking") else []
            )
            signature = {"type": "signature_delta", "signature": block.get("signature", "")}
            return {**block, "thinking": "", "signature": ""}, [*deltas, signature]
        case "tool_use" | "server_tool_use":
            text = orjson.dumps(block.get("input") or {}).decode()
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": text}]
        case _:
            return block, []


def event(kind: str, **members: Any) -> bytes:
    """One frame."""
    return sse.frame(orjson.dumps({"type": kind, **members}), kind.encode())
