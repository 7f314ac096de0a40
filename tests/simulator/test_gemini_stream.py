"""A Gemini answer as a stream: events and array say what the whole says, with usage as it grows, under faults too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator import live
from tests.simulator.gemini_wire import (
    STREAM,
    TOOLS,
    Call,
    body,
    config,
    joined,
    parts,
    payload,
    replied,
    says,
    streamed,
)

MODELS = ("gemini-2.0-flash", "gemini-2.5-flash", "gemini-3-flash-preview")
THINKS = {"thinkingConfig": {"includeThoughts": True}}
WORDS = ("", "tokens=1", "tokens=200", "tool_call", "tool_calls=3 tool_call", "refusal", "length", 'length say=""')


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], str, str]:
    """(body, model, provider) of some request for an answer."""
    model = draw(st.sampled_from(MODELS))
    asked: dict[str, Any] = {"candidateCount": draw(st.integers(1, 3))}
    if model != "gemini-2.0-flash" and draw(st.booleans()):
        asked |= THINKS
    if draw(st.booleans()):
        asked["maxOutputTokens"] = draw(st.integers(1, 300))
    text = f"Hi {draw(st.integers(0, 999))} [[answer: {draw(st.sampled_from(WORDS))}]]"
    tools = {"tools": TOOLS} if draw(st.booleans()) else {}
    return body(text, generationConfig=asked, **tools), model, draw(st.sampled_from(("gemini", "vertex")))


@settings(max_examples=60)
@given(requests())
def test_a_stream_says_what_the_whole_says(request: tuple[dict[str, Any], str, str]) -> None:
    """The parts of all chunks, put together, are those of the JSON reply, and the last usage is its usage."""
    sent, model, provider = request
    whole = replied(sent, model, provider=provider)
    elements = streamed(sent, model, provider=provider)
    for at, candidate in enumerate(whole["candidates"]):
        texts = [{**part, "thoughtSignature": None} for part in candidate["content"].get("parts", ())]
        told = [{**part, "thoughtSignature": None} for part in joined(elements, at)]
        assert [part for part in told if part.get("text") != ""] == texts
        ends = [row for e in elements for row in e["candidates"] if row.get("index", 0) == at and "finishReason" in row]
        assert [row["finishReason"] for row in ends] == [candidate["finishReason"]]
    assert elements[-1]["usageMetadata"] == whole["usageMetadata"]


@settings(max_examples=30)
@given(requests())
def test_events_and_array_carry_the_same_elements(request: tuple[dict[str, Any], str, str]) -> None:
    sent, model, provider = request
    assert streamed(sent, model, provider=provider) == streamed(sent, model, array=True, provider=provider)


@settings(max_examples=30)
@given(requests())
def test_frames_deliver_all_tokens_and_bytes_of_the_answer(request: tuple[dict[str, Any], str, str]) -> None:
    sent, model, provider = request
    call = Call(sent, model, STREAM, query="alt=sse", provider=provider)
    answer, _, _ = call.answer()
    frames, (whole,) = call.script().frames, Call(sent, model, provider=provider).script().frames
    assert sum(frame.tokens for frame in frames) == answer.usage.output_tokens == whole.tokens
    assert sum(frame.text_bytes for frame in frames) == whole.text_bytes
    assert [frame.kind for frame in frames] == ["delta"] * (len(frames) - 1) + ["stop"]


def test_usage_is_in_every_chunk_and_grows() -> None:
    elements = streamed(body("Hi [[answer: tokens=200 reasoning_tokens=64]]"))
    counts = [element["usageMetadata"]["candidatesTokenCount"] for element in elements]
    assert counts == sorted(set(counts))
    assert counts[-1] == 200
    assert {element["usageMetadata"]["thoughtsTokenCount"] for element in elements} == {64}
    sizes = [after - before for before, after in zip([0, *counts], counts, strict=False)]
    assert 1 <= sizes[0] <= 8
    assert all(10 <= size <= 50 for size in sizes[1:-1])


def test_while_it_thinks_only_thoughts_are_counted() -> None:
    elements = streamed(body("Hi [[answer: tokens=30 reasoning_tokens=100]]", **config(**THINKS)))
    thinking = [element for element in elements if parts(element)[0].get("thought")]
    assert len(thinking) > 1
    assert all("candidatesTokenCount" not in element["usageMetadata"] for element in thinking)
    thoughts = [element["usageMetadata"]["thoughtsTokenCount"] for element in thinking]
    assert thoughts == sorted(set(thoughts))
    assert thoughts[-1] == 100
    assert elements[: len(thinking)] == thinking, "thoughts come first"


def test_vertex_tells_counts_at_the_end_alone() -> None:
    elements = streamed(body("Hi [[answer: tokens=100]]"), provider="vertex")
    assert [element["usageMetadata"] for element in elements[:-1]] == [{"trafficType": "ON_DEMAND"}] * (
        len(elements) - 1
    )
    assert elements[-1]["usageMetadata"]["candidatesTokenCount"] == 100


def test_old_models_count_the_prompt_without_its_schema_until_the_end() -> None:
    schema = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}, "required": ["name"]}
    asked = body("Who?", **config(responseMimeType="application/json", responseSchema=schema))
    asked["contents"].append(says('Name one [[answer: say="' + "word " * 40 + '"]]'))
    first, *_, last = streamed(asked, "gemini-2.0-flash")
    assert first["usageMetadata"]["promptTokenCount"] < last["usageMetadata"]["promptTokenCount"]
    assert "candidatesTokenCount" not in first["usageMetadata"]


def test_a_stream_of_gemini_3_ends_with_an_empty_text_that_bears_the_signature() -> None:
    elements = streamed(body("Hi [[answer: tokens=40 reasoning]]"), "gemini-3-flash-preview")
    (tail,) = parts(elements[-1])
    assert tail["text"] == ""
    assert tail["thoughtSignature"]
    assert all("thoughtSignature" not in part for element in elements[:-1] for part in parts(element))


def test_calls_of_gemini_3_come_a_chunk_each_before_the_chunk_that_ends() -> None:
    elements = streamed(body("Hi [[answer: tool_calls=2 tool_call]]", tools=TOOLS), "gemini-3-flash-preview")
    assert [next(iter(parts(element)[0])) for element in elements] == ["functionCall", "functionCall", "text"]
    assert ["finishReason" in element["candidates"][0] for element in elements] == [False, False, True]
    assert [("thoughtSignature" in parts(element)[0]) for element in elements] == [True, False, False]


def test_calls_of_older_models_come_in_one_chunk_that_ends() -> None:
    (only,) = streamed(body("Hi [[answer: tool_calls=2 tool_call]]", tools=TOOLS))
    assert [next(iter(part)) for part in parts(only)] == ["functionCall", "functionCall"]
    assert only["candidates"][0]["finishMessage"] == "Model generated function call(s)."


def test_arguments_come_in_pieces_on_vertex_when_asked() -> None:
    """The pieces, put together by their paths, are the arguments of the whole reply."""
    schema = {
        "type": "OBJECT",
        "properties": {
            "city": {"type": "STRING"},
            "days": {"type": "ARRAY", "minItems": 2, "items": {"type": "INTEGER"}},
        },
        "required": ["city", "days"],
    }
    asked = body("Hi [[answer: tool_call]]", tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}])
    asked["toolConfig"] = {"functionCallingConfig": {"streamFunctionCallArguments": True}}
    calls = [part["functionCall"] for element in streamed(asked, provider="vertex") for part in parts(element)]
    assert calls[0] == {"name": "f", "willContinue": True}
    assert calls[-1] == {}
    said: dict[str, Any] = {}
    for call in calls[1:-1]:
        (piece,) = call["partialArgs"]
        value = piece.get("stringValue", piece.get("numberValue"))
        said[piece["jsonPath"]] = said.get(piece["jsonPath"], "") + value if isinstance(value, str) else value
    (whole,) = parts(replied(asked, provider="vertex"))
    arguments = whole["functionCall"]["args"]
    assert said["$.city"] == arguments["city"]
    assert [said[f"$.days[{at}]"] for at in range(len(arguments["days"]))] == arguments["days"]
    plain = streamed(asked)
    assert parts(plain[0])[0]["functionCall"]["args"], "AI Studio sends them whole"


def test_the_array_comes_element_by_element() -> None:
    data = payload(Call(body("Hi [[answer: tokens=60]]"), method=STREAM).script())
    assert data.startswith(b'[{\n  "candidates": [\n')
    assert data.endswith(b"\n}\r\n]")
    assert data.count(b"\n}\r\n,\r\n{\n") == len(json.loads(data)) - 1 > 0


@pytest.fixture(scope="module")
def fleet() -> Iterator[live.Live]:
    with live.running() as found:
        yield found


def sent(prompt: str, *, query: str = "?alt=sse", model: str = "gemini-2.5-flash", provider: str = "gemini") -> bytes:
    """A request for a stream."""
    root = "/v1beta" if provider == "gemini" else "/v1/projects/p/locations/l/publishers/google"
    key = {"x-goog-api-key": "sk-fleet-gemini", "authorization": "Bearer sk-fleet-vertex"}
    return live.request("POST", f"/{provider}{root}/models/{model}:{STREAM}{query}", body(prompt), key)


def test_a_cut_stream_told_in_the_journal_what_it_told_on_the_wire(fleet: live.Live) -> None:
    """Fault: the connection is cut after two chunks. Observed: the bytes, and the journal's usage."""
    prompt = "[[case:gem-cut]] [[answer: tokens=300 reasoning_tokens=64]] [[fault: cut_stream after_frames=2]]"
    reply = fleet.call(sent(prompt))
    chunks = [json.loads(line[6:]) for line in reply.body.split(b"\r\n\r\n") if line]
    assert len(chunks) == 2
    (entry,) = fleet.journal("gem-cut")
    last = chunks[-1]["usageMetadata"]
    assert entry["usage_told"]["output_tokens"] == last["candidatesTokenCount"] + last["thoughtsTokenCount"]
    assert entry["usage_true"]["output_tokens"] == 364


