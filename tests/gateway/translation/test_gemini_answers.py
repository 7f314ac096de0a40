"""Gemini's stream as deltas and back: nothing is lost, and our own reader and Google's SDK take what is written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from gateway import sse
from gateway.pricing import Usage
from gateway.translation.delta import CallOpened, CallPiece, Delta, Head, Refused, Said, Stopped, Thought
from gateway.translation.gemini import request as prompts
from gateway.translation.gemini.answer import SIGNATURE, Reading, Writing
from gateway.upstreams import gemini_generate_modes
from gateway.upstreams.gemini_generate import GenerateReader
from gateway.upstreams.reading import Part, Whole
from gateway.wires.gemini import Array
from tests.gateway.translation.strategies import deltas, json_values, merged, wrecked
from tests.simulator import gemini_wire

Json = dict[str, Any]

HEAD = Head("abc", 1_777_898_096, "gemini-3.1-pro", 12)
USAGE = Usage(input_tokens=30, output_tokens=20, cached_tokens=10, reasoning_tokens=5)
answers = deltas(reasons=("stop", "length", "filtered"))


def written(told: list[Delta], **options: Any) -> bytes:
    """The stream of these deltas."""
    writing = Writing(HEAD, **options)
    return b"".join([*map(writing.write, told), writing.close(USAGE)])


def events(stream: bytes) -> list[sse.Event]:
    """The events of a stream."""
    parser = sse.Parser()
    return [*parser.feed(stream), *parser.end()]


def chunks(stream: bytes) -> list[Json]:
    """The chunks of a stream."""
    return [orjson.loads(event.data) for event in events(stream)]


def read(told: list[Json]) -> list[Delta]:
    """The deltas of a stream of chunks, pieces joined."""
    reading = Reading()
    return merged([*(delta for chunk in told for delta in reading.deltas(chunk)), *reading.end()])


def chunk(*parts: Json, **candidate: Any) -> Json:
    """A chunk."""
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **candidate}]}


@given(answers)
def test_an_answer_survives_the_wire(told: list[Delta]) -> None:
    assert read(chunks(written(told))) == merged(told)


@given(answers)
def test_our_reader_takes_every_stream(told: list[Delta]) -> None:
    reader = GenerateReader()
    parts = [reader.read(event) for event in events(written(told))]
    assert reader.complete
    assert not {Part.ERROR, Part.BROKEN} & set(parts)
    assert parts[-1] is Part.ENDING
    found = reader.told
    assert (found.input_tokens, found.output_tokens, found.cached_tokens, found.reasoning_tokens) == (30, 20, 10, 5)


@given(answers)
def test_a_stream_amounts_to_the_same_reply(told: list[Delta]) -> None:
    whole = gemini_generate_modes.assemble(written(told))
    assert isinstance(whole, Whole)
    assert read([orjson.loads(whole.body)]) == merged(told)


@given(answers)
def test_google_s_sdk_takes_every_chunk(told: list[Delta]) -> None:
    found = [types.GenerateContentResponse.model_validate(one) for one in chunks(written(told))]
    said = [part for one in found for part in one.parts or []]
    assert "".join(part.text or "" for part in said if not part.thought) == "".join(
        delta.text for delta in told if isinstance(delta, Said)
    )
    calls = [call.name for one in found for call in one.function_calls or []]
    assert calls == [delta.name for delta in told if isinstance(delta, CallOpened)]
    last = found[-1].usage_metadata
    assert last is not None
    assert (last.total_token_count, last.candidates_token_count, last.thoughts_token_count) == (50, 15, 5)
    assert {(one.response_id, one.model_version) for one in found} == {("abc", "gemini-3.1-pro")}


@given(answers)
def test_a_stream_as_an_array_is_one_document(told: list[Delta]) -> None:
    framing = Array()
    stream = written(told, framed=framing.chunk, end=framing.END)
    assert read(orjson.loads(stream)) == merged(told)


@given(st.lists(wrecked(answers.map(lambda told: chunks(written(told))[0])), max_size=3))
def test_whatever_an_upstream_sends_is_read(told: list[Json]) -> None:
    assert isinstance(read(told)[-1], Stopped)


@given(st.dictionaries(st.sampled_from(["candidates", "promptFeedback"]), json_values))
def test_whatever_is_no_chunk_is_passed_over(told: Json) -> None:
    assert [type(delta) for delta in read([told])] == [Stopped]


ODD = ["{", "[1]", "null", '{"a":' * 300 + "1" + "}" * 300]


@pytest.mark.parametrize("arguments", ODD)
def test_a_call_whose_arguments_are_no_object_is_malformed(arguments: str) -> None:
    told: list[Delta] = [Said("x"), CallOpened("a", "f"), CallPiece(arguments), Stopped("tool_calls")]
    found = chunks(written(told))
    assert len(found) == 2
    assert found[-1]["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert found[-1]["candidates"][0]["finishMessage"] == "Malformed function call: f"
    assert read(found) == [Said("x"), Stopped("stop")]


def test_calls_go_out_whole_with_ids_and_one_signature() -> None:
    writing = Writing(HEAD)
    opened = [writing.write(delta) for delta in (CallOpened("", "f"), CallPiece('{"a"'), CallPiece(":1}"))]
    assert opened == [b"", b"", b""]
    assert not writing.begun
    [first] = chunks(writing.write(CallOpened("x", "g")))
    assert writing.begun
    assert first["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"id": "call_abc_0", "name": "f", "args": {"a": 1}}, "thoughtSignature": SIGNATURE}
    ]
    second, last = chunks(writing.close(Usage()))
    assert second["candidates"][0]["content"]["parts"] == [{"functionCall": {"id": "x", "name": "g", "args": {}}}]
    assert last["candidates"][0] == {
        "content": {"parts": [{"text": ""}], "role": "model"},
        "finishReason": "STOP",
        "index": 0,
        "finishMessage": "Model generated function call(s).",
    }


def test_a_call_that_the_caller_sends_back_is_taken_by_gemini_3() -> None:
    """The next turn may go to Google itself, which refuses calls without a signature; SDKs decode and encode it."""
    [first, _] = chunks(written([CallOpened("a", "weather"), CallPiece('{"city":"Rome"}'), Stopped("tool_calls")]))
    content = types.Content.model_validate(first["candidates"][0]["content"])
    history = [
        gemini_wire.says("hi"),
        content.model_dump(mode="json", by_alias=True, exclude_none=True),
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "a", "name": "weather", "response": {"result": "sun"}}}],
        },
    ]
    gemini_wire.Call({"contents": history, "tools": gemini_wire.TOOLS}, "gemini-3-flash-preview").read()


@pytest.mark.parametrize(
    ("delta", "part"),
    [
        (Said("x"), {"text": "x"}),
        (Thought("x"), {"text": "x", "thought": True}),
        (Refused("x"), {"text": "x"}),
    ],
)
def test_pieces_go_out_at_once(delta: Delta, part: Json) -> None:
    [found] = chunks(Writing(HEAD).write(delta))
    assert found["candidates"] == [{"content": {"parts": [part], "role": "model"}, "index": 0}]


@pytest.mark.parametrize("delta", [Said(""), Thought(""), Refused("")])
def test_nothing_is_written_of_an_empty_piece(delta: Delta) -> None:
    writing = Writing(HEAD)
    assert writing.write(delta) == b""
    assert not writing.begun


REASONS = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "refusal": "SAFETY",
    "filtered": "SAFETY",
}


@pytest.mark.parametrize(("reason", "word"), REASONS.items())
def test_reasons_in_google_s_words(reason: Any, word: str) -> None:
    assert chunks(written([Stopped(reason)]))[-1]["candidates"][0]["finishReason"] == word


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "filtered"),
        ("RECITATION", "filtered"),
        ("PROHIBITED_CONTENT", "filtered"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("OTHER", "stop"),
        ("A_NEW_ONE", "stop"),
    ],
)
def test_google_s_words_as_reasons(word: str, reason: Any) -> None:
    assert read([chunk({"text": "x"}, finishReason=word)]) == [Said("x"), Stopped(reason)]


def test_a_blocked_prompt_is_filtered() -> None:
    assert read([{"promptFeedback": {"blockReason": "SAFETY"}}]) == [Stopped("filtered")]


def test_a_block_in_mid_answer_is_told_after_the_text() -> None:
    told = [chunk({"text": "x"}), {"candidates": [{"content": {}, "finishReason": "SAFETY", "index": 0}]}]
    assert read(told) == [Said("x"), Stopped("filtered")]


def test_calls_stop_with_tool_calls_though_google_says_stop() -> None:
    call = {"functionCall": {"name": "f", "args": {"x": 1}, "id": "0usajhl5"}, "thoughtSignature": "Ep8CCpw"}
    told = [chunk(call), chunk({"functionCall": {"name": "g"}}), chunk({"text": ""}, finishReason="STOP")]
    assert read(told) == [
        CallOpened("0usajhl5", "f"),
        CallPiece('{"x":1}'),
        CallOpened("", "g"),
        CallPiece("{}"),
        Stopped("tool_calls"),
    ]


def test_thoughts_and_further_candidates() -> None:
    told = [chunk({"text": "hm", "thought": True}, index=0), chunk({"text": "no"}, index=1), chunk({"text": "yes"})]
    assert read(told) == [Thought("hm"), Said("yes"), Stopped("stop")]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview"])
def test_the_fleet_s_streams_are_read(model: str) -> None:
    body = {
        "contents": [gemini_wire.says("How warm is it in Rome?")],
        "tools": gemini_wire.TOOLS,
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }
    prompts.read(body)
    found = read(gemini_wire.streamed(body, model))
    opened, piece, stopped = found
    assert isinstance(opened, CallOpened)
    assert isinstance(piece, CallPiece)
    assert opened.name == "weather"
    assert list(orjson.loads(piece.arguments)) == ["city"]
    assert stopped == Stopped("tool_calls")
