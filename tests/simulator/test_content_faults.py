"""Faults of what is said: nearly valid, cut short, nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest

from simulator.faults import FAULTS
from tests.simulator.live import Live, Reply, running
from tests.simulator.quirks import (
    TOOL,
    calling,
    chat,
    choices,
    events,
    message,
    met,
    new_case,
    own_text,
    pieces,
    said,
    thinking,
    tool_use,
)

CATALOGUE = [
    "refusal",
    "stale-signature",
    "content-filter",
    "prompt-blocked",
    "cut-by-length",
    "empty-answer",
    "unknown-tool",
    "nearly-valid-output",
    "nearly-valid-arguments",
]
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": TOOL}}
SHAPES = ("missing_required", "wrong_type", "extra_property")
TEXTS = ("trailing_comma", "truncated", "fenced", "not_json")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def structured(fault: str = "", **more: Any) -> bytes:
    return chat(fault, answer="", response_format=FORMAT, **more)


def one(fault: str = "", **more: Any) -> bytes:
    return calling(fault, calls=1, **more)


def arguments(reply: Reply) -> str:
    return "".join(piece["function"].get("arguments", "") for piece in pieces(reply))


def own_arguments(reply: Reply) -> str:
    rows = [event["delta"] for event in events(reply) if event["type"] == "content_block_delta"]
    return "".join(row.get("partial_json", "") for row in rows)


def is_valid(text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(TOOL).is_valid(json.loads(text)))


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def entry_of(fleet: Live, make: Callable[..., bytes], fault: str, **more: Any) -> tuple[Reply, dict[str, Any]]:
    """A reply and its entry, whose sums must be right."""
    case = new_case()
    reply = fleet.call(make(fault, case=case, **more))
    entry = met(fleet, case)
    assert entry["faults"] == [FAULTS.kind(fault.split()[0])]
    return reply, entry


READERS = [(structured, said), (one, arguments), (tool_use, own_arguments)]
NAMES = {structured: "nearly-valid-output", one: "nearly-valid-arguments", tool_use: "nearly-valid-arguments"}


@pytest.mark.parametrize(("make", "read"), READERS)
@pytest.mark.parametrize("how", SHAPES)
def test_what_nearly_validates(fleet: Live, make: Callable[..., bytes], read: Callable[[Reply], str], how: str) -> None:
    assert is_valid(read(fleet.call(make())))
    reply, entry = entry_of(fleet, make, f"{NAMES[make]} how={how}")
    assert is_json(read(reply))
    assert not is_valid(read(reply))
    assert entry["usage_true"] == entry["usage_told"]
    assert entry["usage_true"]["output_tokens"] == entry["delivered"]["tokens"]


@pytest.mark.parametrize(("make", "read"), READERS)
@pytest.mark.parametrize("how", TEXTS)
def test_what_is_nearly_json(fleet: Live, make: Callable[..., bytes], read: Callable[[Reply], str], how: str) -> None:
    plain = read(fleet.call(make()))
    reply, entry = entry_of(fleet, make, f"{NAMES[make]} how={how}")
    text = read(reply)
    assert is_json(plain)
    assert not is_json(text)
    assert {
        "trailing_comma": text == plain[:-1] + ",}",
        "truncated": plain.startswith(text) and 0 < len(text) < len(plain),
        "fenced": text == f"```json\n{plain}\n```",
        "not_json": text == repr(json.loads(plain)),
    }[how]
    assert entry["usage_true"] == entry["usage_told"]
    assert entry["delivered"]["text_bytes"] == len(text.encode())


def test_nearly_valid_json_replies(fleet: Live) -> None:
    answer = fleet.call(structured("nearly-valid-output how=fenced", stream=False)).json
    assert answer["choices"][0]["message"]["content"].startswith("```json\n{")
    calls = fleet.call(calling("nearly-valid-arguments how=trailing_comma", stream=False)).json
    rows = calls["choices"][0]["message"]["tool_calls"]
    assert [row["function"]["arguments"][-2:] for row in rows] == [",}", ",}"]
    own = fleet.call(tool_use("nearly-valid-arguments how=wrong_type", stream=False)).json["content"][-1]["input"]
    assert not is_valid(json.dumps(own))
    text = fleet.call(tool_use("nearly-valid-arguments how=truncated", stream=False)).json["content"][-1]["input"]
    assert is_valid(json.dumps(text))  # an object on this wire: it cannot be half a text


def test_nothing_is_spoilt_where_nothing_was_structured(fleet: Live) -> None:
    for name in ("nearly-valid-output", "nearly-valid-arguments", "unknown-tool", "stale-signature"):
        assert said(fleet.call(chat(name))) == said(fleet.call(chat())) != "", name


STOPS = [("content-filter", "content_filter", "refusal"), ("cut-by-length", "length", "max_tokens")]


@pytest.mark.parametrize(("name", "finish", "own_stop"), STOPS)
def test_an_answer_is_stopped_in_its_middle(fleet: Live, name: str, finish: str, own_stop: str) -> None:
    reply, entry = entry_of(fleet, chat, f"{name} after_tokens=4")
    plain = said(fleet.call(chat()))
    assert plain.startswith(said(reply))
    assert 0 < len(said(reply)) < len(plain)
    assert choices(reply)[-1]["finish_reason"] == finish
    assert entry["usage_true"]["output_tokens"] == entry["usage_told"]["output_tokens"] == 4
    assert entry["delivered"]["tokens"] == 4
    body = fleet.call(chat(name, stream=False, n=2)).json
    assert [row["finish_reason"] for row in body["choices"]] == [finish, finish]
    assert body["usage"]["completion_tokens"] == 10
    own, own_entry = entry_of(fleet, message, f"{name} after_tokens=4")
    assert own_text(fleet.call(message())).startswith(own_text(own))
    assert next(event for event in events(own) if event["type"] == "message_delta")["delta"]["stop_reason"] == own_stop
    assert own_entry["usage_true"]["output_tokens"] == 4


def test_an_empty_answer(fleet: Live) -> None:
    reply, entry = entry_of(fleet, chat, "empty-answer")
    assert said(reply) == ""
    assert choices(reply)[-1]["finish_reason"] == "stop"
    assert entry["usage_told"]["output_tokens"] == 1
    thought, _ = entry_of(fleet, thinking, "empty-answer")
    assert said(thought) == ""
    assert said(thought, "reasoning_content") != ""
    body = fleet.call(message("empty-answer", stream=False)).json
    assert (body["content"], body["stop_reason"], body["usage"]["output_tokens"]) == ([], "end_turn", 1)
    assert not fleet.call(calling("empty-answer", stream=False)).json["choices"][0]["message"]["content"]


def test_a_tool_that_was_not_offered(fleet: Live) -> None:
    reply, entry = entry_of(fleet, one, "unknown-tool")
    assert [piece["function"]["name"] for piece in pieces(reply) if "name" in piece["function"]] == ["forecast_v2"]
    assert is_valid(arguments(reply))
    assert entry["usage_true"]["output_tokens"] == entry["delivered"]["tokens"]
    own = fleet.call(tool_use("unknown-tool name=rm_rf", stream=False)).json
    assert own["content"][-1]["name"] == "rm_rf"


def test_a_prompt_that_is_blocked(fleet: Live) -> None:
    reply, _ = entry_of(fleet, chat, "prompt-blocked")
    assert (reply.status, reply.json["error"]["code"]) == (400, "content_policy_violation")
    own = fleet.call(message("prompt-blocked message='high risk'"))
    assert (own.status, own.json["error"]["message"]) == (400, "high risk")


def test_refusals_are_told_in_each_wire_s_way(fleet: Live) -> None:
    reply, entry = entry_of(fleet, chat, "refusal text='No.'")
    assert said(reply, "refusal") == "No."
    assert entry["usage_true"]["output_tokens"] == entry["delivered"]["tokens"]
    assert fleet.call(message("refusal", stream=False)).json["stop_reason"] == "refusal"


def test_faults_of_content_are_known() -> None:
    for name in CATALOGUE:
        assert name in FAULTS, name
        assert FAULTS[name].seen_at, name
