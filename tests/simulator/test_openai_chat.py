"""The Chat Completions wire, byte by byte: replies, chunks, padding, refusals."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from simulator import draws
from simulator.answers.answer import NONCE_LENGTH
from simulator.ask import Request
from simulator.dialects import DIALECTS
from simulator.dialects.base import Serving
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai import ids as openai_ids
from simulator.models import facts as models
from simulator.script import Script
from tests.simulator.openai_exchange import (
    CLOCK,
    DIALECT,
    NONCE,
    NOW_S,
    SEED,
    SERVING,
    WEATHER,
    answered,
    chunks,
    payload,
    reassembled,
    replied,
    user,
)

MODELS = ["gpt-4o", "gpt-3.5-turbo", "gpt-5", "gpt-5.5", "o4-mini", "glm-5", "qwen3-max", "gpt-4-vision-preview"]
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "score": {"type": "number"}},
    "required": ["title", "score"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "review", "schema": SCHEMA, "strict": True}}
WORDS = ["", "[[answer: refusal]]", "[[answer: tool_call]]", "[[answer: tool_call tool_calls=3 say='Let me see.']]"]
WORDS += ["[[answer: tool_call tool_calls=2]]", "[[answer: text]]", "[[answer: reasoning]]", "[[answer: length]]"]
WORDS += ["[[answer: say='Ünïcödé \" 東京 \U0001f600']]", "[[answer: tokens=0]]", "[[answer: reasoning_tokens=64]]"]


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Good requests of all sorts."""
    model = draw(st.sampled_from(MODELS))
    facts = models.profile("x", "openai_chat", model, {})
    assert facts is not None
    body = user(draw(st.text(max_size=20)).replace("[[", "") + draw(st.sampled_from(WORDS)), model=model)
    if draw(st.booleans()) and facts.has("tools"):
        body["tools"] = draw(st.sampled_from([[WEATHER], [WEATHER, CLOCK]]))
        if draw(st.booleans()):
            body["tool_choice"] = draw(st.sampled_from(["auto", "none", "required"]))
        if draw(st.booleans()):
            body["parallel_tool_calls"] = draw(st.booleans())
    body |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "n": st.integers(1, 3),
                "max_completion_tokens": st.integers(1, 60),
                "response_format": st.sampled_from([FORMAT, {"type": "text"}]),
            },
        )
    )
    if "stop" not in facts.facts.get("unsupported", ()) and draw(st.booleans()):
        body["stop"] = draw(st.sampled_from(["e", ["the", "a"], "東"]))
    if facts.has("logprobs_key") and draw(st.booleans()):
        body |= {"logprobs": True, "top_logprobs": draw(st.integers(0, 2))}
    return body


def streamed(body: dict[str, Any], **options: Any) -> dict[str, Any]:
    return body | {"stream": True, "stream_options": {"include_usage": True, **options}}


@given(bodies())
def test_a_stream_says_what_the_whole_reply_says(body: dict[str, Any]) -> None:
    """The deltas of a stream, put together, are the message of the JSON reply; so are usage, model and tier."""
    whole = orjson.loads(payload(replied(body)))
    script = replied(streamed(body))
    parts = chunks(script)
    for choice, built in zip(whole["choices"], reassembled(script), strict=True):
        message = {k: v for k, v in choice["message"].items() if k != "annotations"}
        said = {k: v for k, v in built["message"].items() if v is not None}
        if said.get("content") == "":  # a stream opens with an empty text, whatever follows
            message["content"] = message["content"] or ""
        assert said == {k: v for k, v in message.items() if v is not None}
        assert built["finish_reason"] == choice["finish_reason"]
    assert parts[-1]["choices"] == []
    assert parts[-1]["usage"] == whole["usage"]
    assert {part["model"] for part in parts} == {whole["model"]}
    assert {part.get("service_tier") for part in parts} == {whole.get("service_tier")}
    assert {(part["id"], part["created"]) for part in parts} == {(whole["id"], whole["created"])}


