"""The Responses wire without streams: the object, its keys, ids and echo; output of every kind."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openai.types.responses import Response

from simulator import draws
from simulator.answers.answer import NONCE_LENGTH
from simulator.dialects.base import Serving
from simulator.dialects.responses import ids as responses_ids
from simulator.dialects.responses import native
from simulator.models import facts as models
from tests.simulator.live import request, running
from tests.simulator.responses_exchange import (
    BUILT_IN,
    CLOCK,
    DIALECT,
    NONCE,
    NOW_S,
    SEED,
    SERVING,
    SPEAK,
    WEATHER,
    answered,
    ask_for,
    payload,
    replied,
    said,
)

KEYS = (
    *("id", "object", "created_at", "status", "background", "billing", "completed_at", "error", "frequency_penalty"),
    *("incomplete_details", "instructions", "max_output_tokens", "max_tool_calls", "model", "moderation", "output"),
    *("parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt_cache_key", "prompt_cache_retention"),
    *("reasoning", "safety_identifier", "service_tier", "store", "temperature", "text", "tool_choice", "tool_usage"),
    *("tools", "top_logprobs", "top_p", "truncation", "usage", "user", "metadata"),
)
ID = re.compile(r"[a-z]+_[0-9a-f]{16}00[0-9a-f]{8}[0-9a-f]{24}")
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "score": {"type": "number"}},
    "required": ["title", "score"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "name": "review", "schema": SCHEMA, "strict": True}
WORDS = ["", "[[answer: refusal]]", "[[answer: tool_call]]", "[[answer: tool_call tool_calls=3 say='Let me see.']]"]
WORDS += [
    "[[answer: text]]",
    "[[answer: length]]",
    "[[answer: say='Ünïcödé \" 東京 \U0001f600']]",
    "[[answer: tokens=0]]",
]
WORDS += ["[[answer: native=offered]]", "[[answer: native=offered tokens=60]]", "[[answer: reasoning]]"]
MODELS = ["gpt-4o", "gpt-4.1", "gpt-5", "gpt-5.5", "gpt-5.3-codex", "o4-mini", "codex-mini-latest"]
WORDS_CACHED = 8000


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Good requests of all sorts."""
    model = draw(st.sampled_from(MODELS))
    facts = models.profile("x", DIALECT.name, model, {})
    assert facts is not None
    body = ask_for(draw(st.text(max_size=20)).replace("[[", "") + draw(st.sampled_from(WORDS)), model=model)
    if draw(st.booleans()):
        body["tools"] = draw(st.sampled_from([[WEATHER], [WEATHER, CLOCK], [SPEAK], [*BUILT_IN, WEATHER]]))
        if draw(st.booleans()):
            body["tool_choice"] = draw(st.sampled_from(["auto", "none", "required"]))
    if facts.has("reasoning") and draw(st.booleans()):
        body["reasoning"] = draw(st.sampled_from([{"effort": "high"}, {"summary": "auto"}, {"effort": "none"}]))
    include = ["reasoning.encrypted_content", "message.output_text.logprobs", "code_interpreter_call.outputs"]
    optional = {
        "max_output_tokens": st.integers(16, 90),
        "text": st.sampled_from([{"format": FORMAT}, {"verbosity": "low"}]),
        "include": st.lists(st.sampled_from(include), unique=True),
        "metadata": st.just({"a": "b"}),
        "store": st.booleans(),
        "instructions": st.text(max_size=9),
        "parallel_tool_calls": st.booleans(),
    }
    return body | draw(st.fixed_dictionaries({}, optional=optional))


