"""Composed answers: deterministic, exact to the token, obedient to the request and to the directive."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from simulator.answers import prose, signatures, tokens
from simulator.answers.answer import Answer, Block, Native, Refusal, Stop, Text, Thinking, ToolCall, Usage
from simulator.answers.blocks import arguments_json, block_tokens
from simulator.answers.compose import REFUSAL, compose
from simulator.ask import Ask, Tool, Turn
from simulator.dialects.base import Profile
from simulator.rules.directives import AnswerSpec
from tests.simulator.live import chat, running

SEED = 11
PLAIN = Profile("openai", "m", "m-2026-01-01")
HIDDEN = Profile("openai", "m", "m-2026-01-01", {"reasoning_hidden": True, "reasoning_effort": "medium"})
CITY = Tool("get_weather", {"properties": {"city": {"type": "string"}}, "required": ["city"]})
TIME = Tool("get_time", {})
DEFAULT = AnswerSpec()


def ask(text: str = "Hello", **fields: Any) -> Ask:
    turns = fields.pop("turns", (Turn("user", text),))
    body = {"messages": [turn.text for turn in turns], **fields.pop("body", {})}
    return Ask("generate", "m", turns, input_tokens=5, body=body, **fields)


def composed(asked: Ask, spec: AnswerSpec = DEFAULT, profile: Profile = PLAIN, **kwargs: Any) -> Answer:
    return compose(asked, spec, profile, SEED, "n" * 22, 1_770_000_000, **kwargs)


def blocks(answer: Answer, kind: type[Any]) -> list[Any]:
    return [block for choice in answer.choices for block in choice.blocks if isinstance(block, kind)]


def text(answer: Answer) -> str:
    (block,) = blocks(answer, Text)
    return str(block.text)


def test_the_same_question_gets_the_same_answer() -> None:
    assert composed(ask()) == composed(ask())
    assert text(composed(ask("Hello"))) != text(composed(ask("Hallo")))


def test_how_the_reply_travels_changes_nothing() -> None:
    """Streamed or not, with usage asked for or not: the same words."""
    streamed = ask(stream=True, body={"stream": True, "stream_options": {"include_usage": True}})
    assert composed(streamed) == composed(ask(body={"stream": False}))


def test_provider_and_seed_change_the_answer() -> None:
    elsewhere = composed(ask(), profile=replace(PLAIN, provider="openai-eu"))
    reseeded = compose(ask(), DEFAULT, PLAIN, SEED + 1, "n" * 22, 1_770_000_000)
    assert len({text(composed(ask())), text(elsewhere), text(reseeded)}) == 3


@given(st.text(max_size=40))
def test_text_is_prose_of_20_to_60_tokens(question: str) -> None:
    answer = composed(ask(question))
    (block,) = blocks(answer, Text)
    assert 20 <= len(block.pieces) <= 60
    assert tokens.split(block.text) == list(block.pieces)
    assert answer.choices[0].stop is Stop.END
    assert answer.usage == answer.told == Usage(5, len(block.pieces))


@given(st.integers(0, 300), st.integers(0, 2**32))
def test_prose_has_exactly_the_tokens_asked_for(count: int, seed: int) -> None:
    pieces = prose.pieces(Random(seed), count)
    assert len(pieces) == count
    assert tokens.split("".join(pieces)) == list(pieces)


@given(
    st.integers(1, 80),
    st.integers(1, 3),
    st.sampled_from(["", "get_weather", "required", "auto"]),
    st.booleans(),
    st.sampled_from([PLAIN, HIDDEN]),
)
def test_usage_is_the_sum_of_what_was_made(
    room: int, choices: int, choice: str, offered: bool, profile: Profile
) -> None:
    tools = (CITY, TIME) if offered or choice else ()
    answer = composed(ask(max_tokens=room, choices=choices, tools=tools, tool_choice=choice or "none"), profile=profile)
    shown = sum(block_tokens(block) for chosen in answer.choices for block in chosen.blocks)
    assert len(answer.choices) == choices
    assert answer.usage.output_tokens == shown + answer.usage.reasoning_tokens
    assert answer.usage.output_tokens <= room * choices
    assert bool(answer.usage.reasoning_tokens) <= (profile is HIDDEN)


def test_a_limit_cuts_the_text() -> None:
    answer = composed(ask(max_tokens=7))
    assert len(tokens.split(text(answer))) == 7
    assert answer.choices[0].stop is Stop.LENGTH
    assert text(composed(ask())).startswith(text(composed(ask()))[:20])


def test_a_model_may_have_a_limit_of_its_own() -> None:
    old = Profile("openai", "m", "m", {"default_max_tokens": 16})
    assert composed(ask(), profile=old).usage.output_tokens == 16
    assert composed(ask(max_tokens=17), profile=old).usage.output_tokens == 17


def test_hidden_reasoning_counts_against_the_limit_and_leaves_half() -> None:
    answer = composed(ask(max_tokens=40), profile=HIDDEN)
    assert answer.usage == Usage(5, 40, reasoning_tokens=20)
    assert answer.choices[0].stop is Stop.LENGTH
    free = composed(ask(body={"reasoning_effort": "high"}), profile=HIDDEN)
    assert free.usage.reasoning_tokens % 64 == 0
    assert free.usage.reasoning_tokens >= 256
    assert composed(ask(body={"reasoning_effort": "none"}), profile=HIDDEN).usage.reasoning_tokens == 0


@pytest.mark.parametrize("stops", [("one two",), ("zzz", "two", "one two")])
def test_text_ends_before_the_first_stop_sequence(stops: tuple[str, ...]) -> None:
    choice = composed(ask(stop=stops), AnswerSpec(say="zero one two three")).choices[0]
    assert choice.blocks == (Text(("zero", " ")),)
    assert (choice.stop, choice.stop_sequence) == (Stop.STOP_SEQUENCE, "one two")


TOOL_TURN = (Turn("user", "Hello"), Turn("assistant", ""), Turn("tool", "7", tool_results=1))
ASSISTANT_LAST = (Turn("user", "Hello"), Turn("assistant", "Hm"))
CALL = AnswerSpec(tool_call=True)


@pytest.mark.parametrize(
    ("fields", "spec", "called"),
    [
        ({}, DEFAULT, ["get_weather"]),
        ({"tool_choice": "none"}, DEFAULT, []),
        ({"tool_choice": "get_time"}, DEFAULT, ["get_time"]),
        ({"tool_choice": "required", "turns": TOOL_TURN}, DEFAULT, ["get_weather"]),
        ({"turns": TOOL_TURN}, DEFAULT, []),
        ({"turns": ASSISTANT_LAST}, DEFAULT, []),
        ({}, AnswerSpec(text=True), []),
        ({"tool_choice": "none"}, CALL, ["get_weather"]),
        ({"turns": TOOL_TURN}, CALL, []),
        ({"turns": TOOL_TURN}, replace(CALL, told_by_header=True), ["get_weather"]),
        ({}, replace(CALL, tools=("get_time", "get_weather")), ["get_time", "get_weather"]),
        ({"parallel_tools": False}, replace(CALL, tools=("get_time", "get_weather")), ["get_time"]),
        ({}, replace(CALL, tool_calls=3), ["get_weather", "get_time", "get_weather"]),
        ({}, replace(CALL, tools=("unheard_of",)), ["unheard_of"]),
        ({"tools": ()}, CALL, []),
        ({"tools": (Tool("web", {}, "web_search_20250305"),)}, CALL, []),
        ({"max_tokens": 3}, CALL, []),
        ({}, AnswerSpec(length=True), []),
    ],
)
def test_when_tools_are_called(fields: dict[str, Any], spec: AnswerSpec, called: list[str]) -> None:
    answer = composed(ask(**{"tools": (CITY, TIME), **fields}), spec)
    calls = blocks(answer, ToolCall)
    assert [call.name for call in calls] == called
    assert (answer.choices[0].stop is Stop.TOOL) is bool(called)
    assert all(len(call.call) == 24 and call.call.isalnum() for call in calls)
    assert len({call.call for call in calls}) == len(calls)
    for call in calls:
        if call.name == CITY.name:
            Draft202012Validator(dict(CITY.schema)).validate(call.arguments)


def test_a_preface_may_stand_before_a_call() -> None:
    answer = composed(ask(tools=(CITY,)), replace(CALL, say="Let me see."))
    assert [type(block) for block in answer.choices[0].blocks] == [Text, ToolCall]


@pytest.mark.parametrize(
    "schema", [{}, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}]
)
def test_a_schema_asked_for_is_obeyed(schema: dict[str, Any]) -> None:
    made = json.loads(text(composed(ask(schema=schema))))
    assert isinstance(made, dict)
    Draft202012Validator(schema).validate(made)


def test_a_refusal_is_its_own_block() -> None:
    choice = composed(ask(), AnswerSpec(refusal=True)).choices[0]
    assert choice.blocks == (Refusal(REFUSAL),)
    assert choice.stop is Stop.REFUSAL


def test_thinking_is_signed_for_the_fleet_to_recognise() -> None:
    answer = composed(ask(thinking_tokens=1024))
    thinking, said = answer.choices[0].blocks
    assert isinstance(thinking, Thinking)
    assert isinstance(said, Text)
    secret = signatures.secret(SEED)
    assert signatures.verify(secret, "m-2026-01-01", "openai", thinking.text, thinking.signature)
    assert answer.usage.reasoning_tokens == len(thinking.pieces)
    assert answer.usage.output_tokens == len(thinking.pieces) + len(said.pieces)


def test_scripted_usage_is_both_true_and_told() -> None:
    spec = AnswerSpec(input_tokens=9, output_tokens=6, cached_tokens=3, cache_write_tokens=4, reasoning_tokens=5)
    answer = composed(ask(), spec)
    assert answer.usage == answer.told == Usage(9, 6, 3, 4, 5)


@pytest.mark.parametrize("count", [0, 1, 500])
def test_the_length_may_be_scripted(count: int) -> None:
    assert composed(ask(), AnswerSpec(tokens=count)).usage.output_tokens == count


def test_native_blocks_come_from_the_wire() -> None:
    made = Native({"type": "search", "input": {"q": "tea"}}, streamed_input=True)

    def search(asked: Ask, dice: Random) -> list[Block]:
        return [made, Native({"type": "found", "content": dice.randint(1, 9)})]

    answer = composed(ask(), AnswerSpec(native=("search",)), natives={"search": search})
    assert answer.choices[0].blocks[0] is made
    assert [type(block) for block in answer.choices[0].blocks] == [Native, Native, Text]
    assert answer.usage.output_tokens == tokens.count('{"q":"tea"}') + len(answer.choices[0].blocks[2].pieces)  # type: ignore[union-attr]
    with pytest.raises(ValueError) as caught:
        composed(ask(), AnswerSpec(native=("dance",)), natives={"search": search})
    assert "native=dance: this wire knows search" in str(caught.value)


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=12)), max_size=4))
def test_spaces_between_arguments_cost_nothing(arguments: dict[str, Any]) -> None:
    """The same arguments are the same number of tokens on wires that space them and on wires that do not."""
    arguments = {k: v for k, v in arguments.items() if not isinstance(v, int) or abs(v) < 2**63}
    assert tokens.count(arguments_json(arguments)) == tokens.count(json.dumps(arguments, ensure_ascii=False))


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ("cached_tokens=100 input_tokens=5", "cached_tokens and cache_write_tokens are 100, more than input_tokens=5"),
        ("reasoning_tokens=500 output_tokens=10", "reasoning_tokens=500 is more than output_tokens=10"),
    ],
)
def test_a_usage_that_cannot_be_is_refused(words: str, due: str) -> None:
    with running() as live:
        reply = live.call(chat(f"[[answer: {words}]]"))
    assert reply.status == 400
    assert due in reply.json["error"]["message"]
