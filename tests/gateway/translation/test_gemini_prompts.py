"""Gemini's requests as prompts and back: nothing is lost, the fake fleet and Google's SDK take what is written."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import orjson
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.translation.gemini import request as gemini
from gateway.translation.prompt import (
    CUSTOM_SCHEMA,
    File,
    Format,
    Image,
    Prompt,
    Sound,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Untranslatable,
)
from gateway.wires.gemini import GenerateWire
from tests.gateway.translation.gemini_bodies import FLASH_2, FLASH_3, answer, asked, contents, conversation, model
from tests.gateway.translation.strategies import (
    budgets,
    efforts,
    files,
    formats,
    images,
    linked_images,
    prompts,
    sounds,
    texts,
    wrecked,
)
from tests.simulator import gemini_wire

Json = dict[str, Any]

PIECES = texts | images | linked_images | files | sounds
SHOWN = st.booleans()


def on_the_wire(body: Json) -> Json:
    """The body as a reader of bytes has it."""
    read: Json = orjson.loads(orjson.dumps(body))
    return read


def told_by_google(prompt: Prompt) -> Prompt:
    """What of a prompt is left on Google's wire: no names of files and formats, nothing strict, one text per result."""
    custom = prompt.custom_tools()

    def content(item: Any) -> Any:
        match item:
            case File():
                return replace(item, name="")
            case Image() if item.url:
                return replace(item, media_type="image/png")
            case ToolCall() if item.name in custom:
                return replace(item, arguments=orjson.dumps({"input": item.arguments}).decode())
            case ToolResult():
                said = "\n".join(piece.text for piece in item.content if isinstance(piece, Text))
                media = tuple(content(piece) for piece in item.content if not isinstance(piece, Text))
                return replace(item, content=((Text(said),) if said else ()) + media)
        return item

    tools = (Tool(one.name, one.description, CUSTOM_SCHEMA if one.custom else one.schema) for one in prompt.tools)
    return replace(
        prompt,
        turns=tuple(Turn(turn.role, tuple(map(content, turn.content))) for turn in prompt.turns),
        tools=tuple(tools),
        format=prompt.format and Format(schema=prompt.format.schema),
        stream=False,
    )


rich_prompts = prompts(
    pieces=PIECES,
    result_pieces=texts | images | linked_images,
    custom=True,
    strict=True,
    failed=True,
    format=st.none() | formats | st.just(Format()),
    top_k=st.none() | st.integers(1, 99),
    thinking=st.none() | st.builds(Thinking, st.sampled_from(["minimal", "low", "medium", "high"]), shown=SHOWN),
)
older_prompts = prompts(
    pieces=PIECES,
    thinking=st.none() | st.builds(Thinking, budget_tokens=st.just(0) | st.integers(1024, 24_576), shown=SHOWN),
)


@given(rich_prompts)
def test_a_prompt_survives_the_wire_of_gemini_3(prompt: Prompt) -> None:
    assert gemini.read(on_the_wire(gemini.write(prompt, FLASH_3))) == told_by_google(prompt)


@given(older_prompts)
def test_a_prompt_survives_the_wire_of_gemini_2(prompt: Prompt) -> None:
    due = told_by_google(prompt)
    if due.thinking is not None and due.thinking.budget_tokens == 0:
        due = replace(due, thinking=replace(due.thinking, shown=False))
    assert gemini.read(on_the_wire(gemini.write(prompt, FLASH_2))) == due


@pytest.mark.parametrize(
    "name", ["gemini-3-flash-preview", "gemini-3.1-pro-preview", "gemini-2.5-flash", "gemini-2.5-pro"]
)
def test_the_fleet_takes_what_is_written(name: str) -> None:
    """The fleet pairs calls and responses, demands signatures, and knows each model's budgets and levels."""
    forms = st.none() if name.startswith("gemini-2") else st.none() | formats

    @given(
        prompts(
            pieces=PIECES,
            result_pieces=texts | images,
            custom=True,
            failed=True,
            format=forms,
            thinking=st.none() | efforts | budgets | st.just(Thinking()),
            temperature=st.none() | st.floats(-1, 3),
        )
    )
    def take(prompt: Prompt) -> None:
        ask, _ = gemini_wire.Call(gemini.write(prompt, model(name)), name).read()
        assert ask.max_tokens == prompt.limit
        assert [tool.name for tool in ask.tools if tool.kind == "function"] == offered(prompt)

    take()


def offered(prompt: Prompt) -> list[str]:
    """The names of the tools that may be called."""
    forced = prompt.tool_choice is not None and prompt.tool_choice.mode == "tool"
    return [tool.name for tool in prompt.tools if not forced or tool.name == getattr(prompt.tool_choice, "name", "")]