@given(bodies())
def test_the_object_is_one_that_the_official_client_knows(body: dict[str, Any]) -> None:
    """Keys in their order, ids of one response alike, and every part of a type that the client's model has."""
    data = payload(replied(body))
    assert data.startswith(b'{\n  "id": "resp_')
    assert not data.endswith(b"\n")
    whole = orjson.loads(data)
    assert tuple(whole) == KEYS
    Response.model_validate(whole)
    ids = [whole["id"], *(item["id"] for item in whole["output"])]
    assert len(set(ids)) == len(ids)
    for one in ids:
        assert ID.fullmatch(one)
        assert one.split("_")[1][:18] == whole["id"][5:23]
        assert int(one.split("_")[1][18:26], 16) == NOW_S
        assert one.endswith(NONCE)


@given(bodies())
def test_usage_is_what_was_said(body: dict[str, Any]) -> None:
    """Tokens of the one frame, and what was thought in silence, are the output; the input is counted exactly."""
    answer, ask, _ = answered(body)
    script = replied(body)
    usage = said(script)["usage"]
    shown = any(item["type"] == "reasoning" and item["summary"] for item in said(script)["output"])
    silent = 0 if shown else answer.usage.reasoning_tokens
    assert sum(frame.tokens for frame in script.frames) + silent == usage["output_tokens"]
    assert usage["output_tokens"] == answer.usage.output_tokens
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] == ask.input_tokens


@given(bodies(), st.booleans(), st.integers(0, 2**40))
def test_nothing_but_ids_and_time_depends_on_nonce_and_second(body: dict[str, Any], stream: bool, seed: int) -> None:
    """A reply with a mark in the nonce's place becomes any other by filling it in."""
    body = body | {"stream": stream}
    nonce = f"{draws.integer(seed):032x}"[:NONCE_LENGTH]
    answer, ask, profile = answered(body)
    mark = "f0e1d2c3b4a5968778695a"
    first = DIALECT.reply(answer.at(mark, NOW_S), ask, profile, Serving(mark, NOW_S, SEED))
    second = DIALECT.reply(answer.at(nonce, NOW_S), ask, profile, Serving(nonce, NOW_S, SEED))
    assert payload(first).replace(mark.encode(), nonce.encode()) == payload(second)
    assert [(name, value.replace(mark, nonce)) for name, value in first.headers] == list(second.headers)


