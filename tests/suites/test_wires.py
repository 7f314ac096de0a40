"""What the client side of both wires understands of replies, JSON and streamed."""

from __future__ import annotations

import json
from typing import Any

from suites import anthropic_messages, openai_chat
from suites.heard import Told
from suites.sse import parse


def chat_stream(*chunks: dict[str, Any] | str) -> bytes:
    return b"".join(b"data: " + (c if isinstance(c, str) else json.dumps(c)).encode() + b"\n\n" for c in chunks)


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def named(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def test_chat_stream() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    raw = chat_stream(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(1, content="other"),
        delta(content="lo", reasoning_content="hm"),
        delta(finish="stop"),
        delta(1, finish="length"),
        {"id": "c", "model": "m", "choices": [], "usage": usage},
        "[DONE]",
    )
    heard = openai_chat.read_stream(parse(b": ping\n\n" + raw))
    assert (heard.texts, heard.stops) == ({0: "Hello", 1: "other"}, {0: "stop", 1: "length"})
    assert heard.usage == Told(5, 3, cached_tokens=2)
    assert (heard.starts, heard.terminals, heard.pings, heard.usages, heard.after_terminal) == (1, 1, 1, 1, 0)
    assert (heard.thinking, len(heard.deltas)) == ("hm", 3)


def test_chat_tool_calls_by_index() -> None:
    def call(index: int, arguments: str, **head: Any) -> dict[str, Any]:
        return delta(
            tool_calls=[
                {
                    "index": index,
                    "function": {"arguments": arguments, **head},
                    **({"id": f"call_{index}"} if head else {}),
                }
            ]
        )

    heard = openai_chat.read_stream(
        parse(chat_stream(call(0, "", name="a"), call(1, "", name="b"), call(1, "{}"), call(0, '{"x":'), call(0, "1}")))
    )
    assert [(c.id, c.name, c.arguments, c.index) for c in heard.calls] == [
        ("call_0", "a", '{"x":1}', 0),
        ("call_1", "b", "{}", 1),
    ]


def test_chat_error_inside_a_stream() -> None:
    heard = openai_chat.read_stream(
        parse(chat_stream(delta(content="a"), {"error": {"type": "api_error", "message": "gone"}}))
    )
    assert (heard.text, heard.error, heard.terminals) == ("a", ("api_error", "gone"), 0)


def test_chat_events_after_the_end_are_counted() -> None:
    assert openai_chat.read_stream(parse(chat_stream("[DONE]", delta(content="late")))).after_terminal == 1


def test_chat_body() -> None:
    message = {
        "role": "assistant",
        "content": None,
        "refusal": "no",
        "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
    }
    heard = openai_chat.read_json(
        {
            "id": "c",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 1},
        }
    )
    assert (heard.text, heard.refusal, heard.stop, heard.calls[0].name) == ("", "no", "tool_calls", "f")
    assert openai_chat.read_json({"error": {"type": "t", "message": "m"}}).error == ("t", "m")
    assert openai_chat.read_json(None).error is None


MESSAGE: dict[str, Any] = {
    "id": "msg",
    "model": "m",
    "usage": {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 1, "output_tokens": 2},
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "Eo"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "4="}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
]


def test_messages_stream() -> None:
    heard = anthropic_messages.read_stream(parse(named(*EVENTS)))
    assert heard.usage == Told(13, 9, cached_tokens=7, cache_write_tokens=1)
    assert (heard.thinking, heard.signatures, heard.stop) == ("hm", ["Eo4="], "tool_use")
    assert (heard.calls[0].name, heard.calls[0].arguments) == ("f", '{"a":1}')
    assert heard.blocks[1] == {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    assert (heard.starts, heard.terminals, heard.pings, len(heard.deltas)) == (1, 1, 1, 5)


def test_messages_body_is_heard_like_its_stream() -> None:
    streamed = anthropic_messages.read_stream(parse(named(*EVENTS)))
    told = {**MESSAGE["usage"], "output_tokens": 9}
    body = {**MESSAGE, "content": streamed.blocks, "stop_reason": "tool_use", "stop_sequence": None, "usage": told}
    whole = anthropic_messages.read_json(body)
    assert (whole.text, whole.thinking, whole.usage, whole.stop) == (
        streamed.text,
        streamed.thinking,
        streamed.usage,
        streamed.stop,
    )
    assert whole.calls == streamed.calls


def test_messages_error_event() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    heard = anthropic_messages.read_stream(parse(named(*EVENTS[:4], error)))
    assert (heard.error, heard.terminals) == (("overloaded_error", "busy"), 0)


def test_delivered_is_everything_that_counts_as_output() -> None:
    heard = anthropic_messages.read_stream(parse(named(*EVENTS)))
    assert heard.delivered == 'hm{"a":1}'


def test_turns_with_results_answer_every_call() -> None:
    heard = anthropic_messages.read_stream(parse(named(*EVENTS)))
    turns = anthropic_messages.turn_with_result(heard, "ok")
    assert turns[0]["content"] == heard.blocks
    assert turns[1]["content"][0]["tool_use_id"] == "t"
    assert openai_chat.turn_with_result(heard, "ok")[1] == {"role": "tool", "tool_call_id": "t", "content": "ok"}