@given(bodies())
def test_tokens_of_the_frames_are_the_usage(body: dict[str, Any]) -> None:
    """What the frames deliver, and what was thought in silence, is what is billed."""
    answer, _, profile = answered(body)
    for script in (replied(body), replied(streamed(body))):
        silent = answer.usage.reasoning_tokens if profile.has("reasoning_hidden") else 0
        if "reasoning_tokens=" not in body["messages"][0]["content"]:
            assert sum(frame.tokens for frame in script.frames) + silent == answer.usage.output_tokens
    sizes = [sum(f.text_bytes for f in replied(b).frames) for b in (body, streamed(body))]
    assert sizes[0] == sizes[1]


@given(bodies(), st.booleans())
def test_padding_makes_every_chunk_one_more_than_a_multiple_of_16(body: dict[str, Any], asked: bool) -> None:
    padded = models.profile("x", "openai_chat", body["model"], {})
    assert padded is not None
    for frame in replied(streamed(body, include_obfuscation=asked)).frames[:-1]:
        text = frame.data[6:-2]
        chunk = json.loads(text)
        if asked and padded.has("obfuscation"):
            assert len(text) % 16 == 1
            assert list(chunk)[-1] == "obfuscation"
            assert len(chunk["obfuscation"]) < 16
            assert chunk["obfuscation"] == "" or chunk["obfuscation"].isalnum()
        else:
            assert "obfuscation" not in chunk


@given(bodies(), st.booleans(), st.integers(0, 2**40))
def test_nothing_but_the_ids_depends_on_nonce_and_time(body: dict[str, Any], stream: bool, seed: int) -> None:
    """A reply with marks in the place of nonce and time becomes any other reply by filling them in."""
    body = body | {"stream": stream}
    mark, nonce = "m" * NONCE_LENGTH, draws.nonce(seed)
    answer, ask, profile = answered(body)
    first = DIALECT.reply(_as_of(answer, mark, 1111111111), ask, profile, Serving(mark, 1111111111, SEED))
    second = DIALECT.reply(_as_of(answer, nonce, 1999999999), ask, profile, Serving(nonce, 1999999999, SEED))
    filled = payload(first).replace(mark.encode(), nonce.encode()).replace(b"1111111111", b"1999999999")
    assert filled == payload(second)
    assert [(k, v.replace(mark, nonce)) for k, v in first.headers] == list(second.headers)


def _as_of(answer: Any, nonce: str, created_s: int) -> Any:
    return type(answer)(answer.model, nonce, created_s, answer.choices, answer.usage, answer.told)


@given(bodies())
def test_structured_output_and_arguments_validate(body: dict[str, Any]) -> None:
    whole = orjson.loads(payload(replied(body)))
    for choice in whole["choices"]:
        message = choice["message"]
        text = message["content"]
        cut = choice["finish_reason"] == "length" or "stop" in body or "say=" in body["messages"][0]["content"]
        if body.get("response_format") == FORMAT and text and not cut and not message.get("tool_calls"):
            Draft202012Validator(SCHEMA).validate(json.loads(text))
        for call in message.get("tool_calls", []):
            schemas = {t["function"]["name"]: t["function"]["parameters"] for t in body["tools"]}
            Draft202012Validator(schemas[call["function"]["name"]]).validate(json.loads(call["function"]["arguments"]))


def test_a_reply_to_the_byte() -> None:
    """Order of keys, indentation, the last newline; ids of 38 characters, a dated model, an `fp_` of 10."""
    text = payload(replied(user("Hello [[answer: say=Hi!]]"))).decode()
    made = f"chatcmpl-{openai_ids.base62(SEED, 7)}{NONCE}"
    assert len(made) == 38
    mark = json.loads(text)["system_fingerprint"]
    assert mark.startswith("fp_")
    assert len(mark) == 13
    message: dict[str, Any] = {"role": "assistant", "content": "Hi!", "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    details = {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    usage = {
        "prompt_tokens": 18,
        "completion_tokens": 2,
        "total_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": details,
    }
    due = {"id": made, "object": "chat.completion", "created": NOW_S, "model": "gpt-4o-2024-08-06", "choices": [choice]}
    due |= {"usage": usage, "service_tier": "default", "system_fingerprint": mark}
    assert text == json.dumps(due, indent=2) + "\n"


