"""Anthropic replies: a stream is its message, byte facts of the framing, usage, stops, native blocks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.answers import tokens
from simulator.answers.answer import Block, Native, Refusal, Stop, Text, Thinking, ToolCall, Usage
from simulator.ask import Ask
from simulator.dialects.anthropic.messages import PING
from simulator.dialects.base import Serving
from simulator.problem import Problem
from simulator.rules.directives import AnswerSpec
from tests.simulator.anthropic_wire import (
    DIALECT,
    FRAME,
    NONCE,
    SERVING,
    THINKS,
    answer,
    answered,
    asked,
    body,
    decoded,
    events,
    message,
    profile,
    told,
)

TEXTS = st.text(max_size=60)
CALLS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", min_size=24, max_size=24)
ARGUMENTS = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-9, 9) | TEXTS | st.lists(TEXTS), max_size=4)
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    TEXTS.map(lambda text: Text(tuple(tokens.split(text)))),
    TEXTS.map(lambda text: Thinking(tuple(tokens.split(text)))),
    st.builds(ToolCall, CALLS, st.just("look"), ARGUMENTS),
    st.builds(lambda text: Native({"type": "text", "text": text, "citations": [{"url": text}]}), TEXTS),
    st.builds(
        lambda call, given: Native({"type": "server_tool_use", "id": call, "name": "x", "input": given}, True),
        CALLS,
        ARGUMENTS,
    ),
    st.builds(lambda call: Native({"type": "web_search_tool_result", "tool_use_id": call, "content": []}), CALLS),
    TEXTS.map(lambda text: Native({"type": "compaction", "content": text})),
)
USAGES = st.builds(
    lambda plain, cached, wrote, out, thought: Usage(plain + cached + wrote, out + thought, cached, wrote, thought),
    *([st.integers(0, 5000)] * 5),
)


def both(ask: Ask, blocks: list[Block], usage: Usage, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same answer as one message and as a stream put together again."""
    serving = Serving(NONCE, SERVING.now_s, seed)
    facts = profile(ask.model)
    made = answer(blocks, usage=usage)
    whole = DIALECT.reply(made, ask._replace(stream=False), facts, serving)
    parts = DIALECT.reply(made, ask._replace(stream=True), facts, serving)
    return message(whole), message(parts)


@given(st.lists(BLOCKS, max_size=5), USAGES, st.integers(min_value=0))
def test_a_stream_adds_up_to_the_message(blocks: list[Block], usage: Usage, seed: int) -> None:
    whole, parts = both(asked(body()), blocks, usage, seed)
    assert parts == whole


@given(st.lists(BLOCKS, max_size=4), st.integers(min_value=0))
def test_padding_is_0_to_15_spaces_and_the_ping_has_none(blocks: list[Block], seed: int) -> None:
    script = DIALECT.reply(answer(blocks), asked(body(stream=True)), profile(), Serving(NONCE, SERVING.now_s, seed))
    for frame in script.frames:
        if frame.kind == "ping":
            assert frame.data == PING
            continue
        match = FRAME.fullmatch(frame.data)
        assert match
        inner = match[2][:-1].rstrip(b" ")
        compact = json.dumps(json.loads(match[2]), separators=(",", ":"), ensure_ascii=False).encode()
        assert inner + b"}" == compact
        assert 0 <= len(match[2]) - len(compact) <= 15


@given(USAGES, st.integers(min_value=0))
def test_usage_is_cumulative_and_input_excludes_the_cache(usage: Usage, seed: int) -> None:
    script = DIALECT.reply(
        answer(usage=usage), asked(body(stream=True)), profile(), Serving(NONCE, SERVING.now_s, seed)
    )
    first, last = (event for event in events(script) if event["type"] in ("message_start", "message_delta"))
    start, final = first["message"]["usage"], last["usage"]
    assert final["output_tokens"] == usage.output_tokens
    assert 0 < start["output_tokens"] <= 8 or not usage.output_tokens
    assert start["output_tokens"] <= final["output_tokens"]
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert [start[name] for name in names] == [final[name] for name in names]
    assert sum(final[name] for name in names) == usage.input_tokens
    assert sum(start["cache_creation"].values()) == usage.cache_write_tokens


@given(st.lists(BLOCKS, max_size=5), st.booleans())
def test_the_same_seed_gives_the_same_bytes(blocks: list[Block], stream: bool) -> None:
    ask = asked(body(stream=stream))
    assert DIALECT.reply(answer(blocks), ask, profile(), SERVING) == DIALECT.reply(
        answer(blocks), ask, profile(), SERVING
    )


