"""Responses streams as they are written: our reader and the official client take them, and read what was told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway import sse
from gateway.kept_responses import KeptResponses
from gateway.translation.delta import CallOpened, CallPiece, Delta, Refused, Said, Stopped, Thought
from gateway.translation.responses.answer import Writing
from gateway.upstreams import openai_responses_modes
from gateway.upstreams.openai_responses import ResponsesReader
from gateway.upstreams.reading import Part
from gateway.wires.responses import ResponsesWire
from tests.gateway.making import StillClock
from tests.gateway.translation.responses_streams import (
    HEAD,
    PATCH,
    accumulated,
    answers,
    final,
    parsed,
    read,
    response_of,
    written,
)
from tests.gateway.translation.strategies import merged

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@given(answers)
def test_what_is_written_is_read_again(told: list[Delta]) -> None:
    assert read(parsed(written(told))) == merged(told)


@given(answers)
def test_our_reader_and_the_sdk_take_what_is_written(told: list[Delta]) -> None:
    reader = ResponsesReader()
    parts = []
    for event in sse.Parser().feed(written(told)):
        parts.append(reader.read(event))
        assert event.name == orjson.loads(event.data)["type"].encode()
        EVENTS.validate_json(event.data)
    assert reader.complete
    assert (parts[:2], parts[-1]) == ([Part.PREAMBLE, Part.PREAMBLE], Part.CLOSING)
    assert set(parts[2:-1]) <= {Part.PREAMBLE, Part.CONTENT}
    usage = reader.told
    assert (usage.input_tokens, usage.output_tokens) == (12, 9)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (4, 3, 2)


@given(answers)
def test_what_is_written_can_be_put_together(told: list[Delta]) -> None:
    response = response_of(written(told))
    model = Response.model_validate(response)
    assert (model.id, model.created_at, model.model) == ("resp_7Qw", 1_777_898_096, "glm-5")
    assert (response["store"], model.previous_response_id) == (False, None)
    said = [delta.text for delta in told if isinstance(delta, Said)]
    assert model.output_text == "".join(said)
    calls = [item.call_id for item in model.output if item.type == "function_call"]
    assert calls == [delta.id for delta in told if isinstance(delta, CallOpened)]
    again = openai_responses_modes.disassemble(orjson.dumps(response))
    assert read(parsed(again)) == merged(told)


@given(answers)
@settings(max_examples=20)
def test_the_official_accumulator_takes_what_is_written(told: list[Delta]) -> None:
    last = list(accumulated(written(told)))[-1]
    reason = told[-1].reason if isinstance(told[-1], Stopped) else None
    whole = reason not in ("length", "filtered")
    assert last.type == ("response.completed" if whole else "response.incomplete")
    assert last.response.output_text == "".join(delta.text for delta in told if isinstance(delta, Said))


@given(answers)
def test_numbers_have_no_gaps_and_items_end_as_they_began(told: list[Delta]) -> None:
    events = parsed(written(told))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    output = events[-1]["response"]["output"]
    begun = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    ended = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert ended == output
    assert begun == [item["id"] for item in output]
    assert len(set(begun)) == len(begun)


def test_the_events_of_an_answer() -> None:
    told: list[Delta] = [
        Thought("Hm."),
        Said("Hel"),
        Said("lo"),
        CallOpened("call_1", "find"),
        CallPiece("{}"),
        Stopped("tool_calls"),
    ]
    reasoning, message, call = (f"{kind}_7Qw{at:02d}" for at, kind in enumerate(("rs", "msg", "fc")))
    events = parsed(written(told))
    assert [
        (event["type"].removeprefix("response."), event.get("item_id") or event.get("item", {}).get("id"))
        for event in events
    ] == [
        ("created", None),
        ("in_progress", None),
        ("output_item.added", reasoning),
        ("reasoning_summary_part.added", reasoning),
        ("reasoning_summary_text.delta", reasoning),
        ("reasoning_summary_text.done", reasoning),
        ("reasoning_summary_part.done", reasoning),
        ("output_item.done", reasoning),
        ("output_item.added", message),
        ("content_part.added", message),
        ("output_text.delta", message),
        ("output_text.delta", message),
        ("output_text.done", message),
        ("content_part.done", message),
        ("output_item.done", message),
        ("output_item.added", call),
        ("function_call_arguments.delta", call),
        ("function_call_arguments.done", call),
        ("output_item.done", call),
        ("completed", None),
    ]
    assert events[0]["response"] == events[1]["response"]
    assert (events[0]["response"]["status"], events[0]["response"]["usage"]) == ("in_progress", None)
    assert events[-1]["response"]["usage"] == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 21,
    }


def test_frames_are_written_as_soon_as_they_are_due() -> None:
    writing = Writing(HEAD)
    assert not writing.shown
    assert writing.write(Said("")) == b""
    assert [event["type"] for event in parsed(writing.write(Said("Hello")))] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]
    assert (writing.shown, writing.next_number, writing.began["id"]) == (True, 5, "resp_7Qw")
    assert [event["type"] for event in parsed(writing.write(Said("!")))] == ["response.output_text.delta"]
    assert writing.write(Stopped("stop")) == b""
    assert writing.next_number == 6


def test_an_error_in_mid_answer_goes_on_from_what_was_written() -> None:
    wire = ResponsesWire(KeptResponses(), "ada", StillClock())
    events = parsed(wire.writing(HEAD).write(Said("Hello")) + wire.error_frame("The upstream broke off."))
    assert [event["sequence_number"] for event in events] == list(range(7))
    assert [event["type"] for event in events[5:]] == ["error", "response.failed"]
    assert (events[-1]["response"]["id"], events[-1]["response"]["status"]) == ("resp_7Qw", "failed")
    fresh = ResponsesWire(KeptResponses(), "ada", StillClock())
    fresh.writing(HEAD)
    assert [event["sequence_number"] for event in parsed(fresh.error_frame("Nothing came."))] == [0, 1]


def test_a_call_of_a_custom_tool_is_told_as_free_text() -> None:
    arguments = orjson.dumps({"input": PATCH}).decode()
    told: list[Delta] = [
        CallOpened("call_1", "apply_patch"),
        CallPiece(arguments[:9]),
        CallPiece(arguments[9:]),
        Stopped("tool_calls"),
    ]
    stream = written(told)
    (item,) = final(stream).output
    assert (item.type, item.id, item.call_id, item.name) == ("custom_tool_call", "ctc_7Qw00", "call_1", "apply_patch")
    assert item.input == PATCH
    assert read(parsed(stream)) == [told[0], CallPiece(arguments), told[-1]]
    assert [event["type"] for event in parsed(stream)][2:-1] == [
        "response.output_item.added",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_item.done",
    ]


def test_a_call_of_a_custom_tool_that_is_cut() -> None:
    told: list[Delta] = [CallOpened("call_1", "apply_patch"), CallPiece('{"input":"*** Beg'), Stopped("length")]
    (item,) = response_of(written(told))["output"]
    assert (item["status"], item["input"]) == ("incomplete", "*** Beg")


def test_a_call_of_a_tool_of_a_namespace() -> None:
    told: list[Delta] = [
        CallOpened("call_1", "crm--find"),
        CallPiece("{}"),
        CallOpened("call_2", "crm--note"),
        Stopped("tool_calls"),
    ]
    found, noted = final(written(told)).output
    assert (found.type, found.namespace, found.name) == ("function_call", "crm", "find")
    assert (noted.type, noted.namespace, noted.name) == ("custom_tool_call", "crm", "note")


def test_calls_without_ids_or_with_the_same() -> None:
    told: list[Delta] = [
        CallOpened("", "find"),
        CallOpened("call_1", "find"),
        CallOpened("call_1", "find"),
        Stopped("tool_calls"),
    ]
    output = response_of(written(told))["output"]
    assert [item["call_id"] for item in output] == ["call_7Qw_0", "call_1", "call_7Qw_2"]
    assert [item["arguments"] for item in output] == ["{}"] * 3


@pytest.mark.parametrize(("reason", "why"), [("length", "max_output_tokens"), ("filtered", "content_filter")])
def test_an_answer_that_is_cut(reason: Any, why: str) -> None:
    response = response_of(written([Said("Hel"), Stopped(reason)]))
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": why})
    assert response["output"][0]["status"] == "incomplete"
    assert response_of(written([Stopped(reason)]))["output"] == []


def test_a_refusal() -> None:
    response = response_of(written([Said("Well."), Refused("I can"), Refused("not."), Stopped("refusal")]))
    assert response["status"] == "completed"
    kinds = [(part["type"], part.get("text") or part.get("refusal")) for part in response["output"][0]["content"]]
    assert kinds == [("output_text", "Well."), ("refusal", "I cannot.")]


def test_an_answer_of_nothing() -> None:
    (item,) = final(written([Stopped("stop")])).output
    assert (item.type, item.content[0].text) == ("message", "")
    (item,) = final(written([Stopped("refusal")])).output
    assert item.content[0].refusal == "The model refused to answer."