def frames(script: Script) -> list[str]:
    """Each chunk without what all share: what stands from `choices` on, and before the padding."""
    out = []
    for frame in script.frames[:-1]:
        text = frame.data[6:-2].decode()
        start = min(at for at in (text.find('"choices"'), text.find('"usage"')) if at >= 0)
        out.append(text[start:].partition(',"obfuscation"')[0])
    return out


def test_a_text_stream_to_the_byte() -> None:
    script = replied(user("Hello [[answer: say='Hi you']]", stream=True, stream_options={"include_usage": True}))
    head = '"choices":[{"index":0,"delta":{'
    tail = '},"logprobs":null,"finish_reason":null}],"usage":null'
    assert frames(script)[:-1] == [
        head + '"role":"assistant","content":"","refusal":null' + tail,
        head + '"content":"Hi"' + tail,
        head + '"content":" you"' + tail,
        head + '},"logprobs":null,"finish_reason":"stop"}],"usage":null',
    ]
    assert frames(script)[-1].startswith('"choices":[],"usage":{"prompt_tokens":')
    assert script.frames[-1].data == b"data: [DONE]\n\n"
    assert [frame.kind for frame in script.frames] == ["start", "delta", "delta", "stop", "usage", "end"]
    assert ("content-type", "text/event-stream; charset=utf-8") in script.headers


def test_without_usage_asked_no_chunk_speaks_of_it() -> None:
    assert all("usage" not in chunk for chunk in chunks(replied(user("Hello", stream=True))))


def test_one_tool_call_opens_in_the_chunk_of_the_role() -> None:
    script = replied(user("Hello", tools=[WEATHER], stream=True))
    first, *rest = chunks(script)
    delta = first["choices"][0]["delta"]
    assert list(delta) == ["role", "content", "tool_calls", "refusal"]
    call = delta["tool_calls"][0]
    assert list(call) == ["index", "id", "type", "function"]
    assert len(call["id"]) == 29
    assert call["function"] == {"name": "get_weather", "arguments": ""}
    assert all(
        list(chunk["choices"][0]["delta"].get("tool_calls", [{}])[0]) in (["index", "function"], []) for chunk in rest
    )
    assert script.frames[0].kind == "delta"