def test_frames_deliver_every_token_and_byte_once() -> None:
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}}}
    for spec in (AnswerSpec(), AnswerSpec(tool_call=True, say="Let me look."), AnswerSpec(refusal=True)):
        ask = asked(body(stream=True, tools=[tool], thinking={"type": "enabled", "budget_tokens": 1024}))
        script = answered(ask, spec)
        output_tokens = next(e for e in events(script) if e["type"] == "message_delta")["usage"]["output_tokens"]
        assert sum(frame.tokens for frame in script.frames) == output_tokens
        parts = message(script)["content"]
        text = "".join(b.get("text", "") + b.get("thinking", "") for b in parts)
        given = "".join(json.dumps(b["input"]) for b in parts if b.get("input"))
        assert sum(frame.text_bytes for frame in script.frames) == len((text + given).encode())


GOLDEN = [
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-haiku-4-5-20251001",'
    b'"id":"msg_01Nonce0Nonce0Nonce0Nonc","type":"message","role":"assistant","content":[],"stop_reason":null,'
    b'"stop_sequence":null,"stop_details":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
    b'"output_tokens":8,"service_tier":"standard","inference_geo":"not_available"}}}\n\n',
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
    b'"text":""}}\n\n',
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":"The"}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":" water \xe2\x98\x95"}}\n\n',
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"is",'
    b'"stop_details":null},"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
    b'"output_tokens":40}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]


def test_the_events_of_a_plain_stream() -> None:
    """Golden bytes, but for the padding."""
    made = answer([Text(("The", " water ☕"))], Stop.STOP_SEQUENCE, stop_sequence="is")
    script = DIALECT.reply(made, asked(body(stream=True)), profile(), SERVING)
    found = [frame.data for frame in script.frames]
    stripped = [data[:-3].rstrip(b" ") + data[-3:] for data in found]
    assert stripped == GOLDEN
    assert [frame.kind for frame in script.frames] == [
        "start",
        "start",
        "ping",
        "delta",
        "delta",
        "start",
        "stop",
        "end",
    ]
    assert script.stream
    assert dict(script.headers)["content-type"] == "text/event-stream; charset=utf-8"
    assert dict(script.headers)["cache-control"] == "no-cache"


def test_a_json_reply_byte_by_byte() -> None:
    made = answer([ToolCall("C" * 24, "look", {"where": "é"})], Stop.TOOL)
    script = DIALECT.reply(made, asked(body()), profile(), SERVING)
    assert (
        script.frames[0].data
        == (
            '{"model":"claude-haiku-4-5-20251001","id":"msg_01Nonce0Nonce0Nonce0Nonc","type":"message","role":"assistant",'
            '"content":[{"type":"tool_use","id":"toolu_01CCCCCCCCCCCCCCCCCCCCCC","name":"look","input":{"where":"é"},'
            '"caller":{"type":"direct"}}],"stop_reason":"tool_use","stop_sequence":null,"stop_details":null,'
            '"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
            '"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":40,'
            '"service_tier":"standard","inference_geo":"not_available"}}'
        ).encode()
    )
    assert dict(script.headers)["request-id"] == f"req_01{NONCE}"
    assert dict(script.headers)["content-type"] == "application/json"


def test_an_old_model_tells_less() -> None:
    script = DIALECT.reply(answer(), asked(body()), profile("claude-3-opus-20240229"), SERVING)
    whole = message(script)
    assert next(iter(whole)) == "id"
    assert whole["usage"] == {"input_tokens": 12, "output_tokens": 40}
    assert "stop_details" not in whole


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        (Stop.END, "end_turn"),
        (Stop.LENGTH, "max_tokens"),
        (Stop.TOOL, "tool_use"),
        (Stop.STOP_SEQUENCE, "stop_sequence"),
        (Stop.REFUSAL, "refusal"),
        (Stop.FILTER, "refusal"),
    ],
)
def test_stop_reasons(stop: Stop, word: str) -> None:
    assert message(DIALECT.reply(answer(stop=stop), asked(body()), profile(), SERVING))["stop_reason"] == word


def test_a_refusal_has_no_content_and_says_why() -> None:
    made = answer([Refusal("No.")], Stop.REFUSAL)
    script = DIALECT.reply(made, asked(body(stream=True)), profile(), SERVING)
    assert [event["type"] for event in events(script)] == ["message_start", "ping", "message_delta", "message_stop"]
    whole = message(script)
    assert whole["content"] == []
    assert whole["stop_details"] == {"type": "refusal", "category": "general_harms", "explanation": "No."}


def test_usage_that_is_not_told_leaves_no_trace() -> None:
    for stream in (False, True):
        script = DIALECT.reply(answer(told=None), asked(body(stream=stream)), profile(), SERVING)
        assert all(b"usage" not in frame.data for frame in script.frames)


