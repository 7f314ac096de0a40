"""Answers that do not reach the caller as the upstream gave them."""

from __future__ import annotations

from typing import Any

import orjson

from gateway import relay
from gateway.upstreams import anthropic_messages
from gateway.upstreams.reading import Part
from gateway.wires.chat import ChatWire
from gateway.wires.messages import MessagesWire
from mutants._edits import CHAT, MESSAGES, choices, deltas
from mutants._patch import around, edit_answers, edit_events, edit_request, edit_wholes
from mutants.registry import mutant


@mutant()
def stream_trims_text() -> None:
    """Blanks at the ends of each streamed piece are trimmed."""

    def trim(delta: dict[str, Any]) -> dict[str, Any]:
        content = delta.get("content")
        return {**delta, "content": content.strip()} if isinstance(content, str) else delta

    edit_events(deltas(trim), CHAT)


@mutant()
def tool_arguments_cut() -> None:
    """The last streamed piece of a tool call's arguments is lost."""

    def cut(delta: dict[str, Any]) -> dict[str, Any]:
        calls = delta.get("tool_calls")
        if not isinstance(calls, list) or "index" not in calls[0]:
            return delta
        for call in calls:
            function = call.get("function", {})
            if str(function.get("arguments", "")).endswith("}"):
                function["arguments"] = function["arguments"][:-1]
        return delta

    def cut_block(event: dict[str, Any]) -> dict[str, Any]:
        piece = event.get("delta", {}).get("partial_json")
        return {**event, "delta": {**event["delta"], "partial_json": piece[:-1]}} if piece else event

    edit_events(deltas(cut), CHAT)
    edit_events(cut_block, MESSAGES)


@mutant("GD-109")
def tool_index_off_by_one() -> None:
    """Streamed tool calls are counted from 1."""

    def shift(delta: dict[str, Any]) -> dict[str, Any]:
        calls = delta.get("tool_calls")
        if not isinstance(calls, list):
            return delta
        return {**delta, "tool_calls": [{**c, "index": c["index"] + 1} if "index" in c else c for c in calls]}

    edit_events(deltas(shift), CHAT)


@mutant("GD-108")
def tool_index_missing_collapsed() -> None:
    """Every streamed tool call is given index 0."""

    def collapse(delta: dict[str, Any]) -> dict[str, Any]:
        calls = delta.get("tool_calls")
        return {**delta, "tool_calls": [{**c, "index": 0} for c in calls]} if isinstance(calls, list) else delta

    edit_events(deltas(collapse), CHAT)


@mutant("GD-103")
def choice_index_lost_n_gt_1() -> None:
    """Every choice says index 0."""
    edit_answers(choices(lambda choice: {**choice, "index": 0}), CHAT)


@mutant("GD-104")
def converted_finish_reason_missing() -> None:
    """Whatever ended the answer, it is told as an ordinary end."""

    def plain(choice: dict[str, Any]) -> dict[str, Any]:
        return {**choice, "finish_reason": "stop"} if choice.get("finish_reason") else choice

    def plain_message(value: dict[str, Any]) -> dict[str, Any]:
        if value.get("stop_reason"):
            return {**value, "stop_reason": "end_turn"}
        delta = value.get("delta")
        if isinstance(delta, dict) and delta.get("stop_reason"):
            return {**value, "delta": {**delta, "stop_reason": "end_turn"}}
        return value

    edit_answers(choices(plain), CHAT)
    edit_answers(plain_message, MESSAGES)


@mutant("GD-105")
def default_fields_injected_in_chunks() -> None:
    """Every delta is given members that the upstream did not send."""
    edit_events(deltas(lambda delta: {"content": "", "tool_calls": None, **delta}), CHAT)


@mutant()
def usage_details_dropped() -> None:
    """The details inside the usage are dropped."""

    def bare(value: dict[str, Any]) -> dict[str, Any]:
        usage = value.get("usage")
        if not isinstance(usage, dict):
            return value
        return {**value, "usage": {k: v for k, v in usage.items() if not isinstance(v, dict)}}

    edit_answers(bare, CHAT)


