"""Messages streams: what is read is what was written, and our reader, the schemas and the official client take it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from gateway import sse
from gateway.pricing import Usage
from gateway.translation.delta import CallOpened, CallPiece, Delta, Head, Refused, Said, Stopped, Thought
from gateway.translation.messages.answer import Reading, Writing
from gateway.upstreams import anthropic_modes
from gateway.upstreams.anthropic_messages import MessagesReader
from gateway.upstreams.reading import Part, Whole
from simulator.answers.answer import Stop, Text, Thinking, ToolCall
from tests.gateway.translation.strategies import deltas, json_values, merged, wrecked
from tests.simulator.anthropic_wire import (
    DIALECT,
    SERVING,
    THINKS,
    TOOL,
    answer,
    asked,
    assembled,
    body,
    events,
    profile,
)

HEAD: Final = Head("7Qw", 1_777_898_096, "gpt-5.5", input_tokens=40)
REPLIES: Final = Path(__file__).parents[3] / "schemas" / "replies"
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
REASONS: Final = ("stop", "stop_sequence", "length", "refusal")
usages = st.builds(
    lambda fresh, cached, written, out, thought: Usage(
        fresh + cached + written, out + thought, cached, written, thought
    ),
    st.integers(1, 5000),  # an input of nothing at all is one that was not counted
    *[st.integers(0, 5000)] * 4,
)


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads((REPLIES / f"{name}.json").read_bytes()))


def written(told: Iterable[Delta], usage: Usage = Usage(12, 5), head: Head = HEAD) -> bytes:
    writing = Writing(head)
    return b"".join([*(writing.write(delta) for delta in told), writing.close(usage)])


def parsed(stream: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(event.data) for event in sse.Parser().feed(stream)]


def read(told: Iterable[dict[str, Any]]) -> list[Delta]:
    reading = Reading()
    return [*(delta for event in told for delta in reading.deltas(event)), *reading.end()]


def whole(told: Iterable[Delta], usage: Usage = Usage(12, 5)) -> dict[str, Any]:
    made = anthropic_modes.assemble(written(told, usage))
    assert isinstance(made, Whole), made
    message: dict[str, Any] = orjson.loads(made.body)
    return message


@given(deltas(reasons=REASONS))
def test_what_is_written_is_read_again(told: list[Delta]) -> None:
    assert merged(read(parsed(written(told)))) == merged(told)


@given(deltas(reasons=(*REASONS, "filtered"), refused=True), usages)
def test_our_reader_takes_what_is_written(told: list[Delta], usage: Usage) -> None:
    reader = MessagesReader()
    text_bytes = 0
    for event in sse.Parser().feed(written(told, usage)):
        assert reader.read(event) not in (Part.BROKEN, Part.ERROR, Part.NOTHING)
        text_bytes += reader.text_bytes
    assert reader.complete
    assert reader.failure is None
    shown = "".join(delta.text for delta in told if isinstance(delta, Said | Thought | Refused))
    arguments = "".join(delta.arguments for delta in told if isinstance(delta, CallPiece))
    assert text_bytes == len((shown + arguments).encode())
    assert reader.told.input_tokens == usage.input_tokens
    assert reader.told.output_tokens == usage.output_tokens
    assert reader.told.cached_tokens == usage.cached_tokens
    assert reader.told.cache_write_tokens == usage.cache_write_tokens
    assert reader.told.reasoning_tokens == usage.reasoning_tokens


@given(deltas(reasons=(*REASONS, "filtered"), refused=True), usages)
def test_clients_take_what_is_written(told: list[Delta], usage: Usage) -> None:
    stream = parsed(written(told, usage))
    for event in stream:
        validator("message_event").validate(event)
        EVENTS.validate_python(event, strict=True)
    message = whole(told, usage)
    validator("message").validate(message)
    Message.model_validate(message, strict=True)
    once = assembled(stream)
    assert message["content"] == once["content"]
    assert message["usage"] == once["usage"] | message["usage"]


@given(wrecked(st.sampled_from([*parsed(written([Thought("a"), Said("b"), CallOpened("c", "d"), CallPiece("{}")]))])))
def test_a_wrecked_event_is_passed_over(event: dict[str, Any]) -> None:
    call = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a", "name": "b"}}
    told = read([call, event, event])
    assert [isinstance(delta, Stopped) for delta in told] == [False] * (len(told) - 1) + [True]


@given(st.lists(st.dictionaries(st.sampled_from(["type", "index", "delta", "content_block"]), json_values), max_size=4))
def test_any_json_is_passed_over(told: list[dict[str, Any]]) -> None:
    assert read(told) == [Stopped("stop")]


def test_the_events_of_an_answer() -> None:
    told: list[Delta] = [
        Thought("Hm."),
        Said("Look"),
        Said("ing."),
        CallOpened("call_1", "look"),
        CallPiece('{"a":'),
        CallPiece("1}"),
    ]
    usage = Usage(100, 30, cached_tokens=60, cache_write_tokens=10, reasoning_tokens=8)
    stream = written([*told, Stopped("tool_calls")], usage)
    assert stream.startswith(b'event: message_start\ndata: {"type":"message_start"')
    assert stream.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert parsed(stream) == [
        {
            "type": "message_start",
            "message": {
                "model": "gpt-5.5",
                "id": "msg_7Qw",
                "type": "message",
                "role": "assistant",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "stop_details": None,
                "usage": {
                    "input_tokens": 40,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 1,
                },
            },
        },
        start(0, {"type": "thinking", "thinking": "", "signature": ""}),
        delta(0, {"type": "thinking_delta", "thinking": "Hm."}),
        delta(0, {"type": "signature_delta", "signature": ""}),
        stop(0),
        start(1, {"type": "text", "text": ""}),
        delta(1, {"type": "text_delta", "text": "Look"}),
        delta(1, {"type": "text_delta", "text": "ing."}),
        stop(1),
        start(2, {"type": "tool_use", "id": "call_1", "name": "look", "input": {}}),
        delta(2, {"type": "input_json_delta", "partial_json": ""}),
        delta(2, {"type": "input_json_delta", "partial_json": '{"a":'}),
        delta(2, {"type": "input_json_delta", "partial_json": "1}"}),
        stop(2),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None},
            "usage": {
                "input_tokens": 30,
                "cache_creation_input_tokens": 10,
                "cache_read_input_tokens": 60,
                "output_tokens": 30,
                "output_tokens_details": {"thinking_tokens": 8},
            },
        },
        {"type": "message_stop"},
    ]


def start(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, piece: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": piece}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str | None, **more: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **more}, "usage": {"output_tokens": 3}}


@pytest.mark.parametrize(
    ("stopped", "words"),
    [
        (Stopped("stop"), ("end_turn", None)),
        (Stopped("stop", "END"), ("end_turn", None)),
        (Stopped("stop_sequence", "END"), ("stop_sequence", "END")),
        (Stopped("length"), ("max_tokens", None)),
        (Stopped("tool_calls"), ("end_turn", None)),
        (Stopped("filtered"), ("refusal", None)),
    ],
)
def test_stop_reasons_written(stopped: Stopped, words: tuple[str, str | None]) -> None:
    message = whole([Said("a"), stopped])
    assert (message["stop_reason"], message["stop_sequence"]) == words


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (ending("end_turn"), Stopped("stop")),
        (ending("pause_turn"), Stopped("stop")),
        (ending("unheard_of"), Stopped("stop")),
        (ending(None), Stopped("stop")),
        (ending("stop_sequence", stop_sequence="END"), Stopped("stop_sequence", "END")),
        (ending("max_tokens"), Stopped("length")),
        (ending("model_context_window_exceeded"), Stopped("length")),
        (ending("tool_use"), Stopped("stop")),
        (ending("refusal"), Stopped("refusal")),
    ],
)
def test_stop_reasons_read(last: dict[str, Any], due: Stopped) -> None:
    assert read([last, {"type": "message_stop"}]) == [due]


def test_an_answer_with_calls_stops_for_them() -> None:
    call = start(0, {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}})
    assert read([call, stop(0), ending("end_turn")])[-1] == Stopped("tool_calls")
    assert read([call, stop(0), ending("max_tokens")])[-1] == Stopped("length")
    assert whole([CallOpened("a", "look"), Stopped("stop")])["stop_reason"] == "tool_use"


def test_calls_tell_their_arguments_once() -> None:
    """In pieces, at their start as some servers do, or not at all."""
    told = read(
        [
            start(0, {"type": "tool_use", "id": "a", "name": "pieces", "input": {"b": 2}}),
            delta(0, {"type": "input_json_delta", "partial_json": ""}),
            delta(0, {"type": "input_json_delta", "partial_json": '{"b":2}'}),
            stop(0),
            start(1, {"type": "tool_use", "id": "b", "name": "at_once", "input": {"c": 3}}),
            start(2, {"type": "tool_use", "id": "c", "name": "without", "input": {}}),
            delta(2, {"type": "input_json_delta", "partial_json": ""}),
        ]
    )
    assert told == [
        CallOpened("a", "pieces"),
        CallPiece('{"b":2}'),
        CallOpened("b", "at_once"),
        CallPiece('{"c":3}'),
        CallOpened("c", "without"),
        CallPiece("{}"),
        Stopped("tool_calls"),
    ]


def test_arguments_with_too_many_levels_are_left_out() -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"a": deep}
    told = read([start(0, {"type": "tool_use", "id": "a", "name": "b", "input": deep}), stop(0)])
    assert told == [CallOpened("a", "b"), CallPiece("{}"), Stopped("tool_calls")]


def test_what_has_no_block_start_is_read_all_the_same() -> None:
    told = read([delta(0, {"type": "text_delta", "text": "Hello."}), ending("end_turn")])
    assert told == [Said("Hello."), Stopped("stop")]


def test_what_anthropic_runs_itself_is_passed_over() -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    told = read(
        [
            start(0, search),
            delta(0, {"type": "input_json_delta", "partial_json": '{"query":"a"}'}),
            stop(0),
            start(1, found),
            stop(1),
            start(2, {"type": "redacted_thinking", "data": "Eo4D"}),
            stop(2),
            start(3, {"type": "text", "text": "It "}),
            delta(3, {"type": "text_delta", "text": "rains."}),
            delta(3, {"type": "citations_delta", "citation": {}}),
            stop(3),
            ending("end_turn"),
        ]
    )
    assert merged(told) == [Said("It rains."), Stopped("stop")]


def test_a_refusal_is_read_with_its_explanation_and_written_as_a_text() -> None:
    told = read([ending("refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "Not this."})])
    assert told == [Refused("Not this."), Stopped("refusal")]
    message = whole(told)
    assert message["content"] == [{"type": "text", "text": "Not this."}]
    assert message["stop_reason"] == "refusal"
    assert message["stop_details"] == {"type": "refusal", "category": None, "explanation": None}


def test_ids_that_no_client_can_send_back_are_replaced() -> None:
    calls: list[Delta] = [CallOpened(ident, "look") for ident in ("", "a.b", "call_1", "call_1")]
    assert [block["id"] for block in whole(calls)["content"]] == ["toolu_7Qw_0", "toolu_7Qw_1", "call_1", "toolu_7Qw_3"]


def test_an_answer_without_content() -> None:
    message = whole([Said(""), Stopped("stop")])
    assert message["content"] == []
    assert message["stop_reason"] == "end_turn"


def test_pieces_of_no_call_are_passed_over() -> None:
    assert whole([Said("a"), CallPiece("{}")])["content"] == [{"type": "text", "text": "a"}]


def test_a_stream_of_the_fleet() -> None:
    ask = asked(body(stream=True, tools=[TOOL], thinking=THINKS))
    blocks = (
        Thinking(("Let me", " see.")),
        Text(("I", " look.")),
        ToolCall("A" * 24, "look", {"where": "here"}),
        ToolCall("B" * 24, "look", {}),
    )
    stream = events(DIALECT.reply(answer(blocks, Stop.TOOL), ask, profile(), SERVING))
    assert [one for one in merged(read(stream)) if not isinstance(one, CallOpened)] == [
        Thought("Let me see."),
        Said("I look."),
        CallPiece('{"where": "here"}'),
        CallPiece("{}"),
        Stopped("tool_calls"),
    ]
    starts = [event["content_block"] for event in stream if event["type"] == "content_block_start"]
    assert [one for one in read(stream) if isinstance(one, CallOpened)] == [
        CallOpened(block["id"], block["name"]) for block in starts if block["type"] == "tool_use"
    ]
