"""Anthropic requests: what is refused and in which words, what is read, what it costs in input tokens."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.ask import Request, Turn
from simulator.dialects.anthropic.problems import MAX_BODY_BYTES
from simulator.problem import Refused
from tests.simulator.anthropic_wire import (
    CALL,
    DIALECT,
    FORCED,
    RESULT,
    THINKS,
    TOOL,
    USER,
    answered,
    asked,
    body,
    decoded,
    message,
    profile,
    refusal,
    text,
    told,
    turn,
    user,
)

COMPLAINTS: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model: Field required"),
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"messages": None}, "messages: Field required"),
    ({"model": 5}, "model: Input should be a valid string"),
    ({"max_tokens": "many"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
    ({"max_tokens": 10**6}, "max_tokens: 1000000 > 64000, which is the maximum allowed number of output tokens for"),
    ({"messages": "hello"}, "messages: Input should be a valid list"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": ["hello"]}, "messages.0: Input should be a valid dictionary"),
    ({"messages": [{"content": "x"}]}, "messages.0.role: Field required"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content: Input should be a valid list"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty content"),
    ({"messages": [{"role": "robot", "content": "x"}]}, 'messages: Unexpected role "robot".'),
    ({"messages": [{"role": "system", "content": "x"}, USER]}, 'messages: Unexpected role "system". The Messages API'),
    ({"messages": [turn(text("Hm."))]}, 'messages: first message must use the "user" role'),
    ({"messages": [user(text(""))]}, "messages: text content blocks must be non-empty"),
    ({"messages": [user(text(" \n"))]}, "messages: text content blocks must contain non-whitespace text"),
    (
        {"messages": [user({"type": "song"})]},
        "messages.0.content.0: Input tag 'song' found using 'type' does not match",
    ),
    ({"messages": [user({"text": "x"})]}, "messages.0.content.0: Unable to extract tag using discriminator 'type'"),
    ({"messages": [user({"type": "text"})]}, "messages.0.content.0.text.text: Field required"),
    ({"messages": [user({"type": "image"})]}, "messages.0.content.0.image.source: Field required"),
    (
        {"messages": [user({"type": "image", "source": {"type": "base64", "data": "", "media_type": "image/tiff"}})]},
        "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png'",
    ),
    (
        {"messages": [USER, {"role": "assistant", "content": "Well "}]},
        "messages: final assistant content cannot end with",
    ),
    ({"messages": [user(CALL)]}, "messages.0: `tool_use` blocks can only be in `assistant` messages"),
    ({"messages": [USER, turn(RESULT)]}, "messages.1: `tool_result` blocks can only be in `user` messages"),
    ({"system": 5}, "system: Input should be a valid string or list"),
    ({"system": [{"type": "image"}]}, "system.0: Input tag 'image' found using 'type'"),
    ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ({"temperature": 2}, "temperature: range: 0..1"),
    ({"temperature": "hot"}, "temperature: Input should be a valid number"),
    ({"top_k": 1.5}, "top_k: Input should be a valid integer"),
    ({"temperature": 0.5, "top_p": 0.5}, "`temperature` and `top_p` cannot both be specified for this model."),
    ({"colour": "blue"}, "colour: Extra inputs are not permitted"),
    ({"stop_sequences": "stop"}, "stop_sequences: Input should be a valid list"),
    ({"stop_sequences": ["\n"]}, "stop_sequences: each stop sequence must contain non-whitespace"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id: Input should be a valid string"),
    ({"service_tier": "gold"}, "service_tier: Input should be 'auto' or 'standard_only'"),
    ({"cache_control": {"type": "forever"}}, "cache_control: Input tag 'forever' found using 'type'"),
    ({"tools": [{"name": "look"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools.0.custom.name: String should match pattern"),
    ({"tools": [{"name": "look", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    ({"tool_choice": {"type": "any"}}, "tool_choice: tool_choice may only be specified while providing tools"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "all"}},
        "tool_choice: Input tag 'all' found using 'type' does not match",
    ),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "dig"}}, "Tool 'dig' not found in provided tools"),
    ({"output_config": {"effort": "huge"}}, "output_config.effort: Input should be 'low', 'medium', 'high'"),
    ({"output_config": {"effort": "low"}}, "This model does not support the effort parameter."),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: Field required"),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    ({"thinking": THINKS | {"budget_tokens": 1023}}, "thinking.enabled.budget_tokens: Input should be greater than"),
    ({"thinking": THINKS, "max_tokens": 1024}, "`max_tokens` must be greater than `thinking.budget_tokens`."),
    ({"thinking": THINKS, "temperature": 0}, "`temperature` may only be set to 1 when thinking is enabled."),
    ({"thinking": THINKS, "top_k": 5}, "`top_k` must be unset when thinking is enabled."),
    (
        {"thinking": THINKS, "tools": [TOOL], "tool_choice": FORCED},
        "Thinking may not be enabled when tool_choice forces",
    ),
    ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported on this model"),
    (
        {"thinking": THINKS, "messages": [USER, turn(text("Hm."), CALL), user(RESULT)]},
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`. When `thinking` is "
        "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of",
    ),
    (
        {"messages": [USER, turn(CALL), USER]},
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_01A. Each "
        "`tool_use` block must have a corresponding `tool_result` block in the next message.",
    ),
    ({"messages": [USER, turn(CALL)]}, "messages.1: `tool_use` ids were found without `tool_result` blocks"),
    (
        {"messages": [USER, turn(text("Hm.")), user(text("So?"), RESULT)]},
        "messages.2.content.1: unexpected `tool_use_id` found in `tool_result` blocks: toolu_01A.",
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), COMPLAINTS, ids=[sentence[:60] for _, sentence in COMPLAINTS])
def test_what_is_refused(fields: dict[str, Any], sentence: str) -> None:
    found = refusal(body(**fields))
    assert (found["status"], found["type"]) == (400, "invalid_request_error")
    assert found["message"].startswith(sentence), found["message"]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "The request body is not valid JSON"),
        (b"{", "The request body is not valid JSON"),
        (b"\xff{}", "The request body is not valid JSON"),
        (b'{"model": NaN}', "The request body is not valid JSON"),
        (b"[]", "Input should be a valid dictionary"),
        (b"[" * 100_000, "The request body is not valid JSON"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "The request body is nested too deeply"),
    ],
)
def test_what_is_no_object(raw: bytes, sentence: str) -> None:
    assert refusal(raw)["message"].startswith(sentence)


def test_a_body_over_the_limit() -> None:
    assert refusal(b" " * (MAX_BODY_BYTES + 1)) == {
        "status": 413,
        "type": "request_too_large",
        "message": "Request exceeds the maximum size",
    }


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id"]), inner),
    max_leaves=8,
)
FIELDS = ["model", "max_tokens", "messages", "system", "tools", "tool_choice", "thinking", "stop_sequences", "stream"]


@given(st.dictionaries(st.sampled_from([*FIELDS, "output_config", "cache_control", "metadata"]), ANYTHING, max_size=3))
def test_whatever_comes_is_taken_or_refused(fields: dict[str, Any]) -> None:
    """Never another exception: nothing that a client sends is the fleet's failure."""
    with suppress(Refused):
        decoded(json.dumps({**body(), **fields}).encode())


