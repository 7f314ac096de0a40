"""Chat answers, read and written: streams as official clients take them, and the oddities of compatible servers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.sse import Parser
from gateway.translation.delta import (
    CallOpened,
    CallPiece,
    Delta,
    Reason,
    Refused,
    Said,
    Stopped,
    Thought,
)
from gateway.upstreams import openai_chat_modes
from gateway.upstreams.openai_chat import DONE, ChatReader
from gateway.upstreams.reading import Part, Whole
from tests.gateway.translation.chat_streams import call, chunks, pieces, read, read_and_written, written
from tests.gateway.translation.strategies import deltas, json_values, merged, wrecked

answers = deltas(reasons=("stop", "length", "filtered"), refused=True)
MEMBERS = ("content", "reasoning", "reasoning_details", "refusal", "tool_calls", "function_call", "reasoning_content")
any_answers = deltas(reasons=("stop", "length", "filtered", "stop_sequence", "refusal"), refused=True)


@given(answers)
def test_what_is_written_is_read_again(told: list[Delta]) -> None:
    assert read(chunks(written(told))) == merged(told)


@given(any_answers)
def test_what_is_written_is_a_stream_for_our_reader_and_for_the_sdk(told: list[Delta]) -> None:
    reader = ChatReader()
    parts = []
    for event in Parser().feed(written(told)):
        parts.append(reader.read(event))
        if event.data != DONE:
            ChatCompletionChunk.model_validate_json(event.data)
    assert reader.complete
    assert (parts[0], parts[-3:]) == (Part.PREAMBLE, [Part.ENDING, Part.NOTHING, Part.TERMINAL])
    assert set(parts[1:-3]) <= {Part.CONTENT, Part.PREAMBLE}
    assert (reader.told.input_tokens, reader.told.output_tokens, reader.told.cached_tokens) == (9, 5, 4)
    assert reader.told.reasoning_tokens == 2


@given(any_answers)
def test_what_is_written_can_be_put_together(told: list[Delta]) -> None:
    whole = openai_chat_modes.assemble(written(told))
    assert isinstance(whole, Whole)
    completion = ChatCompletion.model_validate_json(whole.body)
    message = completion.choices[0].message
    assert (completion.id, completion.created, completion.model) == ("chatcmpl-abc123", 1_700_000_000, "glm-5")
    assert (message.content or "") == "".join(delta.text for delta in told if isinstance(delta, Said))
    assert (message.refusal or "") == "".join(delta.text for delta in told if isinstance(delta, Refused))
    assert len(message.tool_calls or ()) == sum(isinstance(delta, CallOpened) for delta in told)
    assert read(chunks(openai_chat_modes.disassemble(whole.body))) == read(chunks(written(told)))


@given(wrecked(answers.map(written).map(chunks).map(lambda told: {"all": told})))
def test_events_that_are_wrong_somewhere_are_passed_over(wreck: dict[str, Any]) -> None:
    told = wreck.get("all")
    read_and_written([event for event in told if isinstance(event, dict)] if isinstance(told, list) else [])


@given(st.lists(st.dictionaries(st.sampled_from(MEMBERS), json_values, max_size=3), max_size=3))
def test_any_deltas_are_read(told: list[dict[str, Any]]) -> None:
    read_and_written(pieces(*told))


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm.", "content": None},
        {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {
            "reasoning_details": [
                {"type": "reasoning.summary", "summary": "Hm."},
                {"type": "reasoning.encrypted", "data": "x"},
            ]
        },
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
    ],
)
def test_thoughts_of_every_vendor(delta: dict[str, Any]) -> None:
    assert read(pieces(delta, {"content": "Yes."}, "stop")) == [Thought("Hm."), Said("Yes."), Stopped("stop")]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<think>\nHm.</think>\n\nYes.", [Thought("\nHm."), Said("Yes.")]),
        ("\n<think>a < b </thin</think>Yes </think>.", [Thought("a < b </thin"), Said("Yes </think>.")]),
        ("<think>Hm.</th", [Thought("Hm.</th")]),
        ("<think></think>Yes.", [Said("Yes.")]),
        ("<thinking> is a tag", [Said("<thinking> is a tag")]),
        ("Say <think>", [Said("Say <think>")]),
        ("<thi", [Said("<thi")]),
        ("\n Yes.\n", [Said("\n Yes.\n")]),
        ("\n", []),
    ],
)
def test_thoughts_between_tags(text: str, told: list[Delta], size: int) -> None:
    cut = [{"content": text[at : at + size]} for at in range(0, len(text), size)]
    assert read(pieces(*cut)) == [*told, Stopped("stop")]


def test_blanks_before_a_call_are_no_text() -> None:
    events = pieces({"content": "\n"}, call("{}", "find", index=0, id="a"))
    assert read(events) == [CallOpened("a", "find"), CallPiece("{}"), Stopped("tool_calls")]


def test_content_as_a_list_and_thoughts_before_text_in_one_chunk() -> None:
    events = pieces({"content": [{"type": "text", "text": "Y"}, "es"], "reasoning": "Hm."})
    assert read(events) == [Thought("Hm."), Said("Yes"), Stopped("stop")]


def test_other_answers_than_the_first_are_passed_over() -> None:
    events = [{"choices": [{"index": 1, "delta": {"content": "B"}}, {"index": 0, "delta": {"content": "A"}}, None]}]
    assert read([{"choices": []}, {"choices": None}, {}, *events]) == [Said("A"), Stopped("stop")]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (pieces({"content": "a"}), "stop"),
        (pieces({"content": "a"}, ""), "stop"),
        (pieces("stop", {"content": "a"}, "length"), "length"),
        (pieces({"content": "a"}, "eos"), "stop"),
        (pieces({"content": "a"}, "content_filter"), "filtered"),
        (pieces({"content": "a"}, "sensitive"), "filtered"),
        (pieces({"content": "a"}, "insufficient_system_resource"), "length"),
        (pieces({"content": "a"}, "tool_calls"), "stop"),
        (pieces({"refusal": "No."}, "stop"), "refusal"),
        (pieces(call('{"x":1}', index=0, id="a", name="find"), "length"), "tool_calls"),
        (pieces(call('{"x":', index=0, id="a", name="find"), "length"), "length"),
        (pieces(call('{"x":', index=0, id="a", name="find"), "stop"), "tool_calls"),
    ],
)
def test_the_reason(events: list[dict[str, Any]], reason: Reason) -> None:
    assert read(events)[-1] == Stopped(reason)


def test_a_stream_in_full() -> None:
    told: list[Delta] = [
        Thought("Hm."),
        Said("Yes."),
        CallOpened("", "find"),
        CallPiece('{"x":1}'),
        Stopped("tool_calls"),
    ]
    events = chunks(written(told))
    assert {(event["id"], event["object"], event["created"], event["model"]) for event in events} == {
        ("chatcmpl-abc123", "chat.completion.chunk", 1_700_000_000, "glm-5")
    }
    opened = {"id": "call_abc123_0", "type": "function", "function": {"name": "find", "arguments": ""}}
    assert [event["choices"] for event in events] == [
        [{"index": 0, "delta": delta, "finish_reason": None}]
        for delta in (
            {"role": "assistant", "content": ""},
            {"reasoning_content": "Hm."},
            {"content": "Yes."},
            {"tool_calls": [{"index": 0, **opened}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":1}'}}]},
        )
    ] + [[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], []]
    assert events[-1]["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert written(told).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("told", "finish"),
    [
        ([Stopped("stop_sequence", "END")], "stop"),
        ([Stopped("refusal")], "content_filter"),
        ([Refused("No."), Stopped("refusal")], "stop"),
        ([Stopped("filtered")], "content_filter"),
        ([Stopped("length")], "length"),
        ([CallOpened("a", "find"), CallPiece("{}"), Stopped("stop")], "tool_calls"),
        ([], "stop"),
    ],
)
def test_the_finish(told: list[Delta], finish: str) -> None:
    events = chunks(written(told))
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert events[-2]["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize("after", [[], [Said("Done.")], [CallOpened("b", "find"), CallPiece("{}")]])
def test_a_call_of_a_custom_tool_comes_back_as_one(after: list[Delta]) -> None:
    told: list[Delta] = [
        CallOpened("a", "patch"),
        CallPiece('{"input":'),
        CallPiece('"x\\n"}'),
        *after,
        Stopped("tool_calls"),
    ]
    custom = [event["choices"][0]["delta"]["tool_calls"][0] for event in chunks(written(told))[1:3]]
    assert custom == [
        {"index": 0, "id": "a", "type": "custom", "custom": {"name": "patch", "input": ""}},
        {"index": 0, "custom": {"input": "x\n"}},
    ]
    whole = openai_chat_modes.assemble(written(told))
    assert isinstance(whole, Whole)
    calls = orjson.loads(whole.body)["choices"][0]["message"]["tool_calls"]
    assert calls[0] == {"id": "a", "type": "custom", "custom": {"name": "patch", "input": "x\n"}}
    ChatCompletion.model_validate_json(whole.body)


def test_arguments_of_a_custom_tool_that_are_not_of_its_form_come_as_they_are() -> None:
    told: list[Delta] = [CallOpened("a", "patch"), CallPiece("*** Begin"), Stopped("length")]
    assert chunks(written(told))[2]["choices"][0]["delta"]["tool_calls"][0]["custom"] == {"input": "*** Begin"}
