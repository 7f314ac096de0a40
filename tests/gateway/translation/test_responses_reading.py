"""Responses streams as they are read: each thing once, whatever way an upstream tells it, and nothing odd matters."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.delta import CallOpened, CallPiece, Said, Stopped, Thought
from tests.gateway.translation.responses_streams import answers, parsed, read, written
from tests.gateway.translation.strategies import json_values, wrecked
from tests.simulator import responses_exchange as fleet


@given(st.lists(wrecked(answers.map(lambda told: {"events": parsed(written(told))}))), json_values)
def test_any_events_are_read(streams: list[dict[str, Any]], more: Any) -> None:
    for stream in streams:
        events = stream.get("events")
        told = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
        found = read([*told, {"type": "response.output_item.done", "item": more, "output_index": more}])
        assert isinstance(found[-1], Stopped)
        assert sum(isinstance(delta, Stopped) for delta in found) == 1


@given(st.lists(st.fixed_dictionaries(
    {"type": st.sampled_from([
        "response.output_item.added", "response.output_item.done", "response.output_text.delta",
        "response.custom_tool_call_input.delta", "response.function_call_arguments.done", "response.completed",
    ])},
    optional=dict.fromkeys(("item", "delta", "arguments", "output_index", "content_index", "response"), json_values),
)))  # fmt: skip
def test_odd_members_are_passed_over(events: list[dict[str, Any]]) -> None:
    assert isinstance(read(events)[-1], Stopped)


def test_the_fleets_streams_are_read() -> None:
    tool = {"type": "function", "name": "find", "parameters": {"type": "object"}}
    asked = fleet.ask_for("Hello [[answer: tool_calls=2]]", stream=True, tools=[tool], tool_choice="required")
    told = read(fleet.events(fleet.replied(asked)))
    assert {delta.name for delta in told if isinstance(delta, CallOpened)} == {"find"}
    assert told[-1] == Stopped("tool_calls")
    said = fleet.ask_for("Hello", stream=True)
    events = fleet.events(fleet.replied(said))
    (message,) = [item for item in events[-1]["response"]["output"] if item["type"] == "message"]
    assert read(events) == [Said(message["content"][0]["text"]), Stopped("stop")]


MESSAGE: Final[dict[str, Any]] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello"}],
}
CALL: Final[dict[str, Any]] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "find",
    "arguments": '{"a":1}',
}
THOUGHTS: Final[dict[str, Any]] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm."}],
}


def done(item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "item": item, **more}


def ended(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"status": "completed", "output": list(output), **more}}


ALL: Final = [Thought("Hm."), Said("Hello"), CallOpened("call_1", "find"), CallPiece('{"a":1}'), Stopped("tool_calls")]


@pytest.mark.parametrize(
    "events",
    [
        [ended(THOUGHTS, MESSAGE, CALL)],
        [done(THOUGHTS), done(MESSAGE), done(CALL), ended(THOUGHTS, MESSAGE, CALL)],
        [*(done(item, output_index=at) for at, item in enumerate((THOUGHTS, MESSAGE, CALL))), ended()],
        [done(THOUGHTS, output_index=0), done(MESSAGE, output_index=1), ended(THOUGHTS, MESSAGE, CALL)],
    ],
    ids=["only_the_last_event", "no_indices", "empty_output", "rest_in_the_last_event"],
)
def test_items_that_come_whole_are_told_once(events: list[dict[str, Any]]) -> None:
    assert read(events) == ALL


def test_the_rest_of_what_was_told_in_part() -> None:
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**MESSAGE, "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hel"},
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a"'},
        done(MESSAGE, output_index=0),
        done(CALL, output_index=1),
        ended(MESSAGE, CALL),
    ]
    assert read(events) == ALL[1:]


def test_thoughts_in_several_parts() -> None:
    summary = [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}]
    delta = {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "One."}
    raw = {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "In full."}
    assert read([delta, raw, done({**THOUGHTS, "summary": summary}, output_index=0), ended(THOUGHTS)]) == [
        Thought("One.\n\nTwo."),
        Stopped("stop"),
    ]


def test_a_call_is_not_interrupted() -> None:
    other = {**CALL, "call_id": "call_2", "arguments": "{}"}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**CALL, "arguments": ""}},
        {"type": "response.output_item.added", "output_index": 1, "item": {**other, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
        {"type": "response.output_text.delta", "output_index": 2, "content_index": 0, "delta": "Hello"},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a":1}'},
        done(CALL, output_index=0),
        ended(),
    ]
    assert read(events) == [
        CallOpened("call_1", "find"),
        CallPiece('{"a":1}'),
        CallOpened("call_2", "find"),
        CallPiece("{}"),
        Said("Hello"),
        Stopped("tool_calls"),
    ]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (
            {**ended(MESSAGE, incomplete_details={"reason": "max_output_tokens"}), "type": "response.incomplete"},
            "length",
        ),
        (ended(MESSAGE, CALL, status="incomplete"), "length"),
        (ended(MESSAGE, status="incomplete", incomplete_details={"reason": "content_filter"}), "filtered"),
        (ended({**MESSAGE, "content": [{"type": "refusal", "refusal": "No."}]}), "refusal"),
    ],
)
def test_why_an_answer_ends(event: dict[str, Any], reason: str) -> None:
    assert read([event])[-1] == Stopped(reason)  # type: ignore[arg-type]
