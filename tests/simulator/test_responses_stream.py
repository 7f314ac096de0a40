"""The Responses wire as a stream: order, numbers, padding, what the deltas add up to; and faults on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from simulator.answers.answer import Stop
from simulator.dialects.base import Serving
from simulator.dialects.responses import problems
from simulator.problem import Problem
from tests.simulator import openai_exchange
from tests.simulator.live import Live, request, running
from tests.simulator.responses_exchange import (
    BUILT_IN,
    DIALECT,
    NONCE,
    NOW_S,
    SERVING,
    SPEAK,
    WEATHER,
    answered,
    ask_for,
    events,
    payload,
    replied,
    said,
)
from tests.simulator.test_responses import bodies

KNOWN: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
LATER = {"response.function_call_arguments.done": {"name": "f"}}  # members that the type has and the wire has not
TEXTS = {  # end of a text -> (its member, the deltas)
    "response.output_text.done": "text",
    "response.refusal.done": "refusal",
    "response.function_call_arguments.done": "arguments",
    "response.custom_tool_call_input.done": "input",
    "response.reasoning_summary_text.done": "text",
    "response.reasoning_text.done": "text",
    "response.code_interpreter_call_code.done": "code",
    "response.mcp_call_arguments.done": "arguments",
}
ALL_NATIVE = "Hello [[answer: native=offered]]"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def call(live: Live, body: dict[str, Any], **headers: str) -> Any:
    """A POST to the fleet."""
    key = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
    return live.call(request("POST", "/openai/v1/responses", body, key | headers))


def told(body: bytes) -> list[dict[str, Any]]:
    """The events of a body."""
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


def streamed(body: dict[str, Any], **facts: Any) -> list[dict[str, Any]]:
    return events(replied(body | {"stream": True}, facts))


def without_seals(value: Any) -> Any:
    """The same without encrypted content, which is another each time the wire tells it."""
    if isinstance(value, dict):
        return {name: without_seals(below) for name, below in value.items() if name != "encrypted_content"}
    return [without_seals(below) for below in value] if isinstance(value, list) else value


@given(bodies())
def test_every_event_is_numbered_and_of_a_type_that_the_official_client_knows(body: dict[str, Any]) -> None:
    """From 0, without a gap; `type` first, then the members by name."""
    found = streamed(body)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    for event in found:
        assert list(event) == ["type", *sorted(set(event) - {"type"})]
        KNOWN.validate_python(event | LATER.get(event["type"], {}))
    names = [event["type"] for event in found]
    assert names[:2] == ["response.created", "response.in_progress"]
    assert names[-1] in ("response.completed", "response.incomplete")
    assert b"[DONE]" not in payload(replied(body | {"stream": True}))


@given(bodies())
def test_the_stream_says_what_the_whole_reply_says(body: dict[str, Any]) -> None:
    """The last event bears the object of the JSON reply but for who pays; the items before it are its output."""
    whole = said(replied(body))
    found = streamed(body)
    last = found[-1]["response"]
    assert last == {name: value for name, value in whole.items() if name != "billing"}
    done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert without_seals(done) == without_seals(last["output"])
    begun = [event["response"] for event in found[:2]]
    assert {(one["status"], one["usage"], one["service_tier"]) for one in begun} == {("in_progress", None, "auto")}
    assert all(one["output"] == [] and one["id"] == last["id"] for one in begun)


@given(bodies())
def test_deltas_add_up(body: dict[str, Any]) -> None:
    """Every text that ends is what its deltas said, and stands in its item; log probabilities likewise."""
    texts: dict[Any, str] = {}
    chances: dict[Any, list[Any]] = {}
    output = said(replied(body))["output"]
    for event in streamed(body):
        where = tuple(event.get(key) for key in ("item_id", "content_index", "summary_index"))
        kind = event["type"].rpartition(".")[0]
        if event["type"].endswith(".delta"):
            texts[kind, where] = texts.get((kind, where), "") + event["delta"]
            chances.setdefault(where, []).extend(event.get("logprobs", []))
        if event["type"] in TEXTS:
            assert event[TEXTS[event["type"]]] == texts.pop((kind, where), "")
            assert event.get("logprobs", []) == chances.get(where, [])
        if event["type"] == "response.output_text.annotation.added":
            part = next(item for item in output if item["id"] == event["item_id"])["content"][0]
            assert part["annotations"][event["annotation_index"]] == event["annotation"]
    assert texts == {}


@given(bodies())
def test_padding_fills_every_delta_to_a_multiple_of_16(body: dict[str, Any]) -> None:
    for event in streamed(body):
        if "delta" in event:
            assert (len(event["delta"]) + len(event["obfuscation"])) % 16 == 0
        else:
            assert "obfuscation" not in event
    plain = streamed(body | {"stream_options": {"include_obfuscation": False}})
    assert not any("obfuscation" in event for event in plain)


@given(bodies())
def test_frames_deliver_what_is_billed(body: dict[str, Any]) -> None:
    answer, _, _ = answered(body)
    whole, script = replied(body), replied(body | {"stream": True})
    assert sum(frame.tokens for frame in script.frames) == sum(frame.tokens for frame in whole.frames)
    assert sum(frame.text_bytes for frame in script.frames) == sum(frame.text_bytes for frame in whole.frames)
    assert [frame.kind for frame in script.frames[:2]] == ["start", "start"]
    assert script.frames[-1].kind == "end"
    assert answer.usage.output_tokens >= sum(frame.tokens for frame in script.frames)


def test_the_order_of_events() -> None:
    """Reasoning with its summary, a message, a call: each opened, told and closed before the next."""
    body = ask_for("[[answer: tool_call reasoning_tokens=9 say='Let me see.']]", model="gpt-5", tools=[WEATHER])
    names = [event["type"] for event in streamed(body | {"reasoning": {"summary": "auto"}})]
    text = ["content_part.added", "output_text.delta", "output_text.done", "content_part.done"]
    summary = "reasoning_summary_text"
    part = ["reasoning_summary_part.added", f"{summary}.delta", f"{summary}.done", "reasoning_summary_part.done"]
    due = ["created", "in_progress", "output_item.added", *part, "output_item.done", "output_item.added", *text]
    due += ["output_item.done", "output_item.added", "function_call_arguments.delta", "function_call_arguments.done"]
    due += ["output_item.done", "completed"]
    assert [name for name, _ in groupby(names)] == [f"response.{name}" for name in due]


def test_long_summaries_have_two_parts() -> None:
    body = ask_for("Hello [[answer: reasoning_tokens=40]]", model="gpt-5", reasoning={"summary": "detailed"})
    added = [event for event in streamed(body) if event["type"] == "response.reasoning_summary_part.added"]
    assert [event["summary_index"] for event in added] == [0, 1]


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("web_search_call", ["in_progress", "searching", "completed"]),
        ("file_search_call", ["in_progress", "searching", "completed"]),
        ("code_interpreter_call", ["in_progress", "interpreting", "completed"]),
        ("image_generation_call", ["in_progress", "generating", "partial_image", "partial_image", "completed"]),
        ("mcp_list_tools", ["in_progress", "completed"]),
        ("mcp_call", ["in_progress", "completed"]),
    ],
)
def test_built_in_tools_tell_how_far_they_are(kind: str, states: list[str]) -> None:
    """Between the item's added and its done, in order."""
    found = streamed(ask_for(ALL_NATIVE, tools=BUILT_IN))
    index = next(event["output_index"] for event in found if event.get("item", {}).get("type") == kind)
    names = [event["type"] for event in found if event.get("output_index") == index]
    assert [name.rpartition(".")[2] for name in names if name.startswith(f"response.{kind}.")] == states
    assert (names[0], names[-1]) == ("response.output_item.added", "response.output_item.done")


