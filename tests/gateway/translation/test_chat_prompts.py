"""Chat requests, read and written: what one dialect says comes back the same, and nothing odd breaks the reader."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from gateway.errors import InvalidRequest
from gateway.translation.chat import request as chat
from gateway.translation.prompt import (
    File,
    Format,
    Image,
    Prompt,
    Sound,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Untranslatable,
)
from gateway.wires.chat import WIRE
from schemas.catalogue import MODELS
from tests.gateway.translation.chat_requests import CALL, FIND, GLM, HELLO, OPENAI, USER, reading, refusal, text
from tests.gateway.translation.strategies import (
    DATA,
    efforts,
    files,
    formats,
    images,
    json_values,
    linked_images,
    prompts,
    sounds,
    texts,
    wrecked,
)

VENDORS_OWN = ("thinking", "enable_thinking", "thinking_budget")
REQUEST: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)
MESSAGES: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionMessageParam])
TOOLS: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionFunctionToolParam])

chat_prompts = prompts(
    pieces=texts | images | linked_images | files | sounds,
    strict=True,
    parallel_calls=st.none() | st.booleans(),
    thinking=st.none() | efforts,
    format=st.none() | formats,
    limit=st.none() | st.integers(1, 4000),
)


def as_chat_says_it(prompt: Prompt) -> Prompt:
    """The prompt with the texts of one message joined, as they are written for servers that take no list."""
    turns = tuple(Turn(turn.role, (*joined_texts(turn.content),)) for turn in prompt.turns)
    together = ("\n\n".join(prompt.instructions),) if prompt.instructions else ()
    parallel = prompt.parallel_calls if prompt.tools else None
    return replace(prompt, turns=turns, instructions=together, parallel_calls=parallel)


def joined_texts(content: tuple[Any, ...]) -> list[Any]:
    made = [
        replace(piece, content=(*joined_texts(piece.content),)) for piece in content if isinstance(piece, ToolResult)
    ]
    said = [piece for piece in content if not isinstance(piece, ToolResult)]
    if len(said) > 1 and all(isinstance(piece, Text) for piece in said):
        said = [Text("\n\n".join(piece.text for piece in said))]
    return made + said


@given(chat_prompts)
def test_what_is_written_is_read_again(prompt: Prompt) -> None:
    assert chat.read(chat.write(prompt, OPENAI)) == as_chat_says_it(prompt)


@given(chat_prompts, st.sampled_from(sorted(MODELS.values(), key=lambda model: model.id)))
def test_what_is_written_is_a_request_of_the_wire_and_of_the_sdk(prompt: Prompt, model: Any) -> None:
    body = chat.write(prompt, model)
    wanted = WIRE.check(body)
    assert (wanted.stream, wanted.limit) == (prompt.stream, prompt.limit)
    assert body["model"] == model.id
    told = {name: value for name, value in body.items() if name not in VENDORS_OWN}
    assert told.keys() <= CompletionCreateParamsNonStreaming.__annotations__.keys() | {"stream"}
    REQUEST.validate_python({**told, "stream": False})
    MESSAGES.validate_python(body["messages"])
    TOOLS.validate_python(body.get("tools", []))


@given(prompts(pieces=texts | images, custom=True, failed=True))
def test_every_call_is_answered_right_after_it(prompt: Prompt) -> None:
    due: list[str] = []
    for message in chat.write(prompt, GLM)["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] == due.pop(0)
        else:
            assert not due
            due = [call["id"] for call in message.get("tool_calls", ())]
    assert not due


@given(wrecked(chat_prompts.map(lambda prompt: chat.write(prompt, OPENAI))))
def test_a_body_that_is_wrong_somewhere_is_read_or_refused(body: dict[str, Any]) -> None:
    read_and_written(body)


@given(st.lists(st.dictionaries(st.sampled_from(["content", "tool_calls", "name", "audio"]), json_values)), json_values)
def test_any_messages_are_read_or_refused(messages: list[dict[str, Any]], tools: Any) -> None:
    roles = ("system", "user", "assistant", "tool", "function", "critic")
    told = [{"role": roles[number % len(roles)], **message} for number, message in enumerate(messages)]
    read_and_written({"messages": told, "tools": tools})


@given(st.dictionaries(st.sampled_from(
    ["tools", "tool_choice", "response_format", "stop", "temperature", "top_p", "top_k", "reasoning_effort", "thinking",
     "reasoning", "enable_thinking", "thinking_budget", "modalities", "functions", "logprobs", "parallel_tool_calls"]
), json_values))  # fmt: skip
def test_any_members_are_read_or_refused(members: dict[str, Any]) -> None:
    read_and_written({"messages": [USER], **members})


def read_and_written(body: dict[str, Any]) -> None:
    try:
        WIRE.check(body)
    except InvalidRequest:
        assume(False)
    with suppress(Untranslatable):
        WIRE.check(chat.write(chat.read(body), OPENAI))


def test_instructions_are_read_wherever_they_stand() -> None:
    messages = [{"role": "system", "content": "Be short."}, USER, {"role": "developer", "content": [text("In verse.")]}]
    assert reading(messages=messages) == replace(HELLO, instructions=("Be short.", "In verse."))
    assert chat.write(reading(messages=messages), GLM)["messages"] == [
        {"role": "system", "content": "Be short.\n\nIn verse."},
        USER,
    ]


def test_parts_of_a_message() -> None:
    parts = [
        text("What is this?"),
        text(""),
        {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{DATA}", "detail": "low"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{DATA}", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "mp3"}},
    ]
    assert reading(messages=[{"role": "user", "content": parts}]).turns[0].content == (
        Text("What is this?"),
        Image("image/webp", DATA, detail="low"),
        Image(url="https://example.com/a.png"),
        File("application/pdf", DATA, name="a.pdf"),
        Sound("audio/mpeg", DATA),
    )


def test_a_conversation_with_tools() -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": [text("found")]},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "No.", "refusal": None},
    ]
    assert reading(messages=messages, tools=[FIND]).turns == (
        Turn("user", (Text("Hello"),)),
        Turn("assistant", (ToolCall("call_1", "find", '{"a":1}'),)),
        Turn("user", (ToolResult("call_1", (Text("found"),)), Text("And?"))),
        Turn("assistant", (Text("No."),)),
    )


def test_a_function_called_in_the_old_way() -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": ""}},
        {"role": "function", "name": "find", "content": "found"},
    ]
    assert reading(messages=messages).turns[1:] == (
        Turn("assistant", (ToolCall("call_1", "find", "{}"),)),
        Turn("user", (ToolResult("call_1", (Text("found"),)),)),
    )
    assert "function_call" in refusal(functions=[{"name": "find"}])
    assert reading(functions=[{"name": "find"}], function_call="none") == HELLO


def test_calls_that_nobody_answered_and_results_of_no_call() -> None:
    turns = (
        Turn("assistant", (ToolCall("a", "find", "{}"), ToolCall("b", "find", "{}"))),
        Turn("user", (ToolResult("b", (Text("two"),)), ToolResult("z", (Text("lost"),)))),
        Turn("assistant", (ToolCall("c", "find", "{}"),)),
    )
    written = chat.write(Prompt(turns), OPENAI)["messages"]
    assert [(message["role"], message.get("tool_call_id"), message["content"]) for message in written] == [
        ("assistant", None, None),
        ("tool", "a", "(no result)"),
        ("tool", "b", "two"),
        ("user", None, "lost"),
        ("assistant", None, None),
        ("tool", "c", "(no result)"),
    ]


def test_ids_of_another_alphabet_become_ids_of_chat() -> None:
    long = "toolu_" + "x" * 60
    turns = (
        Turn("assistant", (ToolCall(long, "find", "{}"),)),
        Turn("user", (ToolResult(long, (Text("found"),)),)),
    )
    called, answered = chat.write(Prompt(turns), OPENAI)["messages"]
    assert called["tool_calls"][0]["id"] == answered["tool_call_id"]
    assert len(answered["tool_call_id"]) <= 40


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n": 2}, "`n`"),
        ({"logprobs": True}, "`logprobs`"),
        ({"modalities": ["text", "audio"]}, "`modalities`"),
        ({"temperature": "hot"}, "`temperature` is a string"),
        ({"stop": ["a", 1]}, "`stop` is a number"),
        ({"tools": {}}, "`tools` is an object"),
        ({"tools": [{"type": "function"}]}, "`tools[0].function` is null"),
        ({"tools": [FIND], "tool_choice": "maybe"}, "`tool_choice`"),
        ({"tools": [FIND], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "'other'"),
        ({"response_format": {"type": "grammar"}}, "'grammar'"),
        ({"messages": [{"role": "critic"}]}, "`messages[0].role` is 'critic'"),
        ({"messages": [{"role": "user", "content": [7]}]}, "`messages[0].content[0]` is a number"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, "'video_url'"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "kept elsewhere"),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "`messages[0].audio`"),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{**CALL, "id": None}]}]},
            "tool_calls[0].id` is missing",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "`messages[0]` answers no call"),
    ],
)
def test_what_is_refused_is_named(fields: dict[str, Any], words: str) -> None:
    assert words in refusal(**fields)


def test_what_only_steers_is_left_out() -> None:
    steering = {"seed": 1, "presence_penalty": 1.0, "logit_bias": {"1": 1}, "user": "u", "metadata": {}, "store": True}
    assert reading(**steering, stream_options={"include_usage": True}, verbosity="low", service_tier="auto") == HELLO


def test_json_without_a_schema_is_asked_for_with_the_word_in_a_message() -> None:
    prompt = reading(response_format={"type": "json_object"})
    assert prompt.format == Format()
    assert "JSON" in chat.write(prompt, OPENAI)["messages"][0]["content"]
    named = replace(prompt, instructions=("Speak Json.",))
    assert chat.write(named, OPENAI)["messages"][0]["content"] == "Speak Json."


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (Prompt(()), "empty"),
        (replace(HELLO, stop=("a", "b", "c", "d", "e")), "4 stop sequences"),
        (replace(HELLO, tools=(Tool("a.b"),)), "'a.b'"),
        (Prompt((Turn("user", (File(url="https://example.com/a.pdf"),)),)), "by an address"),
        (Prompt((Turn("user", (Sound("audio/ogg", DATA),)),)), "audio/ogg"),
        (
            Prompt((
                Turn("assistant", (ToolCall("a", "f", "{}"),)),
                Turn("user", (ToolResult("a", (Image("image/png", DATA),)),)),
            )),
            "pictures",
        ),
    ],
)  # fmt: skip
def test_what_chat_has_no_words_for(prompt: Prompt, words: str) -> None:
    with pytest.raises(Untranslatable, match=words):
        chat.write(prompt, OPENAI)


def test_a_plain_text_file_is_written_as_text() -> None:
    turns = (Turn("user", (File("text/plain", "aGk="), Image("image/png", DATA))),)
    assert chat.write(Prompt(turns), OPENAI)["messages"][0]["content"][0] == text("hi")


def test_numbers_out_of_range_are_brought_into_it() -> None:
    written = chat.write(replace(HELLO, temperature=3.0, top_p=-1.0, top_k=5), OPENAI)
    assert (written["temperature"], written["top_p"]) == (2.0, 0.0)
    assert "top_k" not in written
