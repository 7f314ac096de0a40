"""An Anthropic provider without a server: requests in, replies and parsed events out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.answers import signatures
from simulator.answers.answer import Answer, Block, Choice, Stop, Text, Usage
from simulator.answers.compose import compose
from simulator.ask import Ask, Request
from simulator.dialects.anthropic.messages import AnthropicMessages
from simulator.dialects.base import Profile, Serving
from simulator.models import facts as models
from simulator.problem import Problem, Refused
from simulator.rules.directives import AnswerSpec
from simulator.script import Script

DIALECT = AnthropicMessages()
SEED = 7
NONCE = "Nonce0Nonce0Nonce0Nonc"
SERVING = Serving(nonce=NONCE, now_s=1777898096, seed=SEED)
USER = {"role": "user", "content": "How warm is the water?"}
CALL = {"type": "tool_use", "id": "toolu_01A", "name": "look", "input": {"where": "here"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_01A", "content": "37 degrees"}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}}}
THINKS = {"type": "enabled", "budget_tokens": 1024}
FORCED = {"type": "tool", "name": "look"}
FRAME = re.compile(rb"event: (\w+)\ndata: (\{.*\})\n\n", re.DOTALL)


def profile(model: str = "claude-haiku-4-5", provider: str = "anthropic", **facts: Any) -> Profile:
    """A model of a provider of the fleet whose seed is SEED."""
    found = models.profile(provider, DIALECT.name, model, {"signature_secret": signatures.secret(SEED), **facts})
    assert found is not None
    return found


def body(text: str = "How warm is the water?", /, **fields: Any) -> dict[str, Any]:
    """A request for an answer; a field given as None is left out."""
    whole = {"model": "claude-haiku-4-5", "max_tokens": 4096, "messages": [{"role": "user", "content": text}]} | fields
    return {name: value for name, value in whole.items() if value is not None}


def turn(*blocks: dict[str, Any]) -> dict[str, Any]:
    """An assistant's message."""
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    """A user's message."""
    return {"role": "user", "content": list(blocks)}


def text(said: str, **more: Any) -> dict[str, Any]:
    """A text block."""
    return {"type": "text", "text": said, **more}


def decoded(data: Mapping[str, Any] | bytes, operation: str = "generate", **headers: str) -> Ask:
    """The Ask of a body; header names have underscores for hyphens."""
    told = {"anthropic-version": "2023-06-01"} | {name.replace("_", "-"): value for name, value in headers.items()}
    path = "/v1/messages/count_tokens" if operation == "count_tokens" else "/v1/messages"
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return DIALECT.decode(Request("POST", path, "beta=true", told, raw), operation)


def asked(data: Mapping[str, Any] | bytes, facts: Profile | None = None, **headers: str) -> Ask:
    """The Ask of a body that the model takes."""
    ask = decoded(data, **headers)
    DIALECT.check(ask, facts or profile(ask.model))
    return ask


def refusal(data: Mapping[str, Any] | bytes, facts: Profile | None = None, **headers: str) -> dict[str, Any]:
    """Status and error of a request that is refused."""
    try:
        asked(data, facts, **headers)
    except Refused as refused:
        return told(refused.problem)
    raise AssertionError("the request was taken")


def told(problem: Problem) -> dict[str, Any]:
    """The reply to a problem: its status and its error object."""
    script = DIALECT.error(problem, SERVING)
    data = json.loads(script.frames[0].data)
    assert list(data) == ["type", "error", "request_id"]
    assert dict(script.headers)["request-id"] == data["request_id"]
    error: dict[str, Any] = data["error"]
    return {"status": script.status} | error


def answered(ask: Ask, spec: AnswerSpec | None = None, facts: Profile | None = None) -> Script:
    """The reply as the fleet composes it."""
    known = facts or profile(ask.model)
    answer = compose(ask, spec or AnswerSpec(), known, SEED, NONCE, SERVING.now_s, DIALECT.natives)
    return DIALECT.reply(answer, ask, known, SERVING)


def answer(blocks: Sequence[Block] = (Text(("The", " water")),), stop: Stop = Stop.END, **fields: Any) -> Answer:
    """A hand-made answer."""
    usage = fields.pop("usage", Usage(input_tokens=12, output_tokens=40))
    told_usage = fields.pop("told", usage)
    choice = Choice(tuple(blocks), stop, fields.pop("stop_sequence", None))
    return Answer("claude-haiku-4-5-20251001", NONCE, SERVING.now_s, (choice,), usage, told_usage)


def events(script: Script) -> list[dict[str, Any]]:
    """The data of every event; each frame holds one whole event, named by its type."""
    out: list[dict[str, Any]] = []
    for frame in script.frames:
        match = FRAME.fullmatch(frame.data)
        assert match, frame.data
        out.append(json.loads(match[2]))
        assert match[1].decode() == out[-1]["type"]
    return out


def message(script: Script) -> dict[str, Any]:
    """A reply as one message: as it came, or put together from its events the way a client does."""
    if not script.stream:
        whole: dict[str, Any] = json.loads(script.frames[0].data)
        return whole
    return assembled(events(script))


def assembled(stream: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The message that a stream of events adds up to. Indexes must be without gaps, blocks must not overlap."""
    out: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    opened: int | None = None
    for event in stream:
        match event["type"]:
            case "message_start":
                assert not out
                out = dict(event["message"])
            case "content_block_start":
                assert opened is None
                assert event["index"] == len(out["content"])
                opened = event["index"]
                out["content"].append(dict(event["content_block"]))
            case "content_block_delta":
                assert event["index"] == opened is not None
                _add(out["content"][opened], event["delta"], inputs, opened)
            case "content_block_stop":
                assert event["index"] == opened
                if given := inputs.pop(event["index"], ""):
                    out["content"][opened]["input"] = json.loads(given)
                opened = None
            case "message_delta":
                delta = dict(event["delta"])
                if "container" in delta:
                    out["container"] = delta.pop("container")
                out |= delta | {k: v for k, v in event.items() if k not in ("type", "delta", "usage")}
                if "usage" in event:
                    out["usage"] = out["usage"] | event["usage"]
            case "message_stop":
                assert opened is None
            case other:
                assert other == "ping"
    return out


def _add(block: dict[str, Any], delta: Mapping[str, Any], inputs: dict[int, str], at: int) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            assert block["signature"] == ""
            block["signature"] = delta["signature"]
        case "citations_delta":
            block["citations"] = [*block["citations"], delta["citation"]]
        case "input_json_delta":
            inputs[at] = inputs.get(at, "") + delta["partial_json"]
        case "compaction_delta":
            block["content"] = delta["content"]
        case other:
            raise AssertionError(other)