def test_parallel_tool_calls_have_a_role_chunk_and_one_opening_each() -> None:
    """Their chunks tell `usage` before `choices`; their arguments have spaces."""
    body = user("[[answer: tool_call tool_calls=2]]", tools=[WEATHER, CLOCK], stream=True)
    script = replied(body | {"stream_options": {"include_usage": True}})
    shown = frames(script)
    assert shown[0] == (
        '"usage":null,"choices":[{"index":0,"delta":{"role":"assistant","content":null},"logprobs":null,"finish_reason":null}]'
    )
    openings = [c for c in chunks(script)[:-1] if "id" in c["choices"][0]["delta"].get("tool_calls", [{}])[0]]
    assert [o["choices"][0]["delta"]["tool_calls"][0]["index"] for o in openings] == [0, 1]
    assert shown[-2].endswith('"finish_reason":"tool_calls"}],"usage":null')
    arguments = reassembled(script)[0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert arguments == json.dumps(json.loads(arguments))


def test_a_custom_tool_is_called_with_free_input() -> None:
    grammar = {"type": "custom", "custom": {"name": "math"}}
    message = orjson.loads(payload(replied(user("Hello", tools=[grammar]))))["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert list(call) == ["id", "type", "custom"]
    assert list(call["custom"]) == ["name", "input"]
    built = reassembled(replied(user("Hello", tools=[grammar], stream=True)))[0]["message"]["tool_calls"]
    assert built == [call]


def test_choices_take_turns() -> None:
    script = replied(user("Hello [[answer: tokens=2]]", n=2, stream=True))
    assert [c["choices"][0]["index"] for c in chunks(script)] == [0, 1, 0, 1, 0, 1, 0, 1]


def test_told_usage_decides_what_is_told() -> None:
    """An answer that tells nothing has no usage, streamed or not."""
    answer, ask, profile = answered(user("Hello", stream=True, stream_options={"include_usage": True}))
    mute = type(answer)(answer.model, NONCE, NOW_S, answer.choices, answer.usage, None)
    assert all(c["choices"] for c in chunks(DIALECT.reply(mute, ask, profile, SERVING)))
    answer, ask, profile = answered(user("Hello"))
    mute = type(answer)(answer.model, NONCE, NOW_S, answer.choices, answer.usage, None)
    assert "usage" not in orjson.loads(payload(DIALECT.reply(mute, ask, profile, SERVING)))


def test_log_probabilities_are_of_the_tokens() -> None:
    body = user("Hello [[answer: say='Hi you']]", logprobs=True, top_logprobs=2)
    rows = orjson.loads(payload(replied(body)))["choices"][0]["logprobs"]["content"]
    assert [row["token"] for row in rows] == ["Hi", " you"]
    assert all(bytes(row["bytes"]).decode() == row["token"] and row["logprob"] <= 0 for row in rows)
    assert all(len(row["top_logprobs"]) == 2 and row["top_logprobs"][0]["token"] == row["token"] for row in rows)
    told = [c["choices"][0]["logprobs"] for c in chunks(replied(body | {"stream": True}))]
    assert [t["content"][0] for t in told if t] == rows


def test_reasoning_is_billed_and_not_shown() -> None:
    usage = orjson.loads(payload(replied(user("Hello", model="gpt-5", reasoning_effort="high"))))["usage"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert thought >= 64
    assert thought % 64 == 0
    assert usage["completion_tokens"] > thought


def test_a_compatible_server_shows_reasoning() -> None:
    """Another vendor is a row of facts: `reasoning_content` beside the text, no padding, no tier."""
    script = replied(user("Hello", model="glm-5", stream=True))
    message = reassembled(script)[0]["message"]
    assert message["reasoning_content"]
    assert message["content"]
    assert all("obfuscation" not in chunk and "service_tier" not in chunk for chunk in chunks(script))


@pytest.mark.parametrize(
    ("ms", "told"),
    [(0, "0s"), (0.2, "0s"), (6, "6ms"), (644, "644ms"), (1250, "1.25s"), (360_000, "6m0s"), (3_723_000, "1h2m3s")],
)
def test_durations_are_those_of_go(ms: float, told: str) -> None:
    assert openai_headers.duration(ms) == told


def test_rate_limit_headers_are_what_one_request_leaves() -> None:
    headers = dict(replied(user("Hello")).headers)
    assert headers["x-ratelimit-limit-requests"] == "10000"
    assert headers["x-ratelimit-remaining-requests"] == "9999"
    assert headers["x-ratelimit-reset-requests"] == "6ms"
    assert not [name for name in dict(replied(user("Hello", model="glm-5")).headers) if name.startswith("x-ratelimit")]


def test_models_are_listed_with_their_dated_names() -> None:
    listed = models.listed("openai_chat", {"vendors": ["openai"]})
    body = orjson.loads(payload(DIALECT.models(listed, SERVING)))
    ids = {row["id"] for row in body["data"]}
    assert body["object"] == "list"
    assert {"gpt-5", "gpt-5-2025-08-07"} <= ids
    assert "glm-5" not in ids
    ask = DIALECT.decode(Request("GET", "/v1/models/gpt-5", "", {}, b"", {"model": "gpt-5"}), "list_models")
    one = orjson.loads(payload(DIALECT.models(listed, SERVING, ask.model)))
    assert one == {"id": "gpt-5", "object": "model", "created": one["created"], "owned_by": "openai"}
    assert DIALECT.models(listed, SERVING, "gpt-99").status == 404


def test_dialects_are_registered_by_their_names() -> None:
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {name: name for name in DIALECTS}