@given(st.lists(st.dictionaries(st.sampled_from(["role", "content", "type"]), ANYTHING), max_size=2), st.booleans())
def test_whatever_messages_come_too(parts: list[Any], nested: bool) -> None:
    with suppress(Refused):
        asked(body(messages=[{"role": "user", "content": parts}] if nested else parts))


def test_the_version_header() -> None:
    for headers in ({}, {"anthropic-version": "1999-01-01"}):
        with pytest.raises(Refused, match="anthropic-version: "):
            DIALECT.decode(Request("POST", "/v1/messages", "", headers, json.dumps(body()).encode()), "generate")


def test_the_version_of_2026_10_refuses_sampling_and_more() -> None:
    new = "2026-10-21"
    for name in ("temperature", "top_p", "top_k"):
        assert refusal(body(**{name: 1}), anthropic_version=new)["message"] == f"{name}: Extra inputs are not permitted"
        asked(body(**{name: 1}))
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    for fields in (
        {"messages": [USER, turn(document), USER]},
        {"messages": [user(text("x", citations=[{"type": "char_location"}]))]},
    ):
        assert refusal(body(**fields), anthropic_version=new)["status"] == 400
        asked(body(**fields))
    asked(
        body(messages=[USER, turn(text("Hm.")), {"role": "system", "content": "Be brief."}, USER]),
        anthropic_version=new,
    )