def test_thinking_comes_first_with_one_signature_before_its_stop() -> None:
    script = answered(asked(body(stream=True, thinking=THINKS)))
    kinds = [event["delta"]["type"] for event in events(script) if event["type"] == "content_block_delta"]
    assert kinds.count("signature_delta") == 1
    assert set(kinds[: kinds.index("signature_delta")]) == {"thinking_delta"}
    assert set(kinds[kinds.index("signature_delta") + 1 :]) == {"text_delta"}
    whole = message(script)
    assert whole["content"][0]["signature"].startswith("E")
    assert 0 < whole["usage"]["output_tokens_details"]["thinking_tokens"] < whole["usage"]["output_tokens"]


def test_thinking_left_out_keeps_its_signature() -> None:
    script = answered(asked(body(stream=True, thinking=THINKS | {"display": "omitted"})))
    block = message(script)["content"][0]
    assert block["thinking"] == ""
    history = [{"role": "assistant", "content": [block]}, {"role": "user", "content": "And now?"}]
    asked(body(messages=[{"role": "user", "content": "How?"}, *history]))


def test_redacted_thinking_comes_whole_in_its_start() -> None:
    magic = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_" + "0123456789abcdef" * 4
    script = answered(asked(body(magic, stream=True, thinking=THINKS)))
    first = next(event for event in events(script) if event["type"] == "content_block_start")
    assert first["content_block"]["type"] == "redacted_thinking"
    assert first["content_block"]["data"].startswith("E")
    following = [event["type"] for event in events(script)][1:4]
    assert following == ["content_block_start", "ping", "content_block_stop"]
    history = [{"role": "assistant", "content": [first["content_block"]]}, {"role": "user", "content": "And now?"}]
    asked(body(messages=[{"role": "user", "content": magic}, *history]))


def test_a_call_without_arguments_sends_one_empty_piece() -> None:
    made = answer([ToolCall("C" * 24, "look", {})], Stop.TOOL)
    script = DIALECT.reply(made, asked(body(stream=True)), profile(), SERVING)
    deltas = [event["delta"] for event in events(script) if event["type"] == "content_block_delta"]
    assert deltas == [{"type": "input_json_delta", "partial_json": ""}]


def test_structured_output_validates() -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    whole = message(answered(asked(body(output_config={"format": {"type": "json_schema", "schema": schema}}))))
    made = json.loads(whole["content"][0]["text"])
    assert set(made) == {"city", "people"}
    assert isinstance(made["people"], int)


@pytest.mark.parametrize("name", sorted(set(DIALECT.natives) - {"offered"}))
@pytest.mark.parametrize("stream", [False, True])
def test_native_blocks_stream_as_they_are_told(name: str, stream: bool) -> None:
    ask = asked(body(stream=stream, model="claude-sonnet-4-6"))
    whole = message(answered(ask, AnswerSpec(native=(name,))))
    other = message(answered(ask._replace(stream=not stream), AnswerSpec(native=(name,))))
    assert whole["content"] == other["content"]
    assert whole["content"][-1]["type"] == "text"
    assert len(whole["content"]) > 1
    calls = [b["id"] for b in whole["content"] if b["type"] in ("server_tool_use", "mcp_tool_use")]
    results = [b["tool_use_id"] for b in whole["content"] if b["type"].endswith("_tool_result")]
    assert calls == results
    assert ("server_tool_use" in whole["usage"]) == bool(results)
    assert ("container" in whole) == name.endswith("code_execution")


def test_a_waiting_server_tool_gets_its_result_first() -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_01waiting", "name": "web_search", "input": {"query": "tea"}}
    messages = [{"role": "user", "content": "Search."}, {"role": "assistant", "content": [use]}]
    ask = asked(body(messages=[*messages, {"role": "user", "content": "And?"}]))
    first = message(answered(ask, AnswerSpec(native=("web_search",))))["content"][0]
    assert first["type"] == "web_search_tool_result"
    assert first["tool_use_id"] == "srvtoolu_01waiting"


def test_offered_runs_what_the_request_offers() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, {"type": "web_fetch_20250910", "name": "web_fetch"}]
    edits = {"edits": [{"type": "compact_20260112"}]}
    ask = asked(body(tools=tools, context_management=edits, mcp_servers=[{"type": "url", "url": "x", "name": "wiki"}]))
    whole = message(answered(ask, AnswerSpec(native=("offered",))))
    kinds = [block["type"] for block in whole["content"]]
    assert kinds[:3] == ["compaction", "mcp_tool_use", "mcp_tool_result"]
    assert {"web_search_tool_result", "web_fetch_tool_result"} < set(kinds)
    assert whole["usage"]["server_tool_use"] == {"web_search_requests": 1, "web_fetch_requests": 1}
    assert [run["type"] for run in whole["usage"]["iterations"]] == ["compaction", "message"]
    assert whole["context_management"] == {"applied_edits": []}
    assert message(answered(asked(body()), AnswerSpec(native=("offered",))))["content"][0]["type"] == "text"