def test_settings_are_echoed() -> None:
    """What was asked comes back; what was not has its default."""
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 99,
        "max_tool_calls": 3,
        "metadata": {"run": "7"},
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "temperature": 0,
        "top_p": 0.5,
        "truncation": "auto",
        "user": "u",
        "parallel_tool_calls": False,
        "store": False,
    }
    whole = said(replied(ask_for("Hello", **asked)))
    assert {name: whole[name] for name in asked} == asked
    assert b'"temperature": 0.0,' in payload(replied(ask_for("Hello", temperature=0)))
    plain = said(replied(ask_for("Hello", service_tier="flex")))
    assert plain["service_tier"] == "flex"
    assert (plain["store"], plain["truncation"], plain["metadata"], plain["tools"]) == (True, "disabled", {}, [])
    assert plain["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert plain["reasoning"] == {"context": None, "effort": None, "summary": None}
    thinking = said(replied(ask_for("Hello", model="gpt-5", reasoning={"summary": "auto"})))["reasoning"]
    assert thinking == {"context": "current_turn", "effort": "medium", "mode": "standard", "summary": "detailed"}


def test_tools_are_echoed_with_their_defaults() -> None:
    """Type first, then by name; a server's headers are not told back."""
    tools = [{"type": "function", "name": "f", "parameters": None}, *BUILT_IN]
    tools[5] = {**BUILT_IN[4], "headers": {"authorization": "secret"}}
    whole = said(replied(ask_for("Hello", tools=tools)))["tools"]
    assert whole[0] == {"type": "function", "description": None, "name": "f", "parameters": None, "strict": True}
    assert whole[1]["search_context_size"] == "medium"
    assert whole[2]["ranking_options"] == {"ranker": "auto", "score_threshold": 0.0}
    assert whole[5]["headers"] == {"authorization": "<redacted>"}
    for tool in whole:
        assert next(iter(tool)) == "type"
        assert list(tool)[1:] == sorted(list(tool)[1:])


@given(bodies())
@settings(max_examples=60)
def test_arguments_and_structured_output_validate(body: dict[str, Any]) -> None:
    whole = said(replied(body))
    schemas = {tool["name"]: tool["parameters"] for tool in body.get("tools", []) if tool["type"] == "function"}
    for item in whole["output"]:
        if item["type"] == "function_call" and item["name"] in schemas:
            Draft202012Validator(schemas[item["name"]]).validate(json.loads(item["arguments"]))
            assert re.fullmatch(r"call_[A-Za-z0-9]{24}", item["call_id"])
    asked = body.get("text", {}).get("format")
    texts = [item for item in whole["output"] if item["type"] == "message"]
    if (
        asked
        and whole["status"] == "completed"
        and not any(word in body["input"] for word in ("say=", "native", "refusal"))
    ):
        calls = [item for item in whole["output"] if item["type"].endswith("_call")]
        if not calls:
            Draft202012Validator(SCHEMA).validate(json.loads(texts[-1]["content"][0]["text"]))


@pytest.mark.parametrize(
    ("model", "fields", "reasoning"),
    [
        ("gpt-4.1", {}, None),
        ("gpt-5", {"reasoning": {"effort": "none"}}, None),
        ("gpt-5", {"reasoning": {"effort": "high"}}, ["id", "type", "summary"]),
        (
            "gpt-5",
            {"reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]},
            ["id", "type", "content", "encrypted_content", "summary"],
        ),
        ("gpt-5", {"reasoning": {"summary": "detailed"}}, ["id", "type", "summary"]),
    ],
)
def test_reasoning_items(model: str, fields: dict[str, Any], reasoning: list[str] | None) -> None:
    """There where the model thought; the summary and the encrypted content only when asked for."""
    whole = said(replied(ask_for("Hello", model=model, **fields)))
    items = [item for item in whole["output"] if item["type"] == "reasoning"]
    assert [list(item) for item in items] == ([reasoning] if reasoning else [])
    assert (whole["usage"]["output_tokens_details"]["reasoning_tokens"] > 0) == bool(reasoning)
    if items:
        shown = "summary" in fields.get("reasoning", {})
        assert [part["type"] for part in items[0]["summary"]] == ["summary_text"] * len(items[0]["summary"])
        assert bool(items[0]["summary"]) == shown
        assert items[0].get("encrypted_content", "gAAAAA").startswith("gAAAAA")


def test_messages_have_a_phase_from_codex_on() -> None:
    """Before tool calls it is commentary, else the final answer; older models have no such key."""
    before = "[[answer: tool_call say='Let me see.']]"
    for model, phases in (("gpt-5.3-codex", ["commentary"]), ("gpt-4.1", [None])):
        whole = said(replied(ask_for(before, model=model, tools=[WEATHER])))
        assert [item.get("phase") for item in whole["output"] if item["type"] == "message"] == phases
    final = said(replied(ask_for("Hello", model="gpt-5.5", reasoning={"effort": "none"})))["output"]
    assert [item["phase"] for item in final] == ["final_answer"]


def test_output_cut_by_length_is_incomplete() -> None:
    """Thinking takes of the same room; what is left of it is text, or nothing at all."""
    whole = said(replied(ask_for("Hello [[answer: tokens=100]]", max_output_tokens=16)))
    assert whole["status"] == "incomplete"
    assert whole["incomplete_details"] == {"reason": "max_output_tokens"}
    assert whole["output"][-1]["status"] == "incomplete"
    assert whole["usage"]["output_tokens"] == 16
    assert whole["completed_at"] is None
    silent = said(replied(ask_for("Hello [[answer: reasoning_tokens=16]]", model="gpt-5", max_output_tokens=16)))
    assert [item["type"] for item in silent["output"]] == ["reasoning"]
    assert silent["usage"]["output_tokens_details"] == {"reasoning_tokens": 16}


def test_refusals_and_custom_tools() -> None:
    declined = said(replied(ask_for("[[answer: refusal]]")))
    assert declined["status"] == "completed"
    assert [part["type"] for part in declined["output"][0]["content"]] == ["refusal"]
    called = said(replied(ask_for("Hello", tools=[SPEAK])))["output"][0]
    assert list(called) == ["id", "type", "status", "call_id", "input", "name"]
    assert called["id"].startswith("ctc_")
    assert isinstance(called["input"], str)


@pytest.mark.parametrize("name", sorted(native.NATIVES))
def test_every_built_in_tool_can_be_run(name: str) -> None:
    """Its items are of types that the official client knows; citations lie within the text."""
    include = ["web_search_call.action.sources", "file_search_call.results", "code_interpreter_call.outputs"]
    whole = said(replied(ask_for(f"Teapots [[answer: native={name}]]", tools=BUILT_IN, include=include)))
    Response.model_validate(whole)
    assert len(whole["output"]) > 1 or name == "offered"
    message = whole["output"][-1]
    text = message["content"][0]["text"]
    for cite in message["content"][0]["annotations"]:
        start, end = cite.get("start_index", 0), cite.get("end_index", cite.get("index"))
        assert 0 <= start <= end <= len(text)
    searches = sum(item["type"] == "web_search_call" for item in whole["output"])
    assert whole["tool_usage"]["web_search"] == {"num_requests": searches}


def test_a_chosen_tool_is_called_and_no_other() -> None:
    for choice in (
        {"type": "function", "name": "get_time"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]},
    ):
        whole = said(replied(ask_for("Hello", tools=[WEATHER, CLOCK], tool_choice=choice)))
        assert [item["name"] for item in whole["output"]] == ["get_time"]
        assert whole["tool_choice"] == choice
    own = said(replied(ask_for("Hello", tools=[WEATHER, *BUILT_IN], tool_choice={"type": "web_search"})))
    assert [item["type"] for item in own["output"]] == ["message"]


def test_earlier_turns_are_read_from_the_cache() -> None:
    """From 1,024 tokens on, in steps of 128, up to what the model last said."""
    long = {"role": "user", "content": "tea " * WORDS_CACHED}
    said_before = {"role": "assistant", "content": "Yes."}
    usage = said(replied(ask_for("", input=[long, said_before, {"role": "user", "content": "Go on"}])))["usage"]
    cached = usage["input_tokens_details"]["cached_tokens"]
    assert WORDS_CACHED - 128 < cached < usage["input_tokens"]
    assert cached % 128 == 0
    assert said(replied(ask_for("Hello")))["usage"]["input_tokens_details"]["cached_tokens"] == 0


def test_ids_are_recognised() -> None:
    response = responses_ids.response_id(SERVING)
    assert responses_ids.nonce_of(response, {}) == NONCE
    for other in ("resp_1", response + "0", response.replace("resp", "msg"), ""):
        assert responses_ids.nonce_of(other, {}) == ""


def test_a_vendor_adds_and_leaves_out_members_by_facts() -> None:
    facts = {"response_with": {"output_text": ""}, "response_without": ["billing", "moderation"], "always_stream": True}
    script = replied(ask_for("Hello"), facts)
    assert script.stream
    facts.pop("always_stream")
    whole = said(replied(ask_for("Hello"), facts | {"usage_with": {"cost": 0.5}, "verbosity": False}))
    assert whole["output_text"] == ""
    assert {"billing", "moderation"}.isdisjoint(whole)
    assert whole["usage"]["cost"] == 0.5
    assert whole["text"] == {"format": {"type": "text"}}


def test_what_the_codex_client_adds_is_taken() -> None:
    with running() as live:
        key = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
        body = {"model": "gpt-5.3-codex", "input": "x", "client_metadata": {"session": "a"}}
        assert live.call(request("POST", "/openai/v1/responses", body, key)).status == 200
