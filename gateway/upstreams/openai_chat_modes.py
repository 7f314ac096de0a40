"""Chat replies from one mode into the other: a stream as one completion, and one completion as a stream.

For upstreams that stream without being asked, or do not when asked. Source: wire reference, "Mode mismatch".
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway import sse
from gateway.chain import Failure
from gateway.upstreams import openai_chat
from gateway.upstreams.openai_chat import DONE_FRAME, ChatReader
from gateway.upstreams.problems import broken
from gateway.upstreams.reading import Part, Whole

LEFT_OUT = ("choices", "object", "obfuscation")
JOINED = ("content", "refusal", "reasoning_content", "reasoning")


def assemble(stream: bytes) -> Whole | Failure:
    """The completion that a stream amounts to, or why it amounts to none."""
    reader = ChatReader()
    parser = sse.Parser()
    completion: dict[str, Any] = {}
    choices: dict[Any, dict[str, Any]] = {}
    for event in [*parser.feed(stream), *parser.end()]:
        part = reader.read(event)
        if part in (Part.ERROR, Part.BROKEN):
            return reader.failure or broken("the upstream's stream is broken")
        if part is Part.TERMINAL:
            break
        if part is not Part.NOTHING:
            take_chunk(orjson.loads(event.data), completion, choices)
    if reader.usage_chunk:
        take_chunk(orjson.loads(reader.usage_chunk), completion, choices)
    if not choices or not reader.complete:
        return broken("the upstream's stream ended in mid-answer")
    completion = {**completion, "object": "chat.completion", "choices": [choices[index] for index in sorted(choices)]}
    return openai_chat.read_whole(orjson.dumps(completion))


def take_chunk(chunk: dict[str, Any], completion: dict[str, Any], choices: dict[Any, dict[str, Any]]) -> None:
    """Adds one chunk to what came before."""
    completion.update({name: value for name, value in chunk.items() if name not in LEFT_OUT and value is not None})
    for part in chunk.get("choices") or ():
        index = part.get("index", 0)
        choice = choices.setdefault(
            index, {"index": index, "message": {"role": "assistant", "content": None}, "finish_reason": None}
        )
        delta = part.get("delta") or part.get("message") or {}
        merge(choice["message"], delta)
        if part.get("finish_reason"):
            choice["finish_reason"] = part["finish_reason"]
        if part.get("logprobs"):
            choice.setdefault("logprobs", {})
            merge_lists(choice["logprobs"], part["logprobs"])


def merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Adds a delta to a message: texts are joined, calls are put together by index."""
    for name, value in delta.items():
        if name == "tool_calls":
            for call in value or ():
                merge_call(message.setdefault("tool_calls", []), call)
        elif name in JOINED and isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        elif isinstance(value, list):
            message[name] = (message.get(name) or []) + value
        elif value is not None and name not in JOINED:
            message[name] = value


def merge_call(calls: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    """Adds a part of a tool call. Without an index, an id of its own makes a new call."""
    index = delta.get("index")
    if index is None:
        known = next((n for n, call in enumerate(calls) if call.get("id") == delta.get("id")), None)
        index = len(calls) - 1 if known is None and not delta.get("id") else known
    if index is None or index >= len(calls) or index < 0:
        empty = (
            {"custom": {"name": "", "input": ""}} if "custom" in delta else {"function": {"name": "", "arguments": ""}}
        )
        calls.append({"id": None, "type": next(iter(empty)), **empty})
        index = len(calls) - 1
    call = calls[index]
    for name in ("id", "type"):
        if delta.get(name):
            call[name] = delta[name]
    for kind, text in (("function", "arguments"), ("custom", "input")):
        if kind in call:
            told = delta.get(kind) or {}
            call[kind]["name"] = told.get("name") or call[kind]["name"]
            call[kind][text] += told.get(text) or ""


def merge_lists(into: dict[str, Any], part: dict[str, Any]) -> None:
    """Joins the lists of a logprobs object."""
    for name, value in part.items():
        into[name] = (into.get(name) or []) + value if isinstance(value, list) else into.get(name, value)


def disassemble(body: bytes) -> bytes:
    """A stream that amounts to a completion: one content chunk and one finish chunk a choice, usage, the end mark."""
    completion = orjson.loads(body)
    head = {name: value for name, value in completion.items() if name not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"
    frames: list[bytes] = []
    for number, choice in enumerate(completion["choices"]):
        index = choice.get("index", number)
        delta = {name: value for name, value in choice["message"].items() if name != "annotations" or value}
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": at, **call} for at, call in enumerate(delta["tool_calls"])]
        base = {"index": index, **({"logprobs": choice["logprobs"]} if "logprobs" in choice else {})}
        frames.append(chunk(head, {**base, "delta": delta, "finish_reason": None}))
        frames.append(
            chunk(head, {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"})
        )
    if completion.get("usage"):
        frames.append(sse.frame(orjson.dumps({**head, "choices": [], "usage": completion["usage"]})))
    frames.append(DONE_FRAME)
    return b"".join(frames)


def chunk(head: dict[str, Any], choice: dict[str, Any]) -> bytes:
    """One chunk of one choice."""
    return sse.frame(orjson.dumps({**head, "choices": [choice]}))