def test_context_management_is_told_by_beta_and_by_memory() -> None:
    memory = [{"type": "memory_20250818", "name": "memory"}]
    for ask in (asked(body(tools=memory)), asked(body(), anthropic_beta="context-management-2025-06-27")):
        assert message(answered(ask))["context_management"] == {"applied_edits": []}
    assert "context_management" not in message(answered(asked(body())))


def test_a_container_asked_for_is_used_again() -> None:
    ask = asked(
        body(container="container_01mine", tools=[{"type": "code_execution_20260120", "name": "code_execution"}])
    )
    whole = message(answered(ask, AnswerSpec(native=("code_execution",))))
    assert whole["container"]["id"] == "container_01mine"


def test_a_count_says_nothing_but_the_count() -> None:
    ask = decoded(body(max_tokens=None), "count_tokens")
    script = DIALECT.count(ask, profile(), SERVING)
    assert script.frames[0].data == b'{"input_tokens":%d}' % ask.input_tokens


def test_the_list_of_models() -> None:
    known = {"claude-haiku-4-5": "claude-haiku-4-5-20251001", "claude-sonnet-4-6": "claude-sonnet-4-6"}
    page = json.loads(DIALECT.models(known, SERVING).frames[0].data)
    assert list(page) == ["data", "has_more", "first_id", "last_id"]
    assert [row["id"] for row in page["data"]] == ["claude-sonnet-4-6", "claude-haiku-4-5-20251001"]
    assert page["data"][1]["display_name"] == "Claude Haiku 4.5"
    assert page["data"][1]["created_at"] == "2025-10-01T00:00:00Z"
    one = json.loads(DIALECT.models(known, SERVING, "claude-haiku-4-5").frames[0].data)
    assert one == page["data"][1]
    assert DIALECT.models(known, SERVING, "nobody").status == 404
    assert json.loads(DIALECT.models({}, SERVING).frames[0].data)["data"] == []


@pytest.mark.parametrize(
    ("problem", "status", "kind", "sentence"),
    [
        (Problem("authentication"), 401, "authentication_error", "invalid x-api-key"),
        (Problem("unknown_model", param="claude-nobody"), 404, "not_found_error", "model: claude-nobody"),
        (Problem("too_large"), 413, "request_too_large", "Request exceeds the maximum size"),
        (Problem("overloaded"), 529, "overloaded_error", "Overloaded"),
        (Problem("status", status=529), 529, "overloaded_error", "Overloaded"),
        (Problem("status", status=503), 503, "api_error", "Service temporarily unavailable"),
        (Problem("status", status=418), 418, "invalid_request_error", "Unexpected error"),
        (Problem("status", status=599), 599, "api_error", "Unexpected error"),
        (Problem("nobody knows"), 500, "api_error", "Internal server error"),
        (Problem("server_error", "Boom"), 500, "api_error", "Boom"),
    ],
)
def test_problems_in_native_words(problem: Problem, status: int, kind: str, sentence: str) -> None:
    assert told(problem) == {"status": status, "type": kind, "message": sentence}


def test_an_exhausted_balance_is_a_400_unless_a_status_is_asked() -> None:
    plain = told(Problem("insufficient_quota"))
    assert (plain["status"], plain["type"]) == (400, "invalid_request_error")
    assert plain["message"].startswith("Your credit balance is too low")
    limited = told(Problem("insufficient_quota", code="insufficient_quota", status=429))
    assert (limited["status"], limited["type"]) == (429, "rate_limit_error")
    assert limited["message"] == plain["message"]
    assert limited["details"] == {"error_code": "insufficient_quota"}


def test_an_error_within_a_stream() -> None:
    assert DIALECT.error_frame(Problem("overloaded"), SERVING) == (
        b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error",'
        b'"message":"Overloaded"}}\n\n'
    )


def test_error_headers_tell_whether_to_retry() -> None:
    for problem, retry in ((Problem("overloaded"), "true"), (Problem("unknown_model"), "false")):
        assert dict(DIALECT.error(problem, SERVING).headers)["x-should-retry"] == retry
    added = Problem("rate_limit", headers=(("retry-after", "7"), ("x-should-retry", "false")))
    headers = DIALECT.error(added, SERVING).headers
    assert [value for name, value in headers if name == "x-should-retry"] == ["false"]
    assert ("retry-after", "7") in headers