@given(rich_prompts)
def test_google_s_sdk_knows_every_member(prompt: Prompt) -> None:
    body = on_the_wire(gemini.write(prompt, FLASH_3))
    for content in [*body.pop("contents"), body.pop("systemInstruction", {})]:
        types.Content.model_validate(content)
    for tool in body.pop("tools", []):
        types.Tool.model_validate(tool)
    types.ToolConfig.model_validate(body.pop("toolConfig", {}))
    types.GenerationConfig.model_validate(body.pop("generationConfig", {}))
    assert body == {}


@given(wrecked(rich_prompts.map(lambda prompt: gemini.write(prompt, FLASH_3))))
def test_whatever_is_wrong_is_untranslatable(body: Json) -> None:
    """Nothing else is ever raised: what the wire accepts and what it does not."""
    with contextlib.suppress(Untranslatable):
        orjson.dumps(gemini.write(gemini.read(body), FLASH_3))
    with contextlib.suppress(InvalidRequest):
        GenerateWire("gemini-3-flash-preview", stream=False).check(body)


@given(rich_prompts)
def test_both_spellings_say_the_same(prompt: Prompt) -> None:
    body = on_the_wire(gemini.write(prompt, FLASH_3))
    assert gemini.read(snake(body)) == gemini.read(body)


KEPT = ("args", "response", "parametersJsonSchema", "responseJsonSchema")


def snake(value: Any) -> Any:
    """The body with its members in snake_case, but for what is inside the caller's own objects."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in name): inner if name in KEPT else snake(inner)
        for name, inner in value.items()
    }


CALLED = {
    "role": "model",
    "parts": [
        {"text": "let me think", "thought": True},
        {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "Ep8CCpw="},
        {"functionCall": {"name": "g"}},
        {"functionCall": {"name": "f", "args": {"x": 2}}},
    ],
}


def test_calls_without_ids_are_answered_by_name_and_order() -> None:
    answers = {
        "role": "function",
        "parts": [answer("f", {"result": "1"}), answer("f", {"error": "2"}), answer("g", {"a": 3})],
    }
    turns = gemini.read(conversation(CALLED, answers)).turns
    assert turns[1].content == (
        ToolCall("call_0", "f", '{"x":1}'),
        ToolCall("call_1", "g", "{}"),
        ToolCall("call_2", "f", '{"x":2}'),
    )
    assert turns[2].content == (
        ToolResult("call_0", (Text("1"),)),
        ToolResult("call_2", (Text("2"),), failed=True),
        ToolResult("call_1", (Text('{"a":3}'),)),
    )


def test_calls_with_ids_are_answered_by_them() -> None:
    calls: list[Json] = [{"functionCall": {"id": ident, "name": "f", "args": {}}} for ident in ("call_0", "b")]
    calls.append({"functionCall": {"name": "f", "args": {}}})
    answers = [answer("f", {"output": ident}, id=ident) for ident in ("b", "call_0")]
    body = conversation({"role": "model", "parts": calls}, {"parts": [*answers, answer("f", {"output": "c"})]})
    turns = gemini.read(body).turns
    assert [call.id for call in turns[1].content if isinstance(call, ToolCall)] == ["call_0", "b", "call_1"]
    assert [(one.id, one.content) for one in turns[2].content if isinstance(one, ToolResult)] == [
        ("b", (Text("b"),)),
        ("call_0", (Text("call_0"),)),
        ("call_1", (Text("c"),)),
    ]


def test_an_id_that_comes_again_is_another_call() -> None:
    """Some clients count the calls of each turn anew."""
    step = (
        {"role": "model", "parts": [{"functionCall": {"id": "0", "name": "f", "args": {}}}]},
        {"role": "user", "parts": [answer("f", {"result": "x"}, id="0")]},
    )
    prompt = gemini.read(conversation(*step, *step))
    ids = [item.id for turn in prompt.turns for item in turn.content if isinstance(item, ToolCall | ToolResult)]
    assert ids == ["0", "0", "call_0", "call_0"]


def test_an_id_that_was_made_for_another_call_is_not_taken_twice() -> None:
    calls = [{"functionCall": {"name": "f"}}, {"functionCall": {"id": "call_0", "name": "f"}}]
    answers = [answer("f", {"result": "second"}, id="call_0"), answer("f", {"result": "first"})]
    turns = gemini.read(conversation({"role": "model", "parts": calls}, {"parts": answers})).turns
    assert turns[1].content == (ToolCall("call_0", "f", "{}"), ToolCall("call_1", "f", "{}"))
    assert turns[2].content == (ToolResult("call_1", (Text("second"),)), ToolResult("call_0", (Text("first"),)))


def test_the_first_call_of_each_turn_skips_the_validator() -> None:
    """Gemini 3 refuses a history of another vendor's calls without; with it, the fleet takes it."""
    body = gemini.write(gemini.read(conversation(CALLED, {"parts": [answer(n, {}) for n in "fgf"]})), FLASH_3)
    parts = body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["skip_thought_signature_validator", None, None]
    declared = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
    gemini_wire.Call(body | {"tools": declared}, FLASH_3.id).read()
    del parts[0]["thoughtSignature"]
    assert "thought_signature" in gemini_wire.refused(body | {"tools": declared}, FLASH_3.id)["message"]