def test_terminal_events() -> None:
    """Cut by length or filter is incomplete; refused and custom calls are complete."""
    cut = streamed(ask_for("[[answer: tokens=99]]", max_output_tokens=20))
    assert cut[-1]["type"] == "response.incomplete"
    assert cut[-2]["item"]["status"] == "incomplete"
    assert cut[-1]["response"]["usage"]["output_tokens"] == 20
    answer, ask, profile = answered(ask_for("Hello", stream=True))
    choice = answer.choices[0]
    filtered = answer.__class__(
        answer.model, NONCE, NOW_S, (choice.__class__(choice.blocks, Stop.FILTER),), answer.usage, answer.told
    )
    last = events(DIALECT.reply(filtered, ask, profile, SERVING))[-1]
    assert last["response"]["incomplete_details"] == {"reason": "content_filter"}
    refused = [event["type"] for event in streamed(ask_for("[[answer: refusal]]"))]
    assert {"response.refusal.delta", "response.refusal.done", "response.completed"} <= set(refused)
    spoken = [event["type"] for event in streamed(ask_for("Hello", tools=[SPEAK]))]
    assert {"response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"} <= set(spoken)


def test_raw_reasoning_is_told_as_content() -> None:
    """The way of those who show their reasoning; and arguments may come without deltas."""
    facts = {"reasoning_as": "content", "reasoning_content": True, "reasoning_hidden": False, "item_status": True}
    found = streamed(ask_for("Hello", model="gpt-5", tools=[WEATHER]), **facts, arguments_whole=True)
    names = [event["type"] for event in found]
    assert names[2:4] == ["response.output_item.added", "response.content_part.added"]
    assert "response.reasoning_text.done" in names
    assert found[-1]["response"]["output"][0]["status"] == "completed"
    assert "response.function_call_arguments.delta" not in names
    assert "response.function_call_arguments.done" in names


