"""What the Chat Completions wire refuses, in its own words; and that nothing else ever comes of bad input."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.ask import Request
from simulator.dialects.openai import problems
from simulator.dialects.openai.chat import masked
from simulator.problem import Problem, Refused
from tests.simulator.openai_exchange import (
    DIALECT,
    KEY,
    NONCE,
    SERVING,
    WEATHER,
    chunks,
    payload,
    replied,
    request,
    understood,
    user,
)

LONG = "word " * 130_000
MESSAGE = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "said"),
    [
        (b"{", 400, None, None, "could not parse the JSON body"),
        (b"[]", 400, None, None, "could not parse the JSON body"),
        ({"messages": MESSAGE}, 400, None, None, "you must provide a model parameter"),
        ({"model": "gpt-4o"}, 400, "messages", "missing_required_parameter", "Missing required parameter: 'messages'."),
        (user("", messages=[]), 400, "messages", "empty_array", "minimum length 1"),
        (user("", messages="Hi"), 400, "messages", "invalid_type", "expected an array, but got a string instead"),
        (
            user("", messages=[{"content": "x"}]),
            400,
            "messages[0].role",
            "missing_required_parameter",
            "messages[0].role",
        ),
        (
            user("", messages=[{"role": "bot", "content": "x"}]),
            400,
            "messages[0].role",
            "invalid_value",
            "Invalid value: 'bot'",
        ),
        (
            user("", messages=[{"role": "user", "content": None}]),
            400,
            "messages[0].content",
            "invalid_type",
            "got null",
        ),
        (
            user("", messages=[{"role": "user", "content": [{"type": "text"}]}]),
            400,
            "messages[0].content[0].text",
            "missing_required_parameter",
            "Missing",
        ),
        (
            user("", messages=[{"role": "user", "content": [{"type": "smell"}]}]),
            400,
            "messages[0].content[0].type",
            "invalid_value",
            "'smell'",
        ),
        (
            user("", messages=[{"role": "tool", "content": "x", "tool_call_id": "c"}]),
            400,
            "messages.[0].role",
            None,
            "must be a response to a preceeding",
        ),
        (user("x", foo=1), 400, "foo", "unknown_parameter", "Unknown parameter: 'foo'."),
        (
            user("x", temperature=-1),
            400,
            "temperature",
            "decimal_below_min_value",
            "Expected a value >= 0, but got -1 instead.",
        ),
        (
            user("x", temperature=2.5),
            400,
            "temperature",
            "decimal_above_max_value",
            "Expected a value <= 2, but got 2.5 instead.",
        ),
        (
            user("x", temperature="hot"),
            400,
            "temperature",
            "invalid_type",
            "expected a decimal, but got a string instead",
        ),
        (user("x", max_tokens=0), 400, "max_tokens", "integer_below_min_value", "Expected a value >= 1"),
        (user("x", n=129), 400, "n", "integer_above_max_value", "Expected a value <= 128"),
        (user("x", stream="yes"), 400, "stream", "invalid_type", "expected a boolean"),
        (user("x", stream_options={}), 400, "stream_options", None, "only allowed when 'stream' is enabled"),
        (user("x", stop=list("abcde")), 400, "stop", "array_above_max_length", "length 5"),
        (user("x", tool_choice="auto"), 400, "tool_choice", None, "only allowed when 'tools' are specified"),
        (user("x", tools=[]), 400, "tools", "empty_array", "empty array"),
        (
            user("x", tools=[{"type": "function", "function": {"name": "a b"}}]),
            400,
            "tools[0].function.name",
            "invalid_value",
            "pattern",
        ),
        (user("x", top_logprobs=2), 400, "top_logprobs", None, "when 'logprobs' is enabled"),
        (user("x", response_format={"type": "json_object"}), 400, "messages", None, "must contain the word 'json'"),
        (
            user("x", model="o4-mini", max_tokens=5),
            400,
            "max_tokens",
            "unsupported_parameter",
            "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
        (
            user("x", model="gpt-5", temperature=0.2),
            400,
            "temperature",
            None,
            "Unsupported parameter: 'temperature' is not supported with this model.",
        ),
        (
            user("x", model="o1-mini", messages=[{"role": "system", "content": "x"}]),
            400,
            "messages[0].role",
            "unsupported_value",
            "does not support 'system' with this model",
        ),
        (
            user("x", web_search_options={}),
            400,
            "web_search_options",
            None,
            "Web search options not supported with this model.",
        ),
        (user(LONG), 400, "messages", "context_length_exceeded", "maximum context length is 128000 tokens"),
        (
            user("x", model="gpt-99"),
            404,
            None,
            "model_not_found",
            "The model `gpt-99` does not exist or you do not have access to it.",
        ),
        (user("x", model="text-embedding-3-small"), 403, None, None, "You are not allowed to sample from this model"),
        (user("x", model="text-embedding-ada-002"), 404, "model", None, "This is not a chat model"),
        (user("x", model="gpt-3.5-turbo-0613"), 404, None, "model_not_found", "has been deprecated"),
        (
            user("x", model="gpt-5-chat-latest", tools=[WEATHER]),
            404,
            None,
            None,
            "tools is not supported in this model",
        ),
        (b'{"model":"gpt-4o","messages":' + b"[" * 600 + b"]" * 600 + b"}", 400, None, None, "could not parse"),
    ],
)
def test_what_is_refused(body: Any, status: int, param: str | None, code: str | None, said: str) -> None:
    script = replied(body)
    error = orjson.loads(payload(script))["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert (script.status, error["param"], error["code"]) == (status, param, code)
    assert said in error["message"]
    assert error["type"] == "invalid_request_error"


def test_defaults_are_no_request_for_what_a_model_lacks() -> None:
    understood(user("x", model="gpt-5", temperature=1, top_p=1, n=1, presence_penalty=0, logprobs=False))
    understood(user("x", model="gpt-5.1", temperature=0.2))


def test_calls_and_their_results_must_match() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = [*MESSAGE, {"role": "assistant", "content": None, "tool_calls": [call]}]
    understood(user("", messages=[*asked, {"role": "tool", "tool_call_id": "call_1", "content": "7"}]))
    for wrong, said in [
        (asked, "did not have response messages: call_1"),
        ([*asked, *MESSAGE], "did not have response messages: call_1"),
        ([*asked, {"role": "tool", "tool_call_id": "call_2", "content": "7"}], "'call_2' not found"),
    ]:
        with pytest.raises(Refused) as caught:
            understood(user("", messages=wrong))
        assert said in str(caught.value)


def test_images_are_looked_at_and_never_fetched() -> None:
    def shown(url: str) -> dict[str, Any]:
        part = {"type": "image_url", "image_url": {"url": url}}
        return user("", messages=[{"role": "user", "content": [part]}])

    understood(shown("https://example.com/a.png"))
    understood(shown("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"))
    for url, code in [
        ("data:image/jpeg;base64,UGxlYXNlIHNldCBhIHVzZXI=", "invalid_image_format"),
        ("https://pictures.invalid/a.png", "invalid_image_url"),
        ("file:///etc/passwd", "invalid_image_url"),
    ]:
        with pytest.raises(Refused) as caught:
            understood(shown(url))
        assert caught.value.problem.code == code


def test_a_compatible_server_takes_parameters_it_does_not_know() -> None:
    understood(user("x", model="qwen3-max", enable_thinking=True, top_k=5))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "You didn't provide an API key."),
        ({"authorization": "Basic abc"}, "You didn't provide an API key."),
        ({"authorization": "Bearer "}, "You didn't provide an API key."),
        ({"authorization": "Bearer sk-proj-1234567890"}, "Incorrect API key provided: sk-proj-******7890."),
    ],
)
def test_keys(headers: dict[str, str], said: str) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.authenticate(Request("POST", "/v1/chat/completions", "", headers, b""), frozenset({KEY}))
    script = DIALECT.error(caught.value.problem, SERVING)
    assert script.status == 401
    assert said in orjson.loads(payload(script))["error"]["message"]


@given(st.text(min_size=1, max_size=80))
def test_a_masked_key_keeps_its_length_and_hides_its_middle(key: str) -> None:
    assert len(masked(key)) == len(key)
    assert masked(key)[-4:] == key[-4:]
    assert "".join(masked(key)[8:-4]).strip("*") == ""


@pytest.mark.parametrize("kind", sorted(problems.PROBLEMS))
def test_every_refusal_is_a_whole_reply(kind: str) -> None:
    """The front door indents by four and names its charset, the API by two; both have the same four keys."""
    script = DIALECT.error(Problem(kind, param="thing"), SERVING)
    row = problems.PROBLEMS[kind]
    headers = dict(script.headers)
    text = payload(script).decode()
    assert script.status == row.status
    assert headers["x-request-id"].endswith(NONCE)
    if kind in problems.HTML:
        assert headers["content-type"] == "text/html; charset=UTF-8"
        assert text.startswith("<html>")
        return
    error = json.loads(text)
    assert text == json.dumps(error, indent=4 if row.front else 2) + ("\n" if row.front else "")
    assert headers["content-type"] == "application/json" + ("; charset=utf-8" if row.front else "")
    assert ("openai-processing-ms" in headers) is not row.front
    assert "{" not in error["error"]["message"]


@pytest.mark.parametrize("status", [400, 402, 404, 408, 418, 422, 429, 500, 503, 529, 599])
def test_any_status_has_a_native_body(status: int) -> None:
    problem = Problem("status", "told", code="own", status=status, headers=(("retry-after", "3"),))
    script = DIALECT.error(problem, SERVING)
    error = orjson.loads(payload(script))["error"]
    assert script.status == status
    assert (error["message"], error["code"]) == ("told", "own")
    assert ("retry-after", "3") in script.headers
    assert len({name for name, _ in script.headers}) == len(script.headers)


def test_an_error_inside_a_stream_is_a_chunk_without_choices() -> None:
    data = DIALECT.error_frame(Problem("server_error"), SERVING)
    said = "The server had an error while processing your request. Sorry about that!"
    error = {"message": said, "type": "server_error", "param": None, "code": None}
    assert data == b"data: " + orjson.dumps({"error": error}) + b"\n\n"


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "name", "function", "text", "image_url", "url", "tool_calls", "id"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "messages",
        "tools",
        "tool_choice",
        "stop",
        "n",
        "response_format",
        "stream_options",
        "logit_bias",
        "functions",
        "foo",
    ]
)


@settings(max_examples=300)
@given(st.dictionaries(FIELDS, JSON, max_size=4), st.sampled_from(["gpt-4o", "gpt-5", "glm-5"]), JSON)
def test_no_body_breaks_the_door(fields: dict[str, Any], model: str, part: Any) -> None:
    """Whatever JSON comes: a reply or a native refusal."""
    for body in (
        user("x", model=model, **{k: v for k, v in fields.items() if k != "messages"}),
        user("x", model=model) | fields,
        user("x", model=model, messages=[*MESSAGE, {"role": "user", "content": [part]}]),
        user("x", model=model, messages=[*MESSAGE, {"role": "assistant", "content": "", "tool_calls": [part]}]),
        user("x", model=model, tools=[{"type": "function", "function": part}], tool_choice=part),
    ):
        script = replied(body)
        assert script.status in (200, 400)
        assert orjson.loads(payload(script)) if not script.stream else chunks(script)


@given(st.binary(max_size=40))
def test_no_bytes_break_the_door(data: bytes) -> None:
    with pytest.raises(Refused):
        DIALECT.decode(request(data), "generate")
