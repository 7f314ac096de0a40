"""Tools and thinking in Chat requests: custom and hosted tools, and the words of each vendor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.translation.chat import request as chat
from gateway.translation.prompt import CUSTOM_SCHEMA, Thinking, Tool, ToolCall, ToolChoice
from schemas.catalogue import MODELS
from tests.gateway.translation.chat_requests import (
    CALL,
    DEEPSEEK,
    FIND,
    GLM,
    HELLO,
    KIMI,
    MINIMAX,
    OPENAI,
    QWEN,
    USER,
    reading,
    refusal,
)


def test_custom_tools() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x+/"}}
    tools = [{"type": "custom", "custom": {"name": "patch", "description": "Edits.", "format": grammar}}, FIND]
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "patch", "input": "xx"}}
    messages = [USER, {"role": "assistant", "tool_calls": [custom]}, {"role": "tool", "tool_call_id": "call_1"}]
    prompt = reading(messages=messages, tools=tools, tool_choice={"type": "custom", "custom": {"name": "patch"}})
    assert prompt.custom_tools() == {"patch"}
    assert "start: /x+/" in prompt.tools[0].description
    assert prompt.turns[1].content == (ToolCall("call_1", "patch", "xx"),)
    assert prompt.tool_choice == ToolChoice("tool", "patch")
    written = chat.write(prompt, GLM)
    assert written["tools"][0]["function"]["parameters"] == CUSTOM_SCHEMA
    assert written["messages"][1]["tool_calls"][0]["function"] == {"name": "patch", "arguments": '{"input":"xx"}'}


def test_a_custom_call_whose_tool_is_not_offered_any_more() -> None:
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "patch", "input": "xx"}}
    prompt = reading(messages=[USER, {"role": "assistant", "tool_calls": [custom]}])
    assert prompt.turns[1].content == (ToolCall("call_1", "patch", '{"input":"xx"}'),)


def test_hosted_tools_are_left_out_unless_they_are_demanded() -> None:
    search = {"type": "web_search", "web_search": {"enable": True}}
    assert reading(tools=[search, FIND]).tools == (Tool("find", schema={"type": "object"}),)
    assert "web_search" in refusal(tools=[search, FIND], tool_choice={"type": "web_search"})
    assert "no function" in refusal(tools=[search], tool_choice="required")
    assert reading(tools=[search], tool_choice="auto") == HELLO


def test_of_the_tools_only_those_that_are_allowed_are_offered() -> None:
    tools = [FIND, {"type": "function", "function": {"name": "other"}}]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "other"}}, "odd"]}
    prompt = reading(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert (prompt.tools, prompt.tool_choice) == ((Tool("other"),), ToolChoice("required"))


@pytest.mark.parametrize(
    ("model", "thinking", "members"),
    [
        (OPENAI, Thinking(effort="minimal"), {"reasoning_effort": "minimal"}),
        (OPENAI, Thinking(budget_tokens=8000), {"reasoning_effort": "medium"}),
        (OPENAI, Thinking(), {}),
        (GLM, Thinking(effort="none"), {"thinking": {"type": "disabled"}}),
        (GLM, Thinking(budget_tokens=2000), {"thinking": {"type": "enabled"}}),
        (QWEN, Thinking(budget_tokens=2000), {"enable_thinking": True, "thinking_budget": 2000}),
        (QWEN, Thinking(effort="none"), {"enable_thinking": False}),
        (MINIMAX, Thinking(effort="high"), {}),
        (MODELS["claude-opus-4-6"], Thinking(effort="xhigh"), {"reasoning_effort": "high"}),
    ],
)
def test_thinking_is_asked_for_in_the_words_of_the_vendor(
    model: Any, thinking: Thinking, members: dict[str, Any]
) -> None:
    written = chat.write(replace(HELLO, thinking=thinking), model)
    assert {name: value for name, value in written.items() if name not in ("model", "messages")} == members
    assert thinking.effort is None or model not in (OPENAI, GLM) or chat.read(written).thinking == thinking


@pytest.mark.parametrize("model", [DEEPSEEK, KIMI])
def test_a_vendor_that_wants_the_thoughts_of_calls_back_is_asked_for_none(model: Any) -> None:
    messages = [USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "call_1"}]
    prompt = reading(messages=messages, tools=[FIND], reasoning_effort="high")
    assert chat.write(prompt, model)["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({"reasoning_effort": "max"}, Thinking(effort="xhigh")),
        ({"reasoning_effort": "odd"}, None),
        ({"thinking": {"type": "enabled"}}, Thinking()),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Thinking(budget_tokens=2000)),
        ({"enable_thinking": True, "thinking_budget": 99}, Thinking(budget_tokens=99)),
        ({"enable_thinking": False}, Thinking(effort="none")),
        ({"reasoning": {"max_tokens": 2000, "exclude": True}}, Thinking(budget_tokens=2000, shown=False)),
    ],
)
def test_thinking_is_read_in_the_words_of_any_vendor(fields: dict[str, Any], thinking: Thinking | None) -> None:
    assert reading(**fields).thinking == thinking


def test_the_limit_has_the_name_that_the_vendor_takes() -> None:
    assert reading(max_tokens=5, max_completion_tokens=7).limit == 7
    prompt = replace(HELLO, limit=7)
    assert chat.write(prompt, OPENAI)["max_completion_tokens"] == 7
    assert chat.write(prompt, GLM)["max_tokens"] == 7