def test_an_upstream_that_always_streams() -> None:
    """Whatever `stream` says, on this wire and on Chat Completions."""
    assert replied(ask_for("Hello", stream=False), {"always_stream": True}).stream
    chat = openai_exchange.user("Hello", stream=False)
    assert openai_exchange.replied(chat, {"always_stream": True}).stream
    assert not openai_exchange.replied(chat).stream


def test_an_error_in_a_stream_is_nested_and_fails_the_response() -> None:
    script = replied(ask_for("Hello", stream=True))
    alone = told(DIALECT.error_frame(Problem("insufficient_quota"), SERVING))
    assert alone[0]["error"]["code"] == "insufficient_quota"
    assert (alone[0]["type"], alone[0]["sequence_number"]) == ("error", 0)
    after = told(DIALECT.error_after(script.frames[:4], Problem("server_error"), SERVING))
    assert [(event["type"], event["sequence_number"]) for event in after] == [("error", 4), ("response.failed", 5)]
    KNOWN.validate_python(after[1])
    assert after[1]["response"]["status"] == "failed"
    assert after[1]["response"]["error"]["message"] == after[0]["error"]["message"]
    for framed in ([], [b"data: {}"], [b'data: {"type":"response.created",\ndata: "sequence_number":0}']):
        assert len(told(problems.frames_after(framed, Problem("server_error")))) == 1


def test_time_is_told_anew_each_second() -> None:
    first, second = (events(replied(ask_for("Hello", stream=True), None, Serving(NONCE, NOW_S + n, 7))) for n in (0, 1))
    assert first[0]["response"]["created_at"] + 1 == second[0]["response"]["created_at"]
    assert first[0]["response"]["id"] != second[0]["response"]["id"]


@pytest.mark.parametrize("stream", [True, False])
def test_the_journal_knows_what_was_told(fleet: Live, stream: bool) -> None:
    case = f"responses-usage-{stream}"
    reply = call(fleet, ask_for(f"Hello [[case:{case}]]", stream=stream))
    assert reply.status == 200
    usage = told(reply.body)[-1]["response"]["usage"] if stream else reply.json["usage"]
    entry = fleet.journal(case)[0]
    assert entry["usage_told"] == entry["usage_true"]
    assert entry["usage_true"]["output_tokens"] == usage["output_tokens"] == entry["delivered"]["tokens"]


def test_content_faults_count_deltas(fleet: Live) -> None:
    """`after_frames` counts the deltas: the frames before them do not."""
    reply = call(fleet, ask_for("Hello [[case:responses-cut]] [[fault: cut_stream after_frames=5]]", stream=True))
    names = [event["type"] for event in told(reply.body)]
    assert names.count("response.output_text.delta") == 5
    assert names[-1] == "response.output_text.delta"
    entry = fleet.journal("responses-cut")[0]
    assert entry["usage_told"] is None
    assert entry["delivered"]["tokens"] == 5


def test_faults_of_usage_and_terminals(fleet: Live) -> None:
    """Each is seen on this wire as on the others."""

    def events_under(fault: str) -> list[dict[str, Any]]:
        return told(call(fleet, ask_for(f"Hello [[fault: {fault}]]", stream=True)).body)

    assert events_under("missing_usage")[-1]["response"]["usage"] is None
    assert events_under("wrong_usage output_tokens=9999")[-1]["response"]["usage"]["output_tokens"] == 9999
    assert events_under("missing_done")[-1]["type"] == "response.output_item.done"
    twice = [event["type"] for event in events_under("double_done")]
    assert twice[-2:] == ["response.completed"] * 2
    growing = [event for event in events_under("usage_every_chunk") if event["type"] == "response.output_text.delta"]
    counts = [event["usage"]["output_tokens"] for event in growing]
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    broken = events_under("error_event after_frames=2")
    assert [event["type"] for event in broken[-2:]] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in broken] == list(range(len(broken)))


def test_a_stall_after_frames(fleet: Live) -> None:
    """Three deltas, then silence with the socket open, until the client goes."""
    body = ask_for("Hello [[case:responses-stall]] [[fault: stall after_frames=3]]", stream=True)
    line = fleet.line()
    key = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
    line.send(request("POST", "/openai/v1/responses", body, key))
    assert line.head() is not None
    seen = b""
    while seen.count(b"event: response.output_text.delta") < 3:
        seen += line.until(b"\n\n") or b""
    line.close()
    entry = fleet.journal("responses-stall")[0]
    assert (entry["ended"], entry["delivered"]["tokens"]) == ("stall", 3)
