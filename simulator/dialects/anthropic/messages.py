"""Anthropic Messages dialect: POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models.

Byte facts, from recorded replies: JSON is compact; every data object of a stream but the ping is padded with 0 to 15
spaces before its last brace; the ping comes right after the first content_block_start and has a space after its
colon; there is no `[DONE]`. Ids are msg_01, toolu_01 and req_01 and 22 characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any, ClassVar, Final
from urllib.parse import unquote

import orjson

from simulator.answers.answer import Answer, Block, Choice, Refusal, Stop
from simulator.ask import Ask, Request
from simulator.dialects.anthropic import blocks as anthropic_blocks
from simulator.dialects.anthropic import headers as anthropic_headers
from simulator.dialects.anthropic import native, problems, rules, threads, usage
from simulator.dialects.anthropic import request as anthropic_request
from simulator.dialects.anthropic.blocks import Delta, Wire
from simulator.dialects.base import Kept, Profile, Serving
from simulator.draws import begun_at, dice, word
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

STOP_REASON: Final[Mapping[Stop, str]] = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.TOOL: "tool_use",
    Stop.STOP_SEQUENCE: "stop_sequence",
    Stop.REFUSAL: "refusal",
    Stop.FILTER: "refusal",
}
PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
_CODE_BLOCKS: Final = (
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
)


class AnthropicMessages:
    """The wire of Anthropic and of those who copy it."""

    name: ClassVar[str] = "anthropic_messages"
    root: ClassVar[str] = "/v1"
    nonces: ClassVar[str] = "letters"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/messages"): "generate",
        ("POST", "/messages/count_tokens"): "count_tokens",
        ("GET", "/models"): "list_models",
        ("GET", "/models/{model}"): "list_models",
    }
    natives: ClassVar[Mapping[str, Callable[[Ask, Random], tuple[Block, ...]]]] = native.NATIVES

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless `x-api-key` or a Bearer token is one of `keys`."""
        key = request.headers.get("x-api-key")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if key is not None:
            if key not in keys:
                raise Refused(Problem("authentication"))
        elif scheme.lower() == "bearer":
            if token.strip() not in keys:
                raise Refused(Problem("authentication", "Invalid bearer token"))
        else:
            raise Refused(Problem("authentication", "x-api-key header is required"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request; the query (`?beta=true`) says nothing here."""
        if operation == "list_models":
            anthropic_request.version(request.headers)
            return Ask(operation, model=unquote(request.params.get("model", "")))
        return anthropic_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take, and for thinking that this fleet did not write."""
        threads.check(ask.body, profile)
        rules.check(ask, profile)

    def reply(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The answer as one JSON object, or as events when the ask is for a stream."""
        blocks = anthropic_blocks.written(answer, ask, profile, serving.seed)
        headers = anthropic_headers.answer(answer.usage, serving, stream=ask.stream)
        if ask.stream:
            return Script(200, headers, tuple(_stream(answer, ask, profile, serving, blocks)), stream=True)
        told = answer.told
        message = _message(answer, profile)
        message["content"] = [wire.whole for wire in blocks]
        message |= _stop(answer.choices[0], profile)
        if told is not None:
            message["usage"] = usage.message_usage(told, ask, profile, blocks)
        message |= _context_management(ask)
        if container := _container(ask, blocks, serving):
            message["container"] = container
        text_bytes = sum(d.text_bytes for wire in blocks for d in wire.deltas)
        frame = Frame(orjson.dumps(message), "body", answer.usage.output_tokens, text_bytes)
        return Script(200, headers, (frame,))

    def count(self, ask: Ask, profile: Profile, serving: Serving) -> Script:  # noqa: ARG002 (no model is asked)
        """Exactly `{"input_tokens":N}`."""
        data = orjson.dumps({"input_tokens": ask.input_tokens})
        return Script(200, anthropic_headers.plain(serving), (Frame(data, "body"),))

    def models(self, snapshots: Mapping[str, str], serving: Serving, model: str = "") -> Script:
        """The list of models, newest first, as one page; or the one called `model`, by its id or dated name."""
        if model:
            name = snapshots.get(model, model)
            if name not in snapshots.values():
                return self.error(Problem("unknown_model", param=model), serving)
            return Script(200, anthropic_headers.plain(serving), (Frame(orjson.dumps(_model(name)), "body"),))
        names = sorted(set(snapshots.values()), key=_age)
        first, last = (names[0], names[-1]) if names else (None, None)
        page = {"data": [_model(name) for name in names], "has_more": False, "first_id": first, "last_id": last}
        return Script(200, anthropic_headers.plain(serving), (Frame(orjson.dumps(page), "body"),))

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """This wire has no other operation."""
        return self.error(Problem("not_found", param=ask.operation), serving)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The whole conversation of a thread."""
        return threads.resumed(ask, kept)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal: native status, body with the request id of the header."""
        row = problems.native(problem)
        data = problems.body(problem, anthropic_headers.request_id(serving))
        return Script(row.status, anthropic_headers.error(problem, row.status, serving), (Frame(data, "body"),))

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:  # noqa: ARG002 (the wire names no id there)
        """The refusal as an `event: error`."""
        return problems.frame(problem)


def _stream(answer: Answer, ask: Ask, profile: Profile, serving: Serving, blocks: list[Wire]) -> Iterator[Frame]:
    """The events of an answer, in order."""
    ends = begun_at(_ends(), serving.seed)
    yield Frame(_event(_message_start(answer, ask, profile, serving, blocks), next(ends)), "start")
    if not blocks:
        yield Frame(PING, "ping")
    for index, wire in enumerate(blocks):
        start = {"type": "content_block_start", "index": index, "content_block": wire.start}
        yield Frame(_event(start, next(ends)), "start" if wire.deltas else "delta", wire.start_tokens)
        if index == 0:
            yield Frame(PING, "ping")
        yield from _deltas(index, wire.deltas, ends)
        yield Frame(_event({"type": "content_block_stop", "index": index}, next(ends)), "start")
    event = _message_delta(answer, ask, profile, serving, blocks)
    yield Frame(_event(event, next(ends)), "stop", _rest(answer, blocks))
    yield Frame(_event({"type": "message_stop"}, next(ends)), "end")


def _deltas(index: int, deltas: Sequence[Delta], ends: Iterator[bytes]) -> list[Frame]:
    """The events of a block's deltas, which all begin alike."""
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % index
    dumps = orjson.dumps
    return [
        Frame(head + dumps(content) + end, "delta", count, text_bytes)
        for (content, count, text_bytes), end in zip(deltas, ends, strict=False)
    ]


def _event(event: Mapping[str, Any], end: bytes) -> bytes:
    """One event with its end."""
    return b"event: %b\ndata: %b%b" % (event["type"].encode(), orjson.dumps(event)[:-1], end)


@cache
def _ends() -> tuple[bytes, ...]:
    """How events end: 0 to 15 spaces, drawn once, then the last brace. Each stream begins at a place of its own."""
    return tuple(b" " * spaces + b"}\n\n" for spaces in dice("padding").choices(range(16), k=509))


def _message(answer: Answer, profile: Profile) -> dict[str, Any]:
    """The head of a message, in the era's order of keys."""
    name = {"model": answer.model}
    head = {"id": f"msg_01{answer.nonce}", "type": "message", "role": "assistant"}
    return name | head if profile.facts.get("model_first", True) else head | name


def _stop(choice: Choice, profile: Profile) -> dict[str, Any]:
    out: dict[str, Any] = {"stop_reason": STOP_REASON[choice.stop], "stop_sequence": choice.stop_sequence}
    if profile.facts.get("stop_details", True):
        out["stop_details"] = None
        if out["stop_reason"] == "refusal":
            said = next((block.text for block in choice.blocks if isinstance(block, Refusal)), None)
            out["stop_details"] = {"type": "refusal", "category": "general_harms", "explanation": said}
    return out


def _message_start(answer: Answer, ask: Ask, profile: Profile, serving: Serving, blocks: list[Wire]) -> dict[str, Any]:
    message = _message(answer, profile) | {"content": [], "stop_reason": None, "stop_sequence": None}
    if profile.facts.get("stop_details", True):
        message["stop_details"] = None
    if answer.told is not None:
        message["usage"] = usage.start_usage(answer.told, ask, profile, blocks, serving.seed)
    return {"type": "message_start", "message": message}


def _message_delta(answer: Answer, ask: Ask, profile: Profile, serving: Serving, blocks: list[Wire]) -> dict[str, Any]:
    delta = _stop(answer.choices[0], profile)
    if container := _container(ask, blocks, serving):
        delta["container"] = container
    event: dict[str, Any] = {"type": "message_delta", "delta": delta}
    if answer.told is not None:
        event["usage"] = usage.delta_usage(answer.told, ask, profile, blocks)
    return event | _context_management(ask)


def _rest(answer: Answer, blocks: list[Wire]) -> int:
    """Output tokens that no delta delivered: those of the answer's structure."""
    sent = sum([wire.start_tokens + sum([delta.tokens for delta in wire.deltas]) for wire in blocks])
    return max(0, answer.usage.output_tokens - sent)


def _context_management(ask: Ask) -> dict[str, Any]:
    """Told once the request edits its context, by field, beta or memory tool."""
    body = ask.body
    memory = any((tool.get("type") or "").startswith("memory_") for tool in body.get("tools") or ())
    beta = isinstance(body, anthropic_request.Body) and body.has_beta("context-management")
    if body.get("context_management") is None and not memory and not beta:
        return {}
    return {"context_management": {"applied_edits": []}}


def _container(ask: Ask, blocks: list[Wire], serving: Serving) -> dict[str, str] | None:
    """The container that code ran in: the asked one, or a new one for an hour."""
    if not any(wire.whole["type"] in _CODE_BLOCKS for wire in blocks):
        return None
    asked = ask.body.get("container")
    asked = asked.get("id") if isinstance(asked, Mapping) else asked
    name = asked if isinstance(asked, str) else f"container_01{word(22, 'container', serving.seed)}"
    return {"id": name, "expires_at": anthropic_headers.rfc3339(serving.now_s + 3600)}


def _model(name: str) -> dict[str, Any]:
    """One row of the list."""
    row = {"type": "model", "id": name, "display_name": _display_name(name), "created_at": _created_at(name)}
    return row | {"lifecycle": "active", "deprecated_at": None, "retires_at": None}


def _created_at(snapshot: str) -> str:
    """The day in a dated name; the epoch for a name without one, as the real list says when it does not know."""
    day = snapshot[-8:]
    try:
        return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return "1970-01-01T00:00:00Z"


def _age(snapshot: str) -> tuple[bool, int, str]:
    """Sorts the newest first: names without a date are newer than any with one."""
    day = snapshot[-8:]
    return (day.isdigit(), -int(day) if day.isdigit() else 0, snapshot)


def _display_name(snapshot: str) -> str:
    """A name for people: "Claude Sonnet 4.5" of "claude-sonnet-4-5-20250929"."""
    words = [part for part in snapshot.split("-") if not (part.isdigit() and len(part) == 8)]
    name = " ".join(part if part.isdigit() else part.capitalize() for part in words)
    return re.sub(r"(?<=\d) (?=\d)", ".", name)
