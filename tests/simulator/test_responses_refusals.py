"""What the Responses wire refuses, in its own words; and that nothing else ever comes of bad input."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.ask import Request
from simulator.dialects.responses import fields as responses_fields
from simulator.dialects.responses import ids, native
from simulator.dialects.responses import input as responses_input
from simulator.problem import Problem, Refused
from tests.simulator.responses_exchange import (
    BUILT_IN,
    DIALECT,
    KEY,
    NONCE,
    SERVING,
    WEATHER,
    ask_for,
    payload,
    replied,
    request,
    said,
    understood,
)

USER = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "1"}
RS = "rs_" + "0" * 50
RESP = "resp_" + "0" * 50
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
MISSING, TYPE, VALUE = "missing_required_parameter", "invalid_type", "invalid_value"


def form(**fields: Any) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "name": "a", "schema": {}, **fields}}


def items(*found: Any, **fields: Any) -> dict[str, Any]:
    return ask_for("", input=list(found), **fields)


def user(*parts: Any) -> dict[str, Any]:
    return items({"role": "user", "content": list(parts)})


@pytest.mark.parametrize(
    ("body", "param", "code", "sentence"),
    [
        (b"{", None, None, "could not parse the JSON body"),
        ({"input": "x"}, "model", MISSING, "Missing required parameter: 'model'."),
        ({"model": "gpt-4.1"}, "input", MISSING, "Missing required parameter: 'input'."),
        (items(), "input", MISSING, "Missing required parameter: 'input'."),
        (ask_for("", model="gpt-17"), "model", "model_not_found", "The requested model 'gpt-17' does not exist."),
        (
            ask_for("", model="text-embedding-3-small"),
            "model",
            "unsupported_value",
            "not supported in the v1/responses",
        ),
        (ask_for("", n=2), "n", "unknown_parameter", "Unknown parameter: 'n'."),
        (ask_for("", seed=2), "seed", "unknown_parameter", "Unknown parameter: 'seed'."),
        (ask_for("", messages=[USER]), "messages", "unsupported_parameter", "has moved to 'input'"),
        (ask_for("", max_tokens=9), "max_tokens", "unsupported_parameter", "has moved to 'max_output_tokens'"),
        (ask_for("", reasoning_effort="low"), "reasoning_effort", "unsupported_parameter", "'reasoning.effort'"),
        (ask_for("", response_format={}), "response_format", "unsupported_parameter", "'text.format'"),
        (
            ask_for("", max_output_tokens=15),
            "max_output_tokens",
            "integer_below_min_value",
            ">= 16, but got 15 instead",
        ),
        (ask_for("", temperature=-1), "temperature", "decimal_below_min_value", ">= 0, but got -1 instead"),
        (ask_for("", model="gpt-5", temperature=0.5), "temperature", None, "not supported with this model"),
        (ask_for("", top_logprobs=21), "top_logprobs", "integer_above_max_value", "<= 20"),
        (ask_for("", store="yes"), "store", TYPE, "expected a boolean, but got a string instead"),
        (ask_for("", truncation="maybe"), "truncation", VALUE, "'auto', and 'disabled'"),
        (ask_for("", service_tier="gold"), "service_tier", VALUE, "Invalid value: 'gold'"),
        (ask_for("", include=["all"]), "include[0]", VALUE, "'reasoning.encrypted_content'"),
        (ask_for("", metadata={"a": 1}), "metadata.a", TYPE, "expected a string"),
        (ask_for("", metadata={str(n): "" for n in range(17)}), "metadata", "object_above_max_properties", "17"),
        (ask_for("", stream_options={}), "stream_options", None, "only allowed when 'stream' is enabled"),
        (
            ask_for("", stream=True, stream_options={"include_usage": True}),
            "stream_options.include_usage",
            "unknown_parameter",
            "Unknown parameter",
        ),
        (ask_for("", background=True, store=False), "background", None, "requires 'store'"),
        (ask_for("", previous_response_id="msg_1"), "previous_response_id", VALUE, "begins with 'resp'"),
        (ask_for("", previous_response_id="resp_ü"), "previous_response_id", VALUE, "additional characters"),
        (
            ask_for("", previous_response_id=RESP, conversation="conv_1"),
            None,
            "mutually_exclusive_parameters",
            "'previous_response_id' or 'conversation'",
        ),
        (ask_for("", conversation="c"), "conversation", VALUE, "begins with 'conv'"),
        (ask_for("", prompt={"id": "x"}), "prompt.id", VALUE, "begins with 'pmpt'"),
        (
            ask_for("", reasoning={"effort": "low"}),
            "reasoning.effort",
            "unsupported_parameter",
            "'reasoning.effort' is",
        ),
        (ask_for("", model="gpt-5", reasoning={"effort": "huge"}), "reasoning.effort", VALUE, "Invalid value: 'huge'"),
        (ask_for("", model="gpt-5", reasoning={"summary": "yes"}), "reasoning.summary", VALUE, "'concise'"),
        (ask_for("", reasoning={"x": 1}), "reasoning.x", "unknown_parameter", "'reasoning.x'"),
        (ask_for("", text={"format": {"type": "xml"}}), "text.format.type", VALUE, "'xml'"),
        (ask_for("", text=form(name=None)), "text.format.name", MISSING, "'text.format.name'"),
        (ask_for("", text=form(name="a b")), "text.format.name", VALUE, "does not match pattern"),
        (ask_for("", text=form(schema=None)), "text.format.schema", MISSING, "'text.format.schema'"),
        (
            ask_for("", text=form(schema=OPEN, strict=True)),
            "text.format.schema",
            "invalid_json_schema",
            "Invalid schema for response_format 'a': In context=(), 'additionalProperties' is required",
        ),
        (
            ask_for("", text=form(schema=OPEN | {"additionalProperties": False}, strict=True)),
            "text.format.schema",
            "invalid_json_schema",
            "every key in properties. Missing 'a'.",
        ),
        (ask_for("", text={"format": {"type": "json_object"}}), "input", None, "must contain the word 'json'"),
        (ask_for("", tools={}), "tools", TYPE, "expected an array"),
        (ask_for("", tools=[{"type": "magic"}]), "tools[0].type", VALUE, "'web_search'"),
        (ask_for("", tools=[{"type": "function"}]), "tools[0].name", MISSING, "'tools[0].name'"),
        (ask_for("", tools=[{"type": "file_search"}]), "tools[0].vector_store_ids", MISSING, "vector_store_ids"),
        (ask_for("", tools=[{"type": "mcp"}]), "tools[0].server_label", MISSING, "server_label"),
        (
            ask_for("", tools=[{"type": "function", "name": "f", "parameters": {"type": "string"}}]),
            "tools[0].parameters",
            "invalid_function_parameters",
            "got 'type: \"string\"'",
        ),
        (
            ask_for("", tools=[{"type": "function", "name": "f", "parameters": OPEN, "strict": True}]),
            "tools[0].parameters",
            "invalid_function_parameters",
            "Invalid schema for function 'f'",
        ),
        (ask_for("", tool_choice="required"), "tool_choice", None, "must be specified with 'tools'"),
        (
            ask_for("", tools=[WEATHER], tool_choice={"type": "function", "name": "x"}),
            "tool_choice",
            None,
            "Tool choice 'function' not found in 'tools' parameter.",
        ),
        (ask_for("", tools=[WEATHER], tool_choice={"type": "mcp"}), "tool_choice", None, "'mcp' not found"),
        (ask_for("", tools=[WEATHER], tool_choice="any"), "tool_choice", VALUE, "'required'"),
        (ask_for("", input=7), "input", TYPE, "one of an array of objects or a string"),
        (items("x"), "input[0]", TYPE, "expected an object"),
        (items({}), "input[0].type", MISSING, "'input[0].type'"),
        (items({"type": "song"}), "input[0].type", VALUE, "Invalid value: 'song'"),
        (items({"role": "bot", "content": ""}), "input[0].role", VALUE, "'developer', and 'user'"),
        (items({"role": "user"}), "input[0].content", MISSING, "'input[0].content'"),
        (user({"type": "text", "text": ""}), "input[0].content[0]", VALUE, "Invalid value: 'text'"),
        (user({"type": "input_text"}), "input[0].content[0].text", MISSING, ".text"),
        (user({"type": "input_image"}), "input[0].content[0].image_url", MISSING, ".image_url"),
        (
            user({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}),
            "input[0].content[0].image_url",
            VALUE,
            "image MIME type",
        ),
        (
            user({"type": "input_image", "image_url": "https://x.invalid/a.png"}),
            "url",
            VALUE,
            "Error while downloading https://x.invalid/a.png.",
        ),
        (
            user({"type": "input_file", "file_data": "data:audio/mpeg;base64,AAAA"}),
            "input[0].content[0].file_data",
            VALUE,
            "unsupported MIME type 'audio/mpeg'",
        ),
        (
            items(USER, {"role": "assistant", "content": [{"type": "input_text", "text": ""}]}),
            "input[1].content[0]",
            VALUE,
            "'output_text', and 'refusal'",
        ),
        (items(USER, OUTPUT), "input", None, "No tool call found for function call output with call_id c1."),
        (items(USER, CALL), "input", None, "No tool output found for function call c1."),
        (items(USER, CALL | {"arguments": None}, OUTPUT), "input[1].arguments", MISSING, "arguments"),
        (items(USER, CALL | {"id": "x"}, OUTPUT), "input[1].id", VALUE, "begins with 'fc'"),
        (
            items({"type": "reasoning", "id": RS, "summary": []}, USER, model="gpt-5"),
            "input",
            None,
            f"Item '{RS}' of type 'reasoning' was provided without its required following item.",
        ),
        (
            items({"type": "reasoning", "summary": [], "encrypted_content": "gAAAAABx"}, USER, model="gpt-5"),
            None,
            "invalid_encrypted_content",
            "The encrypted content gAAA...AABx could not be verified.",
        ),
        (items({"type": "reasoning"}), "input[0].summary", MISSING, "summary"),
        (ask_for("tea " * 130_000), "input", "context_length_exceeded", "exceeds the context window of this model"),
    ],
)
def test_refusals(body: Any, param: str | None, code: str | None, sentence: str) -> None:
    """Status 400, indented by two without a final newline, in the order message, type, param, code."""
    script = replied(body)
    assert script.status == 400
    error = said(script)["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert sentence in error["message"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


def test_truncation_takes_any_length() -> None:
    assert replied(ask_for("tea " * 130_000, truncation="auto")).status == 200


def test_references_stand_for_items_that_are_not_looked_up() -> None:
    assert replied(items({"type": "item_reference", "id": "fc_1"}, OUTPUT, USER)).status == 200


def test_efforts_that_a_model_does_not_know() -> None:
    body = ask_for("", model="gpt-5", reasoning={"effort": "xhigh"})
    assert replied(body).status == 200
    with pytest.raises(Refused) as refused:
        understood(body, {"efforts": ["low", "high"]})
    assert refused.value.problem.code == "unsupported_value"
    assert "Supported values are: 'low', and 'high'." in str(refused.value)


def test_others_take_what_openai_refuses() -> None:
    """A lenient vendor passes unknown parameters, foreign ids and foreign encrypted content by."""
    found = [{"type": "reasoning", "id": "x-1", "summary": [], "encrypted_content": "y"}, USER]
    body = ask_for("", input=found, top_k=3, reasoning={"effort": "low"})
    assert understood(body, {"lenient": True})[0].input_tokens > 0


def test_a_key_is_refused_by_the_api_itself() -> None:
    """Indented by two, with a challenge; on Chat Completions the front door does it."""
    sent = request(ask_for("Hello"), {"authorization": "Bearer sk-wrong-wrong-wrong"})
    with pytest.raises(Refused) as refused:
        DIALECT.authenticate(sent, frozenset({KEY}))
    script = DIALECT.error(refused.value.problem, SERVING)
    assert script.status == 401
    assert payload(script).startswith(b'{\n  "error": {\n    "message": "Incorrect API key provided: sk-wrong')
    assert said(script)["error"]["code"] == "invalid_api_key"
    headers = dict(script.headers)
    assert headers["www-authenticate"] == 'Bearer realm="OpenAI API"'
    assert headers["content-type"] == "application/json"
    assert NONCE in headers["x-request-id"]


@pytest.mark.parametrize("kind", ["rate_limit", "insufficient_quota", "server_error", "overloaded", "bad_gateway"])
def test_other_refusals_are_those_of_chat(kind: str) -> None:
    script = DIALECT.error(Problem(kind), SERVING)
    assert script.status in (429, 500, 502, 503)
    assert script.frames[0].kind == "body"


def test_every_item_that_the_fleet_writes_is_taken_back() -> None:
    """The output of each built-in tool goes into the next request's input."""
    for name in native.NATIVES:
        script = replied(ask_for(f"Tea [[answer: native={name}]]", tools=BUILT_IN))
        back = items(USER, *said(script)["output"], USER)
        assert replied(back).status == 200, name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats(-2, 3) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["type", "role", "content", "call_id", "name", "output", "id", "summary", "text", "tools", "schema"]
)
KINDS = st.sampled_from([*responses_input.KINDS, "function", "mcp", "web_search", "input_text", "json_schema", "user"])
NEARLY = st.recursive(
    JSON | KINDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=9
)


@given(st.dictionaries(st.sampled_from(sorted(responses_fields.OPTIONAL)), JSON | NEARLY, max_size=5))
@settings(max_examples=400)
def test_bad_input_is_only_ever_refused(body: dict[str, Any]) -> None:
    """Whatever the fields hold, an answer or a 400 comes of it."""
    script = replied({"model": "gpt-5", "input": "Hello"} | body)
    assert script.status in (200, 400)


@given(st.binary(max_size=40), st.text(max_size=60) | st.from_regex(ids.RESPONSE, fullmatch=True))
def test_bytes_and_ids_of_any_sort(body: bytes, response: str) -> None:
    sent = Request("POST", "/v1/responses", "", {"authorization": f"Bearer {KEY}"}, body)
    with pytest.raises(Refused):
        DIALECT.decode(sent, "generate")
    asked = Request("GET", "/v1/responses/x", response, {}, b"", {"id": response})
    if ids.RESPONSE.fullmatch(response):
        assert DIALECT.decode(asked, "retrieve").needs == response[-22:]
        return
    try:
        needs = DIALECT.decode(asked, "retrieve").needs
    except Refused:
        assert not re.fullmatch(r"resp[A-Za-z0-9_-]*", response)
    else:
        assert needs == response
