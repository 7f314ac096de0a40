"""Replies of an upstream on the Responses wire, and calls of the gateway on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.gateway.lab import Answer, Lab

RESPONSES = "/api/v1/responses"
MODEL = "gpt-5.3-codex"
RATES = (61, 483)  # microcredits a token of MODEL
USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 16},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 39,
}
PRICE_UC = 30 * RATES[0] + 9 * RATES[1]


def price_uc(input_tokens: int, output_tokens: int) -> int:
    """What MODEL costs."""
    return input_tokens * RATES[0] + output_tokens * RATES[1]


async def respond(lab: Lab, path: str = RESPONSES, **fields: Any) -> Answer:
    """One call; a field given as None is left out."""
    options = {name: fields.pop(name) for name in ("headers", "hang_up") if name in fields}
    body = {"model": MODEL, "input": "Say hi.", **fields}
    return await lab.ask(path, {name: value for name, value in body.items() if value is not None}, **options)


def item(text: str = "Hi there", name: str = "msg_1") -> dict[str, Any]:
    """A finished message."""
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {"id": name, "type": "message", "status": "completed", "role": "assistant", "content": [part]}


CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "arguments": '{"city":"Paris"}',
    "call_id": "call_1",
    "name": "get_weather",
}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}


def made(*output: Mapping[str, Any], name: str = "resp_1", usage: Any = USAGE, **more: Any) -> dict[str, Any]:
    """A finished response."""
    head = {"id": name, "object": "response", "created_at": 1, "status": "completed", "error": None}
    tail = {"incomplete_details": None, "model": "m-2026", "output": list(output) or [item()], "store": True}
    asked = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**head, **tail, **asked, "usage": usage, **more}


def whole(*output: Mapping[str, Any], **more: Any) -> bytes:
    """As it stands in a body: with blanks, as the real one has them."""
    return json.dumps(made(*output, **more), indent=2).encode()


def event(number: int, kind: str, **more: Any) -> bytes:
    """One event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more, 'sequence_number': number})}\n\n".encode()


def opening(**more: Any) -> bytes:
    """The first two events."""
    begun = made(usage=None, **more) | {"status": "in_progress", "output": []}
    return event(0, "response.created", response=begun) + event(1, "response.in_progress", response=begun)


def message_start(number: int = 2, at: int = 0) -> bytes:
    """A message begins."""
    started = {**item(), "status": "in_progress", "content": []}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    place = {"item_id": "msg_1", "output_index": at, "content_index": 0}
    return event(number, "response.output_item.added", output_index=at, item=started) + event(
        number + 1, "response.content_part.added", **place, part=part
    )


def delta(number: int, text: str, at: int = 0) -> bytes:
    """A piece of its text."""
    place = {"item_id": "msg_1", "output_index": at, "content_index": 0}
    return event(number, "response.output_text.delta", **place, delta=text, logprobs=[])


def item_done(number: int, told: Mapping[str, Any], at: int = 0) -> bytes:
    """An item ends."""
    return event(number, "response.output_item.done", output_index=at, item=told)


def closing(number: int, *output: Mapping[str, Any], kind: str = "completed", **more: Any) -> bytes:
    """The last event."""
    return event(number, f"response.{kind}", response=made(*output, status=kind, **more))


def stream(*texts: str, **more: Any) -> bytes:
    """A whole answer of one message."""
    said = item("".join(texts))
    pieces = b"".join(delta(4 + n, text) for n, text in enumerate(texts))
    end = 4 + len(texts)
    beginning = {name: value for name, value in more.items() if name == "name"}
    return opening(**beginning) + message_start() + pieces + item_done(end, said) + closing(end + 1, said, **more)


def kinds(answer: Answer) -> list[str]:
    """The types of the events; their names must say the same."""
    for told, payload in zip(answer.events, answer.data, strict=True):
        assert (told.name or b"").decode() == payload["type"]
    return [payload["type"] for payload in answer.data]


def said(answer: Answer) -> str:
    """The text of the deltas."""
    return "".join(payload["delta"] for payload in answer.data if payload["type"] == "response.output_text.delta")