@pytest.mark.parametrize(("fault", "told"), [("missing_usage", None), ("wrong_usage factor=2", 2)])
def test_usage_lies_are_told_on_this_wire_too(fleet: live.Live, fault: str, told: int | None) -> None:
    case = f"gem-{fault.split()[0]}"
    reply = fleet.call(sent(f"[[case:{case}]] [[answer: tokens=50 reasoning_tokens=10]] [[fault: {fault}]]"))
    chunks = [json.loads(line[6:]) for line in reply.body.split(b"\r\n\r\n") if line]
    usage = chunks[-1].get("usageMetadata")
    (entry,) = fleet.journal(case)
    assert entry["usage_true"]["output_tokens"] == 60
    if told is None:
        assert all("usageMetadata" not in chunk for chunk in chunks)
        assert entry["usage_told"] is None
    else:
        assert usage["candidatesTokenCount"] + usage["thoughtsTokenCount"] == 120
        assert entry["usage_told"]["output_tokens"] == 120


@pytest.mark.parametrize("after", [0, 1])
def test_an_error_in_a_stream_has_the_streams_form(fleet: live.Live, after: int) -> None:
    prompt = f"[[answer: tokens=90]] [[fault: error_event after_frames={after} kind=overloaded]]"
    events = fleet.call(sent(prompt)).body
    array = json.loads(fleet.call(sent(prompt, query="")).body)
    last = [json.loads(line[6:]) for line in events.split(b"\r\n\r\n") if line][-1]
    assert last == array[-1]
    assert last["error"]["status"] == "UNAVAILABLE"
    assert len(array) == after + 1


def test_a_stale_signature_is_refused_where_the_history_bears_one(fleet: live.Live) -> None:
    key = {"x-goog-api-key": "sk-fleet-gemini", "x-windtunnel-fault": "stale_signature"}
    signed = {"role": "model", "parts": [{"text": "Yes.", "thoughtSignature": "skip_thought_signature_validator"}]}
    path = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
    for turn, status in ((signed, 400), (says("Yes.", "model"), 200)):
        contents = [says("Hi"), turn, says("So?")]
        assert fleet.call(live.request("POST", path, {"contents": contents}, key)).status == status


def test_a_ready_made_reply_differs_only_in_its_id(fleet: live.Live) -> None:
    """The same request twice: each has an id of its own, and on Vertex its own time."""
    first, second = (fleet.call(sent("Again")).body for _ in range(2))
    one, two = (json.loads(data.split(b"\r\n\r\n")[0][6:])["responseId"] for data in (first, second))
    assert one != two
    assert first.replace(one.encode(), two.encode()) == second
    assert b"createTime" in fleet.call(sent("Again", provider="vertex")).body