@mutant()
def cache_usage_dropped() -> None:
    """The client is not told what was read from or written to the cache, though it pays for it."""

    def bare(usage: Any) -> Any:
        return {k: v for k, v in usage.items() if not k.startswith("cache_")} if isinstance(usage, dict) else usage

    @around(MessagesWire, "read_whole")
    def read_whole(old: Any, self: MessagesWire, raw: bytes) -> Any:
        whole = old(self, raw)
        if hasattr(whole, "body"):
            message = orjson.loads(whole.body)
            whole.body = orjson.dumps({**message, "usage": bare(message.get("usage"))})
        return whole


@mutant()
def stream_false_streams() -> None:
    """`"stream": false` is taken for a wish to stream."""

    @around(ChatWire, "check")
    def check(old: Any, self: ChatWire, fields: dict[str, Any]) -> Any:
        return old(self, {**fields, "stream": True} if fields.get("stream") is False else fields)

    edit_request(lambda body: {**body, "stream": True} if body.get("stream") is False else body, CHAT)


@mutant("GD-209")
def cached_replay_indistinguishable() -> None:
    """A request that was answered before is answered again from memory, unmarked."""
    kept: dict[bytes, Any] = {}

    @around(relay.WholeAnswer, "run")
    async def run(old: Any, self: relay.WholeAnswer) -> Any:
        body = self.call.raw
        if body in kept:
            self.body, ending = kept[body]
            return ending
        ending = await old(self)
        if self.error is None:
            kept[body] = (self.body, ending)
        return ending


@mutant()
def refusal_dropped() -> None:
    """A refusal by the model is left out of the answer."""
    edit_answers(deltas(lambda delta: {**delta, "refusal": None} if delta.get("refusal") else delta), CHAT)


@mutant("GD-117")
def signature_delta_lost_in_stream() -> None:
    """Streamed thinking arrives without its signature."""

    @around(anthropic_messages.MessagesReader, "read")
    def read(old: Any, self: anthropic_messages.MessagesReader, event: Any) -> Any:
        part = old(self, event)
        return Part.NOTHING if b'"signature_delta"' in event.data else part


@mutant()
def signature_truncated() -> None:
    """The last characters of a thinking signature are lost."""

    def cut(block: dict[str, Any]) -> dict[str, Any]:
        return {**block, "signature": block["signature"][:-4]} if block.get("signature") else block

    edit_wholes(lambda m: {**m, "content": [cut(b) for b in m.get("content", ())]} if "content" in m else m, MESSAGES)
    edit_events(lambda e: {**e, "delta": cut(e["delta"])} if isinstance(e.get("delta"), dict) else e, MESSAGES)


@mutant("GD-124")
def tool_turn_ends_with_end_turn() -> None:
    """A turn that ends in a tool call is told as an ordinary end."""

    def plain(value: dict[str, Any]) -> dict[str, Any]:
        delta = value.get("delta")
        if isinstance(delta, dict) and delta.get("stop_reason") == "tool_use":
            return {**value, "delta": {**delta, "stop_reason": "end_turn"}}
        return {**value, "stop_reason": "end_turn"} if value.get("stop_reason") == "tool_use" else value

    edit_answers(plain, MESSAGES)


@mutant("GD-120")
def stop_sequence_lost() -> None:
    """Which stop sequence matched is not told."""

    def lose(value: dict[str, Any]) -> dict[str, Any]:
        delta = value.get("delta")
        if isinstance(delta, dict) and delta.get("stop_sequence"):
            return {**value, "delta": {**delta, "stop_sequence": None}}
        return {**value, "stop_sequence": None} if value.get("stop_sequence") else value

    edit_answers(lose, MESSAGES)


@mutant()
def unknown_blocks_dropped() -> None:
    """Blocks of a type that the gateway does not know are left out of the answer."""
    known = {"text", "thinking", "redacted_thinking", "tool_use"}

    def keep(message: dict[str, Any]) -> dict[str, Any]:
        content = message.get("content")
        if not isinstance(content, list):
            return message
        return {**message, "content": [b for b in content if b.get("type") in known]}

    edit_wholes(keep, MESSAGES)