def test_keys() -> None:
    keys = frozenset({"sk-ant-fleet-anthropic"})

    def complaint(**headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with pytest.raises(Refused) as raised:
            DIALECT.authenticate(Request("POST", "/v1/messages", "", named, b""), keys)
        found = told(raised.value.problem)
        assert (found["status"], found["type"]) == (401, "authentication_error")
        return str(found["message"])

    assert complaint() == "x-api-key header is required"
    assert complaint(x_api_key="sk-wrong") == "invalid x-api-key"
    assert complaint(authorization="Bearer sk-wrong") == "Invalid bearer token"
    assert complaint(authorization="Basic sk-ant-fleet-anthropic") == "x-api-key header is required"
    for headers in ({"x-api-key": "sk-ant-fleet-anthropic"}, {"authorization": "Bearer sk-ant-fleet-anthropic"}):
        DIALECT.authenticate(Request("POST", "/v1/messages", "", headers, b""), keys)


def thought(model: str = "claude-haiku-4-5", provider: str = "anthropic") -> dict[str, Any]:
    """A thinking block as a provider wrote it."""
    facts = profile(model, provider)
    whole = message(answered(asked(body(model=model, thinking=THINKS), facts), facts=facts))
    block: dict[str, Any] = whole["content"][0]
    return block


def history(block: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A request whose history holds a thinking block at messages.1.content.0."""
    return body(messages=[USER, turn(block, text("Warm.")), USER], thinking=THINKS, **fields)


INVALID = "messages.1.content.0: Invalid `signature` in `thinking` block"


def test_own_thinking_is_recognised() -> None:
    asked(history(thought()))
    asked(history(thought(), model="claude-haiku-4-5-20251001"))


@pytest.mark.parametrize(
    "change",
    [
        lambda block: {**block, "thinking": block["thinking"] + "."},
        lambda block: {**block, "thinking": block["thinking"][1:]},
        lambda block: {**block, "signature": ""},
        lambda block: {**block, "signature": block["signature"][:-4]},
        lambda block: {**block, "signature": block["signature"].swapcase()},
    ],
)
def test_edited_thinking_is_not(change: Any) -> None:
    assert refusal(history(change(thought())))["message"] == INVALID


def test_another_providers_or_models_thinking_is_not() -> None:
    assert refusal(history(thought(provider="anthropic-eu")))["message"] == INVALID
    assert refusal(history(thought("claude-sonnet-4-5")))["message"] == INVALID
    asked(history(thought(provider="anthropic-eu")), x_windtunnel_signatures="any")
    redacted = {"type": "redacted_thinking", "data": "EmRk"}
    assert refusal(history(redacted))["message"].endswith("Invalid `data` in `redacted_thinking` block")


def test_model_facts_refuse() -> None:
    long = body("word " * 250_000)
    assert refusal(long)["message"].startswith("prompt is too long: 25")
    DIALECT.check(decoded({k: v for k, v in long.items() if k != "max_tokens"}, "count_tokens"), profile())
    asked(body(model="claude-sonnet-4-6", messages=[USER, turn(text("Well"))]))
    found = refusal(body(model="claude-opus-4-6", messages=[USER, turn(text("Well"))]))
    assert found["message"].startswith("This model does not support assistant message prefill.")
    found = refusal(body(model="claude-opus-4-6", output_config={"effort": "xhigh"}))
    assert found["message"] == (
        "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium."
    )
    found = refusal(body(model="claude-sonnet-5", thinking=THINKS))
    assert found["message"].startswith('"thinking.type.enabled" is not supported for this model.')
    found = refusal(body(model="claude-3-5-haiku-latest", thinking=THINKS))
    assert found["message"] == "'claude-3-5-haiku-latest' does not support thinking."


def test_a_tool_loop_with_thinking_goes_on() -> None:
    first = message(answered(asked(body(tools=[TOOL], thinking=THINKS))))
    assert [block["type"] for block in first["content"]] == ["thinking", "tool_use"]
    use = first["content"][1]
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": [text("37")]}
    ask = asked(body(tools=[TOOL], thinking=THINKS, messages=[USER, turn(*first["content"]), user(result)]))
    assert [block["type"] for block in message(answered(ask))["content"]] == ["thinking", "text"]


def test_consecutive_messages_are_one_turn() -> None:
    """Results may come in several messages, as the wire merges them."""
    other = CALL | {"id": "toolu_01B"}
    ask = asked(body(messages=[USER, turn(CALL, other), user(RESULT), user(RESULT | {"tool_use_id": "toolu_01B"})]))
    assert ask.turns[-1] == Turn("user", "37 degrees\n37 degrees", tool_results=2)


def test_what_is_read() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    ask = asked(
        body(
            system=[text("Be brief."), text("Be kind.")],
            messages=[user(text("Look."), image)],
            tools=[
                TOOL,
                {"type": "web_search_20250305", "name": "web_search"},
                {"type": "bash_20250124", "name": "bash"},
            ],
            tool_choice=FORCED | {"disable_parallel_tool_use": True},
            stop_sequences=["END"],
            stream=True,
        )
    )
    assert ask.turns == (Turn("system", "Be brief.\nBe kind."), Turn("user", "Look.", images=1))
    assert [tool.kind for tool in ask.tools] == ["function", "web_search_20250305", "function"]
    assert ask.tools[2].schema["required"] == ["command"]
    assert (ask.tool_choice, ask.parallel_tools, ask.stop, ask.stream) == ("look", False, ("END",), True)
    assert asked(body(tools=[TOOL], tool_choice={"type": "any"})).tool_choice == "required"
    assert asked(body(tools=[TOOL], tool_choice={"type": "none"})).tool_choice == "none"


def test_counting_takes_neither_max_tokens_nor_stream() -> None:
    counted = body(max_tokens=None)
    assert decoded(counted, "count_tokens").input_tokens == asked(body()).input_tokens
    for name, value in (("max_tokens", 5), ("stream", True)):
        with pytest.raises(Refused, match=f"{name}: Extra inputs are not permitted"):
            decoded(counted | {name: value}, "count_tokens")