def test_results_stand_in_the_order_of_their_calls_before_what_is_said() -> None:
    prompt = asked(
        Turn("user", (Text("hi"),)),
        Turn("assistant", (ToolCall("a", "f", ""), ToolCall("b", "g", "{}"))),
        Turn("user", (Text("go on"), ToolResult("b", ()), ToolResult("a", (Text("x"), Text("y")), failed=True))),
    )
    assert gemini.write(prompt, FLASH_3)["contents"][2]["parts"] == [
        {"functionResponse": {"id": "a", "name": "f", "response": {"error": "x\ny"}}},
        {"functionResponse": {"id": "b", "name": "g", "response": {"result": ""}}},
        {"text": "go on"},
    ]


def test_pictures_of_a_result_follow_it_on_models_before_gemini_3() -> None:
    prompt = asked(
        Turn("user", (Text("hi"),)),
        Turn("assistant", (ToolCall("a", "f", "{}"),)),
        Turn("user", (ToolResult("a", (Image("image/png", "AAAA"),)),)),
    )
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    response = {"id": "a", "name": "f", "response": {"result": ""}}
    assert gemini.write(prompt, FLASH_2)["contents"][2]["parts"] == [{"functionResponse": response}, picture]
    inside = {"functionResponse": response | {"parts": [picture]}}
    assert gemini.write(prompt, FLASH_3)["contents"][2]["parts"] == [inside]


def test_what_google_s_tools_did_is_passed_over() -> None:
    body = conversation(
        {
            "role": "model",
            "parts": [
                {"executableCode": {"language": "PYTHON", "code": "1"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                {"text": "It is 1.", "thoughtSignature": "AAAA"},
                {"text": "", "thoughtSignature": "AAAA"},
            ],
        },
        {"role": "model", "parts": [{"text": "Really."}]},
    )
    body["tools"] = [{"googleSearch": {}}, {"codeExecution": {}}]
    prompt = gemini.read(body)
    assert prompt.turns[1:] == (Turn("assistant", (Text("It is 1."), Text("Really."))),)
    assert prompt.tools == ()


def test_media_are_told_apart_by_their_types() -> None:
    parts = [
        {"inline_data": {"mime_type": "image/webp", "data": "AAAA"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "a.pdf"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/1"}},
        {"file_data": {"file_uri": "https://example.com/a.pdf?x=1"}},
    ]
    assert gemini.read(contents(*parts)).turns[0].content == (
        Image("image/webp", "AAAA"),
        Sound("audio/mpeg", "AAAA"),
        File("application/pdf", "AAAA", name="a.pdf"),
        Image("image/jpeg", url="https://example.com/1"),
        File("application/pdf", url="https://example.com/a.pdf?x=1"),
    )


def test_an_address_of_no_known_type_is_written_without_one() -> None:
    prompt = asked(Turn("user", (Image(url="https://example.com/picture"),)))
    [part] = gemini.write(prompt, FLASH_3)["contents"][0]["parts"]
    assert part == {"fileData": {"fileUri": "https://example.com/picture"}}


def test_google_s_own_schema_becomes_json_schema() -> None:
    given_schema = {
        "type": "OBJECT",
        "properties": {
            "any_of": {"type": "STRING", "nullable": True, "enum": ["a"], "format": "enum"},
            "when": {"type": "string", "format": "date-time", "max_length": "9"},
            "list": {"type": "ARRAY", "items": {"any_of": [{"type": "INTEGER", "format": "int64"}]}, "minItems": 1},
        },
        "required": ["any_of"],
        "propertyOrdering": ["any_of"],
    }
    due = {
        "type": "object",
        "properties": {
            "any_of": {"type": ["string", "null"], "enum": ["a", None]},
            "when": {"type": "string", "format": "date-time", "maxLength": 9},
            "list": {"type": "array", "items": {"anyOf": [{"type": "integer"}]}, "minItems": 1},
        },
        "required": ["any_of"],
    }
    tools = [{"function_declarations": [{"name": "f", "parameters": given_schema}]}]
    config = {"response_mime_type": "application/json", "response_schema": given_schema}
    prompt = gemini.read(contents({"text": "hi"}, tools=tools, generation_config=config))
    assert prompt.tools == (Tool("f", schema=due),)
    assert prompt.format == Format(schema=due)


def test_base64_of_urls_becomes_that_of_everybody() -> None:
    """Google's SDKs write it; other providers refuse it."""
    body = contents({"inlineData": {"mimeType": "image/png", "data": "-_-_AA"}})
    assert gemini.read(body).turns == (Turn("user", (Image("image/png", "+/+/AA=="),)),)
