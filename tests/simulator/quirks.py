"""Requests under one fault, which is named in a header so that the prompt and its answer stay the same, and replies
taken apart."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from tests.simulator.live import Live, Reply, request

PROMPT = "steady as she goes"
TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": TOOL}} for name in ("forecast", "history")]
OWN_TOOLS = [{"name": "forecast", "input_schema": TOOL}]  # on the wire of messages
REASONER: dict[str, Any] = {"model": "deepseek-reasoner", "provider": "aggregator"}


CASES = count(1)


def new_case() -> str:
    """A case that no other request has."""
    return f"quirk-{next(CASES)}"


def _headers(fault: str, answer: str, case: str) -> dict[str, str]:
    told = {"x-windtunnel-fault": fault, "x-windtunnel-answer": answer, "x-windtunnel-case": case}
    return {name: value for name, value in told.items() if value} | {"content-type": "application/json"}


def chat(
    fault: str = "",
    *,
    stream: bool = True,
    answer: str = "tokens=12",
    case: str = "",
    provider: str = "openai",
    usage: bool = True,
    **more: object,
) -> bytes:
    """A chat completion."""
    body: dict[str, object] = {"model": "gpt-4o", "messages": [{"role": "user", "content": PROMPT}], **more}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": usage}}
    key = {"authorization": f"Bearer sk-fleet-{provider}"}
    return request("POST", f"/{provider}/v1/chat/completions", body, key | _headers(fault, answer, case))


def calling(fault: str = "", *, calls: int = 2, **more: Any) -> bytes:
    """A chat completion that calls tools."""
    return chat(fault, answer=f"tool_call tool_calls={calls}", tools=TOOLS, **more)


def thinking(fault: str = "", **more: Any) -> bytes:
    """A chat completion whose reasoning is shown."""
    return chat(fault, answer="reasoning tokens=12 reasoning_tokens=20", **REASONER, **more)


def message(
    fault: str = "", *, stream: bool = True, answer: str = "tokens=12", case: str = "", **more: object
) -> bytes:
    """An Anthropic message."""
    content = [{"role": "user", "content": PROMPT}]
    body = {"model": "claude-sonnet-4-5", "max_tokens": 256, "messages": content, "stream": stream, **more}
    key = {"x-api-key": "sk-ant-fleet-anthropic", "anthropic-version": "2023-06-01"}
    return request("POST", "/anthropic/v1/messages", body, key | _headers(fault, answer, case))


def tool_use(fault: str = "", **more: Any) -> bytes:
    """An Anthropic message that calls a tool."""
    return message(fault, answer="tool_call", tools=OWN_TOOLS, **more)


def responses(
    fault: str = "", *, stream: bool = True, answer: str = "tokens=12", case: str = "", **more: object
) -> bytes:
    """A response; one that calls a tool where the answer says so."""
    body = {"model": "gpt-4o", "input": PROMPT, "stream": stream, **more}
    if answer == "tool_call":
        body["tools"] = [{"type": "function", "name": "forecast", "parameters": TOOL, "strict": True}]
    key = {"authorization": "Bearer sk-fleet-openai"}
    return request("POST", "/openai/v1/responses", body, key | _headers(fault, answer, case))


def datas(reply: Reply) -> list[str]:
    """The data of every event."""
    assert reply.ended == "", reply
    return [line[6:] for line in reply.body.decode().split("\n") if line.startswith("data: ")]


def events(reply: Reply) -> list[dict[str, Any]]:
    """The JSON of every event."""
    return [json.loads(data) for data in datas(reply) if data != "[DONE]"]


def choices(reply: Reply, index: int = 0) -> list[dict[str, Any]]:
    """The choices of one index, in order."""
    return [row for event in events(reply) for row in event["choices"] if row["index"] == index]


def deltas(reply: Reply) -> list[dict[str, Any]]:
    """The deltas of the first choice."""
    return [row["delta"] for row in choices(reply) if row.get("delta") is not None]


def said(reply: Reply, key: str = "content") -> str:
    """The text of a chat stream's first choice."""
    return "".join(delta.get(key) or "" for delta in deltas(reply))


def pieces(reply: Reply) -> list[dict[str, Any]]:
    """The pieces of tool calls in a chat stream."""
    return [call for delta in deltas(reply) for call in delta.get("tool_calls") or []]


def usages(reply: Reply) -> list[dict[str, Any]]:
    """The usage objects at the top of events."""
    return [event["usage"] for event in events(reply) if event.get("usage") is not None]


def own_text(reply: Reply) -> str:
    """The text of an Anthropic stream."""
    rows = [event["delta"] for event in events(reply) if event["type"] == "content_block_delta"]
    return "".join(row.get("text", "") for row in rows)


def met(fleet: Live, case: str) -> dict[str, Any]:
    """The journal's entry of the one request of a case."""
    (entry,) = fleet.journal(case)
    return entry
