"""Responses requests, read and written: what is written comes back the same, and nothing odd breaks the reader."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from openai.types.responses import (
    EasyInputMessageParam,
    ResponseCustomToolCallOutputParam,
    ResponseCustomToolCallParam,
    ResponseFunctionToolCallParam,
    ToolParam,
)
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from openai.types.responses.response_input_item_param import FunctionCallOutput
from pydantic import TypeAdapter

from gateway.errors import InvalidRequest
from gateway.translation.prompt import (
    File,
    Format,
    Image,
    Prompt,
    Sound,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Untranslatable,
)
from gateway.translation.responses import request as responses
from simulator.dialects.responses import fields as fleet_fields
from simulator.dialects.responses import input as fleet_input
from tests.gateway.translation.responses_requests import (
    CALL,
    FIND,
    FIND_TOOL,
    HELLO,
    OPENAI,
    OUTPUT,
    check,
    reading,
    refusal,
    user,
)
from tests.gateway.translation.strategies import (
    DATA,
    efforts,
    files,
    formats,
    images,
    json_values,
    linked_images,
    prompts,
    texts,
    wrecked,
)

REQUEST: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)
ITEMS: dict[str, TypeAdapter[Any]] = {
    "message": TypeAdapter(EasyInputMessageParam),
    "function_call": TypeAdapter(ResponseFunctionToolCallParam),
    "function_call_output": TypeAdapter(FunctionCallOutput),
    "custom_tool_call": TypeAdapter(ResponseCustomToolCallParam),
    "custom_tool_call_output": TypeAdapter(ResponseCustomToolCallOutputParam),
}
TOOLS: TypeAdapter[Any] = TypeAdapter(list[ToolParam])

responses_prompts = prompts(
    pieces=texts | images | linked_images | files,
    result_pieces=texts | images | files,
    custom=True,
    strict=True,
    parallel_calls=st.none() | st.booleans(),
    thinking=st.none() | efforts | st.just(Thinking(effort="low", shown=False)),
    format=st.none() | formats,
    limit=st.none() | st.integers(16, 4000),
    stop=st.just(()),
)


def as_responses_say_it(prompt: Prompt) -> Prompt:
    """The prompt as it is written: no sampling where the model thinks, `strict` always told."""
    thinks = prompt.thinking is not None and prompt.thinking.effort != "none"
    tools = tuple(tool if tool.custom else replace(tool, strict=tool.strict is True) for tool in prompt.tools)
    return replace(
        prompt,
        tools=tools,
        parallel_calls=prompt.parallel_calls if tools else None,
        temperature=None if thinks else prompt.temperature,
        top_p=None if thinks else prompt.top_p,
    )


@given(responses_prompts)
def test_what_is_written_is_read_again(prompt: Prompt) -> None:
    assert responses.read(responses.write(prompt, OPENAI)) == as_responses_say_it(prompt)


@given(responses_prompts)
def test_what_is_written_is_a_request_of_the_wire_and_of_the_sdk(prompt: Prompt) -> None:
    body = responses.write(prompt, OPENAI)
    wanted = check(body)
    assert (wanted.stream, wanted.limit) == (prompt.stream, prompt.limit)
    assert (body["model"], body["store"]) == ("gpt-5.5", False)
    REQUEST.validate_python({**body, "stream": False, "input": ""})
    for item in body["input"]:
        ITEMS[item["type"]].validate_python(item)
    TOOLS.validate_python(body.get("tools", []))


@given(responses_prompts)
def test_the_fleet_takes_what_is_written(prompt: Prompt) -> None:
    prompt = replace(prompt, tools=tuple(replace(tool, strict=None) for tool in prompt.tools), format=None)
    body = responses.write(prompt, OPENAI)
    fleet_fields.check(body)
    fleet_input.check_pairs(body["input"])
    fleet_input.check_adjacent(body["input"])


@given(wrecked(responses_prompts.map(lambda prompt: responses.write(prompt, OPENAI))))
def test_a_body_that_is_wrong_somewhere_is_read_or_refused(body: dict[str, Any]) -> None:
    read_and_written(body)


@given(st.lists(st.dictionaries(st.sampled_from(
    ["content", "role", "call_id", "name", "namespace", "arguments", "input", "output", "tools"]
), json_values)), json_values)  # fmt: skip
def test_any_items_are_read_or_refused(items: list[dict[str, Any]], tools: Any) -> None:
    kinds = ("message", "function_call", "function_call_output", "custom_tool_call", "additional_tools", "reasoning")
    told = [{"type": kinds[number % len(kinds)], **item} for number, item in enumerate(items)]
    read_and_written({"input": told, "tools": tools})


@given(st.dictionaries(st.sampled_from(
    ["tools", "tool_choice", "text", "temperature", "top_p", "reasoning", "include", "instructions", "top_logprobs",
     "parallel_tool_calls", "prompt", "max_output_tokens"]
), json_values))  # fmt: skip
def test_any_members_are_read_or_refused(members: dict[str, Any]) -> None:
    read_and_written({"input": "Hello", **members})


def read_and_written(body: dict[str, Any]) -> None:
    try:
        check(body)
    except InvalidRequest:
        assume(False)
    with suppress(Untranslatable):
        check(responses.write(responses.read(body), OPENAI))


def test_a_text_and_the_usual_members() -> None:
    prompt = reading(instructions="Be short.", stream=True, max_output_tokens=50, temperature=0.5, top_p=1)
    assert prompt == replace(HELLO, instructions=("Be short.",), stream=True, limit=50, temperature=0.5, top_p=1.0)


def test_instructions_are_read_wherever_they_stand() -> None:
    items = [
        {"role": "system", "content": "Be short."},
        user({"type": "input_text", "text": "Hello"}),
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "In verse."}]},
    ]
    prompt = reading(instructions="Be kind.", input=items)
    assert prompt == replace(HELLO, instructions=("Be kind.", "Be short.", "In verse."))
    body = responses.write(prompt, OPENAI)
    assert body["instructions"] == "Be kind."
    assert [item["role"] for item in body["input"]] == ["developer", "developer", "user"]


def test_parts_of_a_message() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_text", "text": ""},
        {"type": "input_image", "image_url": f"data:image/webp;base64,{DATA}", "detail": "low"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "original"},
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
    ]
    prompt = reading(input=[user(*parts)])
    assert prompt.turns[0].content == (
        Text("What is this?"),
        Image("image/webp", DATA, detail="low"),
        Image(url="https://example.com/a.png", detail="high"),
        File("application/pdf", DATA, name="a.pdf"),
        File(url="https://example.com/a.pdf"),
        Sound("audio/wav", DATA),
    )
    with pytest.raises(Untranslatable, match="speech"):
        responses.write(prompt, OPENAI)


def test_a_conversation_with_tools() -> None:
    said = {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}
    items = [
        {"role": "user", "content": "Hello"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAAB"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [said]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {**CALL, "id": "fc_1"},
        {**CALL, "call_id": "call_2", "arguments": ""},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "none"}]},
        OUTPUT,
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "And?"},
    ]
    prompt = reading(input=items, tools=[FIND, {"type": "web_search"}])
    assert prompt == Prompt(
        turns=(
            Turn("user", (Text("Hello"),)),
            Turn(
                "assistant", (Text("I look."), ToolCall("call_1", "find", '{"a":1}'), ToolCall("call_2", "find", "{}"))
            ),
            Turn("user", (ToolResult("call_2", (Text("none"),)), ToolResult("call_1", (Text("found"),)))),
            Turn("assistant", (Text("No."),)),
            Turn("user", (Text("And?"),)),
        ),
        tools=(FIND_TOOL,),
    )
    kinds = [item["type"] for item in responses.write(prompt, OPENAI)["input"]]
    calls = ["function_call", "function_call", "function_call_output", "function_call_output"]
    assert kinds == ["message", "message", *calls, "message", "message"]


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ({"effort": "medium", "summary": "auto"}, Thinking("medium")),
        ({"effort": "low"}, Thinking("low", shown=False)),
        ({"effort": "max", "summary": "detailed"}, Thinking("xhigh")),
        ({"effort": "none"}, Thinking("none")),
        ({"summary": "concise"}, Thinking()),
        ({"effort": None, "summary": None}, None),
    ],
)
def test_reasoning(reasoning: Any, expected: Thinking | None) -> None:
    assert reading(reasoning=reasoning).thinking == expected


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (Thinking(budget_tokens=5000), {"effort": "medium", "summary": "auto"}),
        (Thinking(budget_tokens=0), {"effort": "none"}),
        (Thinking("high", shown=False), {"effort": "high"}),
        (Thinking(), {"summary": "auto"}),
    ],
)
def test_thinking_is_written(thinking: Thinking, expected: Any) -> None:
    assert responses.write(replace(HELLO, thinking=thinking), OPENAI)["reasoning"] == expected


def test_json_answers() -> None:
    schema = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    assert reading(text={"format": schema, "verbosity": "low"}).format == Format("city", {"type": "object"}, True)
    prompt = reading(text={"format": {"type": "json_object"}})
    assert prompt.format == Format()
    body = responses.write(prompt, OPENAI)
    assert body["text"] == {"format": {"type": "json_object"}}
    assert body["input"][0]["content"] == "Answer with one JSON object."
    asked = replace(prompt, turns=(Turn("user", (Text("As JSON, please."),)),))
    assert len(responses.write(asked, OPENAI)["input"]) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"previous_response_id": "resp_1"}, "`previous_response_id`"),
        ({"prompt": {"id": "pmpt_1"}}, "`prompt`"),
        ({"top_logprobs": 2}, "`top_logprobs`"),
        ({"include": ["message.output_text.logprobs"]}, "`top_logprobs`"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "'item_reference'"),
        ({"input": [{"type": "local_shell_call_output", "id": "ls_1", "output": "{}"}]}, "'local_shell_call_output'"),
        ({"input": [{"type": "compaction", "encrypted_content": "gAAA"}]}, "'compaction'"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "nothing that could be answered"),
        ({"input": ""}, "nothing that could be answered"),
        ({"input": [{"role": "tool", "content": "found"}]}, "`input[0].role` is 'tool'"),
        ({"input": [{"role": "user", "content": 7}]}, "`input[0].content` is a number"),
        ({"input": [{"role": "user", "content": [7]}]}, "`input[0].content[0]` is a number"),
        ({"input": [user({"type": "input_image", "file_id": "file_1"})]}, "kept elsewhere"),
        ({"input": [user({"type": "input_file", "file_id": "file_1"})]}, "kept elsewhere"),
        ({"input": [user({"type": "input_image", "image_url": "ftp://a/b"})]}, "neither a web address"),
        ({"input": [{**CALL, "arguments": "[1"}]}, "`input[0].arguments`"),
        ({"input": [{**CALL, "call_id": None}]}, "`input[0].call_id` is missing"),
        ({"reasoning": {"effort": "utmost"}}, "'utmost'"),
        ({"text": {"format": {"type": "grammar"}}}, "'grammar'"),
        ({"tools": [FIND], "tool_choice": {"type": "function", "name": "drop"}}, "'drop'"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart(fields: Any, words: str) -> None:
    assert words in refusal(**fields)


def test_what_only_steers_is_left_out() -> None:
    fields = {
        "include": ["reasoning.encrypted_content"],
        "metadata": {"a": "b"},
        "prompt_cache_key": "key",
        "service_tier": "flex",
        "store": True,
        "truncation": "auto",
        "user": "ada",
    }
    assert reading(**fields) == HELLO


def test_what_responses_cannot_say() -> None:
    with pytest.raises(Untranslatable, match="stop sequences"):
        responses.write(replace(HELLO, stop=("END",)), OPENAI)
    picture = Turn("assistant", (Image("image/png", DATA),))
    with pytest.raises(Untranslatable, match="assistant"):
        responses.write(replace(HELLO, turns=(*HELLO.turns, picture)), OPENAI)
    assert responses.write(replace(HELLO, limit=5), OPENAI)["max_output_tokens"] == 16
    assert responses.write(replace(HELLO, temperature=9.0), OPENAI)["temperature"] == 2.0


def test_calls_and_results_that_miss_each_other() -> None:
    turns = (
        *HELLO.turns,
        Turn("assistant", (ToolCall("c" * 70, "find", "{}"), ToolCall("call_2", "find", "{}"))),
        Turn("user", (ToolResult("call_2", (Text("found"),)), ToolResult("call_9", (Text("lost"),)))),
    )
    items = responses.write(replace(HELLO, turns=turns), OPENAI)["input"]
    fleet_input.check_pairs(items)
    assert len(items[1]["call_id"]) <= 64
    assert [item["output"] for item in items[3:5]] == ["found", "(no result)"]
    assert items[5]["content"] == [{"type": "input_text", "text": "lost"}]
