"""What a Gemini request may say: names in two cases, roles, calls and responses, limits, and signed thoughts."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.simulator.gemini_wire import TOOLS, Call, Json, body, config, parts, refused, replied, says

THREE = "gemini-3-flash-preview"
RESPONSE = {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"degrees": 21}}}]}


def called(**part: Any) -> Json:
    """A model's turn of one call."""
    return {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, **part}]}


def loop(**part: Any) -> Json:
    """A conversation that waits for what comes after a function's response."""
    return {"contents": [says("How warm is it?"), called(**part), RESPONSE], "tools": TOOLS}


def test_snake_case_asks_the_same_as_camel_case() -> None:
    pixel = {"mime_type": "image/png", "data": "iVBORw0KGgo="}
    snake = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}, {"inline_data": pixel}]}],
        "system_instruction": {"parts": [{"text": "Be short."}]},
        "generation_config": {
            "max_output_tokens": 9,
            "stop_sequences": ["x"],
            "thinking_config": {"thinking_budget": 0},
        },
        "tool_config": {"function_calling_config": {"mode": "none"}},
        "tools": [{"function_declarations": [{"name": "f", "parameters": {"type": "object", "properties": {}}}]}],
    }
    camel = {
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": pixel["data"]}}],
            }
        ],
        "systemInstruction": {"parts": {"text": "Be short."}},
        "generationConfig": {"maxOutputTokens": "9", "stopSequences": "x", "thinkingConfig": {"thinkingBudget": 0}},
        "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
        "tools": {"functionDeclarations": {"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}},
    }
    assert Call(snake).read()[0] == Call(camel).read()[0]


def test_the_ask_says_what_was_asked() -> None:
    sent = {
        "contents": [
            says("Hi"),
            says("Yes?", "model"),
            {"parts": [{"text": "Look"}, {"fileData": {"mimeType": "image/png"}}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be short."}]},
        **config(maxOutputTokens=50, stopSequences=["a", "b"], candidateCount=2, temperature=0.5, topK=40, seed=3),
    }
    ask, _ = Call(sent, method="streamGenerateContent").read()
    assert [(turn.role, turn.text, turn.images) for turn in ask.turns] == [
        ("system", "Be short.", 0),
        ("user", "Hi", 0),
        ("assistant", "Yes?", 0),
        ("user", "Look", 1),
    ]
    assert (ask.max_tokens, ask.stop, ask.choices, ask.stream) == (50, ("a", "b"), 2, True)


def test_a_stop_sequence_ends_the_answer_before_it() -> None:
    found = replied(body('Hi [[answer: say="one two three"]]', **config(stopSequences=["two"])))
    assert parts(found) == [{"text": "one "}]
    assert found["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize(
    ("mode", "calls"), [({"mode": "ANY"}, 1), ({"mode": "NONE"}, 0), ({"mode": "AUTO"}, 1), ({"mode": "VALIDATED"}, 1)]
)
def test_modes_say_whether_a_function_is_called(mode: Json, calls: int) -> None:
    found = replied(body(tools=TOOLS, toolConfig={"functionCallingConfig": mode}))
    assert sum("functionCall" in part for part in parts(found)) == calls


def test_only_allowed_functions_are_called() -> None:
    two = [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}]
    asked = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["b"]}}
    (call,) = parts(replied(body(tools=two, toolConfig=asked)))
    assert call["functionCall"] == {"name": "b", "args": {}}


@pytest.mark.parametrize("model", ["gemini-2.5-flash", THREE])
def test_a_tool_loop_goes_on_with_what_the_model_said(model: str) -> None:
    """Call, response, text: with the signature that came, in either alphabet of base64."""
    asked = body("How warm? [[answer: reasoning]]", tools=TOOLS)
    (part,) = parts(replied(asked, model))
    assert part["thoughtSignature"]
    for signature in (
        part["thoughtSignature"],
        part["thoughtSignature"].replace("+", "-").replace("/", "_").rstrip("="),
    ):
        turn = {"role": "model", "parts": [part | {"thoughtSignature": signature}]}
        found = replied({"contents": [*asked["contents"], turn, RESPONSE], "tools": TOOLS}, model)
        assert parts(found)[0]["text"]


def test_gemini_3_wants_the_signature_of_the_turn_under_way() -> None:
    error = refused(loop(), THREE)
    assert error["status"] == "INVALID_ARGUMENT"
    assert error["message"].startswith("Function call is missing a thought_signature in functionCall parts.")
    assert "function call `default_api:weather` , position 2." in error["message"]
    assert parts(replied(loop()))[0]["text"], "older models do not"
    before = loop()
    before["contents"] += [says("It is warm.", "model"), says("And now?")]
    assert replied(before, THREE)["candidates"], "nor does an earlier turn need it"


@pytest.mark.parametrize("word", ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"])
def test_a_literal_word_turns_validation_off(word: str) -> None:
    assert parts(replied(loop(thoughtSignature=word), THREE))
    assert parts(replied(loop(thoughtSignature=base64.b64encode(word.encode()).decode()), THREE))


@pytest.mark.parametrize("change", ["another model", "another provider", "another function", "cut"])
def test_thoughts_that_others_signed_are_refused(change: str) -> None:
    model = "gemini-3-pro-preview" if change == "another model" else THREE
    provider = "vertex" if change == "another provider" else "gemini"
    tools = [{"functionDeclarations": [{"name": "other" if change == "another function" else "weather"}]}]
    signature = parts(replied(body(tools=tools), model, provider=provider))[0]["thoughtSignature"]
    if change == "cut":
        signature = signature[:-8]
    error = refused(loop(thoughtSignature=signature), THREE)
    assert error["message"] == "Corrupted thought signature."
    assert replied(loop(thoughtSignature=signature), THREE, headers={"x-windtunnel-signatures": "any"})


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        ([], "* GenerateContentRequest.contents: contents is not specified"),
        ([{"role": "user", "parts": []}], "contents[0].parts: contents.parts must not be empty."),
        ([{"role": "user", "parts": [{"thought": True}]}], "parts[0].data: required oneof field 'data' must have one"),
        ([says("Hi", "assistant")], "Please use a valid role: user, model."),
        ([says("Hi"), RESPONSE], "function response turn comes immediately after a function call turn"),
        ([says("Hi"), called()], "function call turn comes immediately after a user turn"),
        (
            [says("Hi"), called(), says("Well?")],
            "number of function response parts is equal to the number of function call",
        ),
    ],
)
def test_contents_that_no_model_takes(contents: list[Json], sentence: str) -> None:
    error = refused({"contents": contents})
    assert sentence in error["message"]
    assert error["status"] == "INVALID_ARGUMENT"


