"""Gemini's settings as a prompt's and back, and what cannot be said on the other side."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.translation.gemini import request as gemini
from gateway.translation.prompt import (
    File,
    Format,
    Image,
    Prompt,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Untranslatable,
)
from tests.gateway.translation.gemini_bodies import FLASH_2, FLASH_3, answer, asked, contents, conversation, model

Json = dict[str, Any]

TOOLS = [{"functionDeclarations": [{"name": name} for name in "abc"]}]


@pytest.mark.parametrize(
    ("config", "choice", "offered"),
    [
        ({}, None, "abc"),
        ({"mode": "MODE_UNSPECIFIED"}, None, "abc"),
        ({"mode": "auto"}, ToolChoice("auto"), "abc"),
        ({"mode": "VALIDATED"}, ToolChoice("auto"), "abc"),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["b"]}, ToolChoice("auto"), "b"),
        ({"mode": "NONE"}, ToolChoice("none"), "abc"),
        ({"mode": "ANY"}, ToolChoice("required"), "abc"),
        ({"mode": "ANY", "allowed_function_names": ["b"]}, ToolChoice("tool", "b"), "abc"),
        ({"mode": "ANY", "allowedFunctionNames": ["c", "a"]}, ToolChoice("required"), "ac"),
    ],
)
def test_tool_config(config: Json, choice: ToolChoice | None, offered: str) -> None:
    prompt = gemini.read(contents({"text": "hi"}, tools=TOOLS, tool_config={"function_calling_config": config}))
    assert prompt.tool_choice == choice
    assert "".join(tool.name for tool in prompt.tools) == offered


@pytest.mark.parametrize(
    ("thinking", "name", "due"),
    [
        (Thinking(), "gemini-2.5-flash", {"includeThoughts": True}),
        (Thinking(shown=False), "gemini-3-flash-preview", None),
        (Thinking("none"), "gemini-2.5-flash", {"thinkingBudget": 0}),
        (Thinking("none"), "gemini-2.5-pro-official", {"thinkingBudget": 128}),
        (Thinking("none"), "gemini-3-flash-preview", {"thinkingLevel": "MINIMAL"}),
        (Thinking("none"), "gemini-3.1-pro", {"thinkingLevel": "LOW"}),
        (Thinking("medium", shown=False), "gemini-3.1-pro", {"thinkingLevel": "MEDIUM"}),
        (Thinking("medium", shown=False), "gemini-3-pro-official", {"thinkingLevel": "HIGH"}),
        (Thinking("xhigh", shown=False), "gemini-3-flash-official", {"thinkingLevel": "HIGH"}),
        (Thinking("xhigh", shown=False), "gemini-2.5-flash", {"thinkingBudget": 24576}),
        (Thinking(budget_tokens=5000, shown=False), "gemini-3-flash-official", {"thinkingLevel": "MEDIUM"}),
        (Thinking(budget_tokens=100), "gemini-2.5-flash-lite", {"thinkingBudget": 512, "includeThoughts": True}),
        (Thinking("low", shown=False), "claude-sonnet-4-6", {"thinkingBudget": 2048}),
        (Thinking("high"), "gemini-2.0-flash", None),
    ],
)
def test_thinking_in_the_model_s_own_terms(thinking: Thinking, name: str, due: Json | None) -> None:
    body = gemini.write(asked(thinking=thinking), model(name))
    assert body.get("generationConfig", {}).get("thinkingConfig") == due


@pytest.mark.parametrize(
    ("config", "due"),
    [
        ({"thinkingBudget": -1}, Thinking(shown=False)),
        ({"thinking_budget": 0, "include_thoughts": True}, Thinking(budget_tokens=0)),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, Thinking(shown=False)),
        ({"thinkingLevel": "low"}, Thinking("low", shown=False)),
    ],
)
def test_thinking_as_the_caller_wants_it(config: Json, due: Thinking) -> None:
    assert gemini.read(contents({"text": "hi"}, generationConfig={"thinkingConfig": config})).thinking == due


def test_instructions_alone_are_what_the_user_says() -> None:
    body = gemini.write(Prompt((), instructions=("Say hi.",)), FLASH_3)
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Say hi."}]}]}


def test_a_model_name_and_a_stream_flag_in_the_body_are_known() -> None:
    assert gemini.read(contents({"text": "hi"}, model="gemini-3.1-pro", stream=True)).stream


HI = contents({"text": "hi"})
DEEP = orjson.loads('{"items":' * 300 + "{}" + "}" * 300)
CALL = {"functionCall": {"name": "f", "args": {}}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (HI | {"cachedContent": "cachedContents/1"}, "cachedContent"),
        (HI | {"generationConfig": {"candidateCount": 2}}, "candidateCount"),
        (HI | {"generationConfig": {"responseLogprobs": True}}, "responseLogprobs"),
        (HI | {"generationConfig": {"responseModalities": ["AUDIO"]}}, "responseModalities"),
        (HI | {"generationConfig": {"responseMimeType": "text/x.enum"}}, "responseMimeType"),
        (HI | {"generationConfig": {"topK": 1.5}}, "topK"),
        (HI | {"generationConfig": {"temperature": "hot"}}, "`generationConfig.temperature` is a string"),
        (HI | {"generationConfig": {"thinkingConfig": {"thinkingLevel": "deep"}}}, "thinkingLevel"),
        (HI | {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "no function"),
        (HI | {"tools": [{"functionDeclarations": [{}]}]}, "`tools\\[0\\].functionDeclarations\\[0\\]` has no name"),
        (HI | {"tools": [{"functionDeclarations": [{"name": "f", "parameters": DEEP}]}]}, "nested too deep"),
        (HI | {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": DEEP}]}]}, "nested too deep"),
        (conversation({"role": "model", "parts": [{"functionCall": {"name": "f", "args": DEEP}}]}), "nested too deep"),
        (HI | {"systemInstruction": {"parts": [{"inlineData": {}}]}}, "systemInstruction.parts\\[0\\]"),
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "role"),
        (contents({"text": ""}), "say nothing"),
        (contents({"text": 5}), "`contents\\[0\\].parts\\[0\\].text` is a number"),
        (contents({"hologram": {}}), "hologram"),
        (contents({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}), "video"),
        (contents({"fileData": {"fileUri": "gs://bucket/a.png"}}), "fileUri"),
        (contents({"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a"}}), "fileUri"),
        (contents({"fileData": {"fileUri": "https://youtu.be/x"}}), "unknown type"),
        (contents(answer("f", {})), "answers no functionCall"),
        (contents(CALL), "the user's"),
        (conversation({"role": "model", "parts": [CALL, answer("f", {})]}), "the model's"),
        (conversation({"role": "model", "parts": [{"functionCall": {"name": "f", "args": 1}}]}), "args"),
    ],
)
def test_what_cannot_be_said_elsewhere_is_named(body: Json, words: str) -> None:
    with pytest.raises(Untranslatable, match=words):
        gemini.read(body)


USER = Turn("user", (Text("hi"),))


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (asked(stop=tuple("abcdef")), "stop sequences"),
        (asked(tools=(Tool("1st"),)), "tool name"),
        (asked(tools=(Tool("f"),), tool_choice=ToolChoice("tool", "g")), "not offered"),
        (asked(Turn("user", (Image("image/gif", "AAAA"),))), "image/gif"),
        (asked(Turn("user", (File(data="AAAA"),))), "type is not told"),
        (asked(USER, Turn("assistant", (ToolCall("a", "f", "{}"),)), USER), "'a' is not answered"),
        (asked(USER, Turn("assistant", (ToolCall("a", "f", "{}"),))), "'a' is not answered"),
        (asked(Turn("user", (ToolResult("a", ()),))), "'a' answers no call"),
        (
            asked(
                USER, Turn("assistant", (ToolCall("a", "f", "[1]"),)), Turn("user", (ToolResult("a", (Text("x"),)),))
            ),
            "no JSON object",
        ),
        (Prompt(()), "says nothing"),
    ],
)
def test_what_gemini_has_no_words_for_is_named(prompt: Prompt, words: str) -> None:
    with pytest.raises(Untranslatable, match=words):
        gemini.write(prompt, FLASH_3)


def test_gemini_2_takes_no_json_form_beside_tools() -> None:
    prompt = asked(tools=(Tool("f"),), format=Format())
    with pytest.raises(Untranslatable, match="tools"):
        gemini.write(prompt, FLASH_2)
    assert gemini.write(prompt, FLASH_3)["generationConfig"] == {"responseMimeType": "application/json"}
