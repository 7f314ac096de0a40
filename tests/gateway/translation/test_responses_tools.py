"""Tools of Responses requests: custom ones, namespaces, those that items bring, and what may or must be called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.translation.prompt import Tool, ToolCall, ToolChoice
from gateway.translation.responses import request as responses
from tests.gateway.translation.responses_requests import (
    CALL,
    FIND,
    FIND_TOOL,
    HELLO,
    OPENAI,
    OUTPUT,
    PATCH,
    reading,
    refusal,
)


def test_a_custom_tool() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: begin"}
    items = [
        {"role": "user", "content": "Hello"},
        {"type": "custom_tool_call", "call_id": "call_1", "name": "apply_patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
    ]
    prompt = reading(input=items, tools=[{**PATCH, "format": grammar}], tool_choice={**PATCH, "description": None})
    assert prompt.custom_tools() == {"apply_patch"}
    assert prompt.tools[0].description == "Edits files.\n\nThe text must follow this lark grammar:\nstart: begin"
    assert prompt.tool_choice == ToolChoice("tool", "apply_patch")
    assert prompt.turns[1].content == (ToolCall("call_1", "apply_patch", "*** Begin"),)
    body = responses.write(prompt, OPENAI)
    assert body["input"][1:] == items[1:]
    assert body["tools"] == [{"type": "custom", "name": "apply_patch", "description": prompt.tools[0].description}]
    assert body["tool_choice"] == {"type": "custom", "name": "apply_patch"}


def test_a_custom_call_of_a_tool_that_is_offered_no_more_is_a_call_of_a_function() -> None:
    items = [
        {"role": "user", "content": "Hello"},
        {"type": "custom_tool_call", "call_id": "call_1", "name": "apply_patch", "input": "*** Begin"},
    ]
    assert reading(input=items).turns[1].content == (ToolCall("call_1", "apply_patch", '{"input":"*** Begin"}'),)


def test_tools_of_a_namespace_are_called_by_both_names() -> None:
    namespace = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [FIND, PATCH]}
    items = [{"role": "user", "content": "Hello"}, {**CALL, "namespace": "crm"}, OUTPUT]
    prompt = reading(input=items, tools=[FIND, namespace])
    assert [tool.name for tool in prompt.tools] == ["find", "crm--find", "crm--apply_patch"]
    assert prompt.custom_tools() == {"crm--apply_patch"}
    assert prompt.turns[1].content == (ToolCall("call_1", "crm--find", '{"a":1}'),)
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "crm"}]}
    assert [tool.name for tool in reading(tools=[FIND, namespace], tool_choice=allowed).tools] == [
        "crm--find",
        "crm--apply_patch",
    ]
    assert "namespace 'crm-'" in refusal(tools=[{**namespace, "name": "crm-"}])
    assert "`tools[0].name`" in refusal(tools=[{**FIND, "name": "crm--find"}])


def test_items_may_bring_tools() -> None:
    items = [
        {"role": "user", "content": "Hello"},
        {"type": "additional_tools", "role": "developer", "tools": [PATCH, {**FIND, "description": "Another one."}]},
    ]
    prompt = reading(input=items, tools=[FIND])
    assert prompt == replace(HELLO, tools=(FIND_TOOL, Tool("apply_patch", "Edits files.", custom=True)))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "find"}, ToolChoice("tool", "find")),
    ],
)
def test_a_tool_choice(choice: Any, expected: ToolChoice) -> None:
    prompt = reading(tools=[FIND], tool_choice=choice)
    assert prompt.tool_choice == expected
    assert responses.write(prompt, OPENAI)["tool_choice"] == choice


def test_allowed_tools_are_those_that_are_offered() -> None:
    other = {**FIND, "name": "drop"}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "find"}]}
    prompt = reading(tools=[other, FIND], tool_choice=allowed)
    assert (prompt.tools, prompt.tool_choice) == ((FIND_TOOL,), ToolChoice("required"))
    only_hosted = {**allowed, "tools": [{"type": "image_generation"}]}
    assert "demands a call" in refusal(tools=[FIND, {"type": "image_generation"}], tool_choice=only_hosted)


def test_hosted_tools_are_left_out_unless_one_must_be_called() -> None:
    tools = [{"type": "web_search"}, {"type": "local_shell"}, {"type": "mcp", "server_label": "docs"}]
    assert reading(tools=tools, tool_choice="auto") == HELLO
    assert "demands a call" in refusal(tools=tools, tool_choice="required")
    assert "'web_search'" in refusal(tools=tools, tool_choice={"type": "web_search"})