def test_responses_may_come_in_several_contents_of_one_turn() -> None:
    two = {"role": "model", "parts": [*called()["parts"], *called()["parts"]]}
    assert replied({"contents": [says("Hi"), two, RESPONSE, RESPONSE, says("So?")]})["candidates"]


@pytest.mark.parametrize(
    ("model", "asked", "sentence"),
    [
        ("gemini-2.5-pro", {"thinkingConfig": {"thinkingBudget": 0}}, "Budget 0 is invalid."),
        ("gemini-2.5-pro", {"thinkingConfig": {"thinkingBudget": 99999}}, "choose a value between 128 and 32768"),
        ("gemini-2.5-flash", {"thinkingConfig": {"thinkingLevel": "LOW"}}, "Thinking level is not supported"),
        ("gemini-3-pro-preview", {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}, "Thinking level MINIMAL is not"),
        (THREE, {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 9}}, "only one of thinking budget and"),
        ("gemini-2.0-flash", {"thinkingConfig": {"includeThoughts": True}}, "Thinking is not enabled for models/"),
        ("gemini-2.5-flash", {"responseLogprobs": True}, "Logprobs is not enabled for models/gemini-2.5-flash"),
        ("gemini-2.5-flash", {"responseModalities": ["IMAGE"]}, "* TEXT\n"),
        ("gemini-2.5-flash-preview-tts", {}, "response modalities (TEXT) is not supported by the model."),
        ("gemini-2.5-flash", {"maxOutputTokens": 0}, "max_output_tokens must be positive"),
        ("gemini-2.5-flash", {"candidateCount": 9}, "candidate_count must be in the range [1, 8]"),
        ("gemini-2.5-flash", {"temperature": 2.5}, "temperature must be in the range [0.0, 2.0]"),
        ("gemini-2.5-flash", {"stopSequences": list("abcdef")}, "at most 5 stop sequences"),
        ("gemini-2.5-flash", {"responseMimeType": "text/html"}, "allowed mimetypes are `text/plain`"),
        ("gemini-2.5-flash", {"responseSchema": {"type": "STRING"}}, "can be used with a response schema"),
    ],
)
def test_limits_of_models_and_fields(model: str, asked: Json, sentence: str) -> None:
    assert sentence in refused(body(**config(**asked)), model)["message"]


def test_a_schema_and_functions_go_together_from_gemini_3_on() -> None:
    asked = body(tools=TOOLS, **config(responseMimeType="application/json"))
    assert "response mime type: 'application/json' is unsupported" in refused(asked)["message"]
    assert replied(asked, THREE)["candidates"]


def test_a_prompt_that_is_too_long_is_refused() -> None:
    error = refused(body("a " * 9000 + "tts", **config(responseModalities=["AUDIO"])), "gemini-2.5-flash-preview-tts")
    assert error["message"].startswith("The input token count (900")
    assert error["message"].endswith("exceeds the maximum number of tokens allowed (8192).")


def test_files_at_hosts_that_cannot_be_reached_are_refused_on_vertex() -> None:
    file = {"fileData": {"mimeType": "image/png", "fileUri": "https://files.invalid/a.png"}}
    sent = {"contents": [{"role": "user", "parts": [{"text": "Look"}, file]}]}
    assert "Cannot fetch content from the provided URL." in refused(sent, provider="vertex")["message"]


@pytest.mark.parametrize(
    ("asked", "sentence"), [({"outputDimensionality": 4000}, "range [1, 3072]"), ({}, "content is not")]
)
def test_what_cannot_be_embedded(asked: Json, sentence: str) -> None:
    content = {"content": {"parts": [{"text": "a"}]}} if asked else {}
    assert sentence in refused(content | asked, "gemini-embedding-001", "embedContent")["message"]


def test_a_batch_holds_at_most_a_hundred() -> None:
    rows = [{"content": {"parts": [{"text": "a"}]}}] * 101
    error = refused({"requests": rows}, "gemini-embedding-001", "batchEmbedContents")
    assert "at most 100 requests can be in one batch" in error["message"]
